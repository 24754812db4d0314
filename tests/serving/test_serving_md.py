"""Run what docs/serving.md shows. Needs the packages of the extra `serve`, and curl."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from checkouts import ROOT, Checkout
from reprocnn.serving.settings import Limits

pytestmark = pytest.mark.serve
TEXT = (ROOT / "docs/serving.md").read_text()
_BLOCK = re.compile(r"^```sh\n(?P<code>.*?)^```\n(?:\n```\n(?P<output>.*?)^```$)?", re.M | re.S)


def _section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def installed(checkout: Checkout) -> Checkout:
    """A checkout whose .venv is that of the tests, in which `make` finds everything installed."""
    assert (ROOT / ".venv/ready-serve").exists(), "make setup EXTRA=--extra=serve"
    (checkout.folder / ".venv").symlink_to(ROOT / ".venv")
    for name in ("uv.lock", "pyproject.toml"):
        os.utime(checkout.folder / name, (0, 0))
    return checkout


@pytest.fixture
def shell(installed: Checkout) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-e"],
        cwd=installed.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_five_lines_give_the_answer_that_is_shown_and_the_routes_work(shell: "subprocess.Popen[str]") -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first, more = next(_BLOCK.finditer(TEXT)), next(_BLOCK.finditer(_section("Routes")))
    assert len(first["code"].splitlines()) == 5
    code = (first["code"] + more["code"]).replace(":8000", f":{port}").replace("make serve", f"make serve PORT={port}")
    lines = [f"{line}\necho" if line.startswith("curl") else line for line in code.splitlines()]
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write("\n".join([*lines, "echo end", ""]))
    shell.stdin.flush()
    printed: list[str] = []
    for line in iter(shell.stdout.readline, "end\n"):
        assert line, f"the shell ended: {printed}"
        printed.append(line)
    said = [line for line in printed if line.startswith("{")]
    assert [_shape(line) for line in said[:2]] == [_shape(line) for line in first["output"].splitlines()]
    raw, json, table = said[2:]
    assert _class(raw) == _class(json) == _class(said[1])
    assert table.startswith('{"predictions":[{"class":"')


def _class(said: str) -> str:
    return re.findall(r'"class":"(\d)"', said)[0]


def _shape(said: str) -> str:
    """An answer without what another model changes."""
    return re.sub(r'"hash":"\w+"|"architecture":"\w+"|"class":"\d"|[\d.]+(e-\d+)?', "#", said).strip()


def test_the_table_of_limits_has_each_with_its_default() -> None:
    rows = re.findall(r"^\| `--max-(\w+)` \| (\d+) \|", _section("Limits"), re.MULTILINE)
    assert rows == [(limit.name, str(limit.default)) for limit in fields(Limits)]


def test_the_table_of_routes_has_each(tmp_path: Path) -> None:
    from reprocnn.serving.app import build
    from reprocnn.serving.models import File, Served
    from reprocnn.serving.settings import Settings
    from tiny_model import write_tiny_model

    served = Served(File(write_tiny_model(tmp_path / "model.onnx"), None, lambda _: None))
    paths = set(re.findall(r"^\| `\w+ (/\w*)` \|", _section("Routes"), re.MULTILINE))
    assert paths == build(served, Settings()).paths - {"/ping", "/openapi.json"}
