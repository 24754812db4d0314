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

from checkouts import ROOT
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
        ("html", "a web page of 24 bytes, wrong sha256"),
        ("altered", "other bytes of 15,000 bytes, wrong sha256"),
        ("cut", "the connection broke"),
        ("chunked", "the connection broke"),
        ("long", "the connection broke"),
        ("short", "other bytes of 100 bytes, wrong sha256"),
        ("unknown", "other bytes of 100 bytes, wrong sha256"),
        ("hang", "no answer in time"),
    ],
)
def test_a_broken_mirror_is_passed_over(
    mirror: str, kind: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _source(f"{mirror}/{kind}/file.bin", f"{mirror}/ok/file.bin")
    assert fetch(source, timeout=(1, 0.5)).read_bytes() == CONTENT
    assert reason in capsys.readouterr().out
    assert _files(tmp_path / "cache") == [".lock", "file.bin"]


def test_where_all_fail_the_message_names_hosts_mirror_and_digits(mirror: str, tmp_path: Path) -> None:
    source = _source(f"{mirror}/404/file.bin", "http://127.0.0.1:9/file.bin")
    with pytest.raises(UserError) as caught:
        fetch(source, timeout=(1, 1))
    message = str(caught.value)
    for part in (mirror[7:], "127.0.0.1:9", "REPROCNN_MIRROR", "-S dataset=digits", "file.bin"):
        assert part in message
    assert len(message.splitlines()) == 2
    assert _files(tmp_path) == [".lock"]


def test_a_connection_that_breaks_once_is_tried_again(mirror: str) -> None:
    assert fetch(_source(f"{mirror}/once/file.bin")).read_bytes() == CONTENT
    assert Mirror.asked == ["once", "once"]


def test_a_connection_that_stalls_once_is_tried_again_and_one_to_nobody_is_not(
    mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _source("http://127.0.0.1:9/file.bin", f"{mirror}/stall/file.bin")
    assert fetch(source, timeout=(1, 0.5)).read_bytes() == CONTENT
    printed = capsys.readouterr().out
    assert printed.count("127.0.0.1:9: no connection") == 1
    assert "the connection stalled (1/2)" in printed
    assert Mirror.asked == ["stall", "stall"]


def test_the_second_time_it_comes_from_the_cache(mirror: str) -> None:
    source = _source(f"{mirror}/ok/file.bin")
    assert fetch(source) == fetch(source)
    assert Mirror.asked == ["ok"]


def test_an_altered_file_in_the_cache_is_replaced(mirror: str) -> None:
    source = _source(f"{mirror}/ok/file.bin")
    fetch(source).write_bytes(b"altered")
    assert fetch(source).read_bytes() == CONTENT


def test_the_users_mirror_is_first_as_folder_and_as_url(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(f"{mirror}/404/file.bin")
    monkeypatch.setenv("REPROCNN_MIRROR", f"{mirror}/ok/")
    assert fetch(source).read_bytes() == CONTENT
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.bin").write_bytes(CONTENT)
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("REPROCNN_MIRROR", "mine")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # relative to the user's checkout
    assert fetch(source).read_bytes() == CONTENT
    assert Mirror.asked == ["ok"]


def test_an_alternative_will_do(mirror: str) -> None:
    other = Source("other.bin", RIGHT, (f"{mirror}/ok/other.bin",))
    assert fetch(_source(f"{mirror}/404/file.bin"), other).name == "other.bin"


def test_another_gzip_wrapping_of_the_right_content_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_wrong_file_is_not_fetched_twice(mirror: str) -> None:
    fetch(_source(f"{mirror}/altered/file.bin", f"{mirror}/ok/file.bin"))
    assert Mirror.asked == ["altered", "ok"]


@pytest.mark.parametrize("place", ["{}/a file", "file://{}/mine", "http://[::1", "{}/nothing"])
def test_a_mirror_of_any_kind_is_tried_and_passed_over(
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


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache" / RIGHT[:16] / ".lock").mkdir(parents=True)
    with pytest.raises(UserError, match="can't be written.*\n.*REPROCNN_CACHE"):
        fetch(_source("http://127.0.0.1:9/file.bin"))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="can't be written.*\n.*REPROCNN_CACHE"):
        fetch(_source("http://127.0.0.1:9/file.bin"))


def test_what_is_in_the_cache_needs_no_lock(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / RIGHT[:16] / "file.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert fetch(_source()) == cached
    assert _files(tmp_path) == ["file.bin"]


RANDOM = random.Random(0)
POINTS = [0, 1, *(RANDOM.randrange(len(CONTENT)) for _ in range(8)), len(CONTENT) - 1]
"""Where in the file a mirror fails, in bytes."""


@pytest.mark.parametrize("kind", ["cut", "reset", "unknown", "chunked", "short"])
def test_a_mirror_that_fails_anywhere_in_the_file_is_passed_over(mirror: str, kind: str, tmp_path: Path) -> None:
    for point in POINTS:
        path = fetch(_source(f"{mirror}/{kind}-{point}/file.bin", f"{mirror}/ok/file.bin"))
        assert path.read_bytes() == CONTENT
        assert _files(tmp_path) == [".lock", "file.bin"]
        path.unlink()
    assert Mirror.asked.count("ok") == len(POINTS)


@pytest.mark.parametrize("kind", [f"unknown-{len(CONTENT)}", "nonsense"])
def test_a_mirror_that_does_not_say_the_length_will_do(mirror: str, kind: str) -> None:
    assert fetch(_source(f"{mirror}/{kind}/file.bin")).read_bytes() == CONTENT


@pytest.mark.parametrize("fast", [0, 14_000])
def test_a_mirror_that_is_too_slow_or_becomes_so_is_passed_over(
    mirror: str, fast: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reprocnn.data.fetch.PATIENCE", 0.3)
    source = _source(f"{mirror}/trickle-{fast}/file.bin", f"{mirror}/ok/file.bin")
    assert fetch(source).read_bytes() == CONTENT
    assert re.search(r"too slow: \d{1,2} bytes", capsys.readouterr().out)  # of the last seconds, not from the start
    assert Mirror.asked == [f"trickle-{fast}", "ok"]


def test_a_slow_mirror_will_do(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprocnn.data.fetch.PATIENCE", 0.3)
    assert fetch(_source(f"{mirror}/slow-100/file.bin", f"{mirror}/ok/file.bin")).read_bytes() == CONTENT
    assert Mirror.asked == ["slow-100"]


def _start(url: str) -> "subprocess.Popen[str]":
    """A process that gets the file."""
    code = (
        "import sys; from reprocnn.data.fetch import Source, fetch; from reprocnn.run.downloads import places\n"
        "print(fetch(places(), Source('file.bin', sys.argv[1], (sys.argv[2],))))"
    )
    command = [sys.executable, "-u", "-c", code, RIGHT, url]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _said(process: "subprocess.Popen[str]") -> str:
    """The next line that a process prints."""
    assert process.stdout
    return process.stdout.readline()


WAITING = "another process downloads file.bin; waiting for it\n"


def test_what_a_killed_download_left_is_gone_with_the_next(mirror: str, tmp_path: Path) -> None:
    for point in POINTS[1:5]:
        with _start(f"{mirror}/gate-{point}/file.bin") as process:
            assert _said(process).startswith("downloading")
            time.sleep(RANDOM.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        lock, left = _files(tmp_path)
        assert lock == ".lock"
        assert left.startswith(".partial-")
    assert fetch(_source(f"{mirror}/ok/file.bin")).read_bytes() == CONTENT
    assert _files(tmp_path) == [".lock", "file.bin"]


@pytest.mark.parametrize("n", [2, 4])
def test_of_processes_at_once_one_downloads_and_the_others_wait(mirror: str, n: int, tmp_path: Path) -> None:
    url = f"{mirror}/gate/file.bin"
    processes = [_start(url) for _ in range(n)]
    assert sorted(_said(process) for process in processes) == [WAITING] * (n - 1) + [f"downloading {url}\n"]
    Mirror.released.set()
    for process in processes:
        path, _ = process.communicate()
        assert Path(path.rstrip("\n")).read_bytes() == CONTENT
    assert Mirror.asked == ["gate"]
    assert _files(tmp_path) == [".lock", "file.bin"]


def test_a_process_that_waits_takes_over_from_a_killed_one(mirror: str, tmp_path: Path) -> None:
    with _start(f"{mirror}/gate/file.bin") as first:
        assert _said(first).startswith("downloading")
        with _start(f"{mirror}/ok/file.bin") as second:
            assert _said(second) == WAITING
            first.kill()
            assert _said(second).startswith("downloading")
            assert Path(_said(second).rstrip("\n")).read_bytes() == CONTENT
    assert Mirror.asked == ["gate", "ok"]
    assert _files(tmp_path) == [".lock", "file.bin"]
