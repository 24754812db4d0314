"""A web server of downloads that fails in every way that mirrors do."""

import threading
from http.server import BaseHTTPRequestHandler


class Mirror(BaseHTTPRequestHandler):
    """/ok/..., and a folder for each way in which a mirror fails."""

    content: bytes = b"the right bytes" * 1000
    asked: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        self.asked.append(kind)
        bodies = {
            "ok": self.content,
            "html": b"<!DOCTYPE html><p>log in",
            "altered": self.content[:-1] + bytes([self.content[-1] ^ 255]),
        }
        if kind == "hang":
            self.released.wait(20)
            return
        if kind == "404":
            self.send_error(404)
            return
        broken_once = kind == "once" and self.asked.count("once") == 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content) if kind != "html" else 24))
        self.end_headers()
        stalled = kind == "stall" and self.asked.count("stall") == 1
        cut = kind == "truncated" or broken_once or stalled
        self.wfile.write(self.content[:100] if cut else bodies.get(kind, self.content))
        if stalled:
            self.wfile.flush()
            self.released.wait(20)

    def log_message(self, *_: object) -> None:
        pass
