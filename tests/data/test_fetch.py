import gzip
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT
from mirrors import Mirror
from reprocnn.data import fetch as fetching
from reprocnn.data.fetch import Source
from reprocnn.errors import UserError
from reprocnn.run.downloads import places

CONTENT = Mirror.content
RIGHT = hashlib.sha256(CONTENT).hexdigest()


def fetch(*sources: Source, timeout: tuple[float, float] | None = None) -> Path:
    return fetching.fetch(places(), *sources, timeout=timeout)


def _source(*urls: str, content: str | None = None) -> Source:
    return Source("file.bin", RIGHT, urls, content)


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("404", "HTTP status 404"),
        ("html", "wrong sha256, got a web page of 24 bytes"),
        ("altered", "wrong sha256, got a file of 15,000 bytes"),
        ("cut", "the connection broke"),
        ("chunked", "the connection broke"),
        ("long", "the connection broke"),
        ("short", "wrong sha256, got a file of 100 bytes"),
        ("unknown", "wrong sha256, got a file of 100 bytes"),
        ("hang", "timed out"),
    ],
)
def test_a_broken_mirror_is_skipped(
    mirror: str, kind: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _source(f"{mirror}/{kind}/file.bin", f"{mirror}/ok/file.bin")
    assert fetch(source, timeout=(1, 0.5)).read_bytes() == CONTENT
    assert reason in capsys.readouterr().out
    assert _files(tmp_path / "cache") == [".lock", "file.bin"]


def test_if_all_mirrors_fail_the_message_names_them_and_alternatives(mirror: str, tmp_path: Path) -> None:
    source = _source(f"{mirror}/404/file.bin", "http://127.0.0.1:9/file.bin")
    with pytest.raises(UserError) as caught:
        fetch(source, timeout=(1, 1))
    message = str(caught.value)
    for part in (mirror[7:], "127.0.0.1:9", "REPROCNN_MIRROR", "-S dataset=digits", "file.bin"):
        assert part in message
    assert len(message.splitlines()) == 2
    assert _files(tmp_path) == [".lock"]


def test_a_connection_that_breaks_is_retried(mirror: str) -> None:
    assert fetch(_source(f"{mirror}/once/file.bin")).read_bytes() == CONTENT
    assert Mirror.asked == ["once", "once"]


def test_a_stalled_connection_is_retried_and_a_refused_one_is_not(
    mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _source("http://127.0.0.1:9/file.bin", f"{mirror}/stall/file.bin")
    assert fetch(source, timeout=(1, 0.5)).read_bytes() == CONTENT
    printed = capsys.readouterr().out
    assert printed.count("127.0.0.1:9: no connection") == 1
    assert "the connection stalled (1/2)" in printed
    assert Mirror.asked == ["stall", "stall"]


def test_a_cached_file_is_not_downloaded_again(mirror: str) -> None:
    source = _source(f"{mirror}/ok/file.bin")
    assert fetch(source) == fetch(source)
    assert Mirror.asked == ["ok"]


def test_an_altered_file_in_the_cache_is_replaced(mirror: str) -> None:
    source = _source(f"{mirror}/ok/file.bin")
    fetch(source).write_bytes(b"altered")
    assert fetch(source).read_bytes() == CONTENT


def test_the_users_mirror_is_tried_first_whether_folder_or_url(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(f"{mirror}/404/file.bin")
    monkeypatch.setenv("REPROCNN_MIRROR", f"{mirror}/ok/")
    assert fetch(source).read_bytes() == CONTENT
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.bin").write_bytes(CONTENT)
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("REPROCNN_MIRROR", "mine")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # the mirror is relative to the user's checkout
    assert fetch(source).read_bytes() == CONTENT
    assert Mirror.asked == ["ok"]


def test_an_alternative_source_is_used_if_the_first_fails(mirror: str) -> None:
    other = Source("other.bin", RIGHT, (f"{mirror}/ok/other.bin",))
    assert fetch(_source(f"{mirror}/404/file.bin"), other).name == "other.bin"


def test_a_file_compressed_differently_is_accepted_if_its_content_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPROCNN_MIRROR", str(tmp_path))
    published = hashlib.sha256(b"as published").hexdigest()
    source = Source("f.gz", published, (), RIGHT)
    (tmp_path / "f.gz").write_bytes(gzip.compress(CONTENT, mtime=5))
    assert gzip.decompress(fetch(source).read_bytes()) == CONTENT
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "other"))
    for wrong in (gzip.compress(b"wrong"), gzip.compress(CONTENT)[:-20], b"no gzip"):
        (tmp_path / "f.gz").write_bytes(wrong)
        with pytest.raises(UserError, match="wrong sha256"):
            fetch(source)


def test_a_download_with_a_wrong_hash_is_not_retried(mirror: str) -> None:
    fetch(_source(f"{mirror}/altered/file.bin", f"{mirror}/ok/file.bin"))
    assert Mirror.asked == ["altered", "ok"]


@pytest.mark.parametrize("place", ["{}/a file", "file://{}/mine", "http://[::1", "{}/nothing"])
def test_a_users_mirror_is_used_or_skipped_whatever_it_is(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "a file").write_text("in the way")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.bin").write_bytes(CONTENT)
    monkeypatch.setenv("REPROCNN_MIRROR", place.format(tmp_path))
    path = fetch(_source(f"{mirror}/ok/file.bin"))
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o644
    assert Mirror.asked == ([] if "mine" in place else ["ok"])


def test_the_error_names_a_cache_that_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache" / RIGHT[:16] / ".lock").mkdir(parents=True)
    with pytest.raises(UserError, match="can't be written.*\n.*REPROCNN_CACHE"):
        fetch(_source("http://127.0.0.1:9/file.bin"))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="can't be written.*\n.*REPROCNN_CACHE"):
        fetch(_source("http://127.0.0.1:9/file.bin"))


def test_reading_from_the_cache_takes_no_lock(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / RIGHT[:16] / "file.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert fetch(_source()) == cached
    assert _files(tmp_path) == ["file.bin"]


RANDOM = random.Random(0)
POINTS = [0, 1, *(RANDOM.randrange(len(CONTENT)) for _ in range(8)), len(CONTENT) - 1]
"""Bytes after which a mirror fails."""


@pytest.mark.parametrize("kind", ["cut", "reset", "unknown", "chunked", "short"])
def test_a_mirror_that_fails_after_any_number_of_bytes_is_skipped(mirror: str, kind: str, tmp_path: Path) -> None:
    for point in POINTS:
        path = fetch(_source(f"{mirror}/{kind}-{point}/file.bin", f"{mirror}/ok/file.bin"))
        assert path.read_bytes() == CONTENT
        assert _files(tmp_path) == [".lock", "file.bin"]
        path.unlink()
    assert Mirror.asked.count("ok") == len(POINTS)


@pytest.mark.parametrize("kind", [f"unknown-{len(CONTENT)}", "nonsense"])
def test_a_mirror_that_does_not_send_the_length_works(mirror: str, kind: str) -> None:
    assert fetch(_source(f"{mirror}/{kind}/file.bin")).read_bytes() == CONTENT


@pytest.mark.parametrize("fast", [0, 14_000])
def test_a_mirror_that_is_or_becomes_too_slow_is_skipped(
    mirror: str, fast: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reprocnn.data.fetch.SPEED_WINDOW", 0.3)
    source = _source(f"{mirror}/trickle-{fast}/file.bin", f"{mirror}/ok/file.bin")
    assert fetch(source).read_bytes() == CONTENT
    assert re.search(
        r"too slow: \d{1,2} bytes", capsys.readouterr().out
    )  # during the last seconds, not since the start
    assert Mirror.asked == [f"trickle-{fast}", "ok"]


def test_a_slow_mirror_works_if_it_is_fast_enough(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprocnn.data.fetch.SPEED_WINDOW", 0.3)
    assert fetch(_source(f"{mirror}/slow-100/file.bin", f"{mirror}/ok/file.bin")).read_bytes() == CONTENT
    assert Mirror.asked == ["slow-100"]


def _start(url: str) -> "subprocess.Popen[str]":
    """Start a process that fetches the file."""
    code = (
        "import sys; from reprocnn.data.fetch import Source, fetch; from reprocnn.run.downloads import places\n"
        "print(fetch(places(), Source('file.bin', sys.argv[1], (sys.argv[2],))))"
    )
    command = [sys.executable, "-u", "-c", code, RIGHT, url]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _next_line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout
    return process.stdout.readline()


@pytest.mark.parametrize("login", ["me:hunter22@", "me:hunt/hunter22@", "hunter22@", "me:h?hunter22@"])
def test_neither_login_nor_query_of_a_mirror_are_shown(
    login: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPROCNN_MIRROR", f"http://{login}127.0.0.1:9/x?sig=hunter22&y=a@hunter22")
    with pytest.raises(UserError) as failed:
        fetch(_source("http://127.0.0.1:9/file.bin?token=hunter22"))
    printed = capsys.readouterr().out + str(failed.value)
    assert "hunter22" not in printed
    assert "127.0.0.1:9 (" in printed


WAITING = "another process is downloading file.bin; waiting for it\n"


def test_the_next_download_removes_the_temporary_file_of_a_killed_one(mirror: str, tmp_path: Path) -> None:
    for point in POINTS[1:5]:
        with _start(f"{mirror}/gate-{point}/file.bin") as process:
            assert _next_line(process).startswith("downloading")
            time.sleep(RANDOM.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        lock, leftover = _files(tmp_path)
        assert lock == ".lock"
        assert leftover.startswith(".partial-")
    assert fetch(_source(f"{mirror}/ok/file.bin")).read_bytes() == CONTENT
    assert _files(tmp_path) == [".lock", "file.bin"]


@pytest.mark.parametrize("n", [2, 4])
def test_of_concurrent_processes_one_downloads_and_the_others_wait(mirror: str, n: int, tmp_path: Path) -> None:
    url = f"{mirror}/gate/file.bin"
    processes = [_start(url) for _ in range(n)]
    assert sorted(_next_line(process) for process in processes) == [WAITING] * (n - 1) + [f"downloading {url}\n"]
    Mirror.released.set()
    for process in processes:
        path, _ = process.communicate()
        assert Path(path.rstrip("\n")).read_bytes() == CONTENT
    assert Mirror.asked == ["gate"]
    assert _files(tmp_path) == [".lock", "file.bin"]


def test_a_waiting_process_takes_over_when_the_downloading_one_is_killed(mirror: str, tmp_path: Path) -> None:
    with _start(f"{mirror}/gate/file.bin") as first:
        assert _next_line(first).startswith("downloading")
        with _start(f"{mirror}/ok/file.bin") as second:
            assert _next_line(second) == WAITING
            first.kill()
            assert _next_line(second).startswith("downloading")
            assert Path(_next_line(second).rstrip("\n")).read_bytes() == CONTENT
    assert Mirror.asked == ["gate", "ok"]
    assert _files(tmp_path) == [".lock", "file.bin"]
