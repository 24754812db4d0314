import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from checkouts import ROOT
from reprocnn.data import decoding, reading
from reprocnn.data.reading import ReadImages, read_images
from reprocnn.data.source import list_source
from reprocnn.errors import UserError
from reprocnn.inference.decoding import read_image

Make = Callable[..., None]
DECODE = partial(read_image, image_size=8, color_mode="rgb", white=None)


def _read(path: Path, folder: Path, **options: object) -> ReadImages:
    source = list_source(path)
    return read_images(source, source.files, DECODE, (8, 8, 3), folder, **options)  # type: ignore[arg-type]


def _workers() -> list[list[str]]:
    """Return the command lines of the children of this process, but for the trackers that clean up after it."""
    commands = [child.cmdline() for child in psutil.Process().children()]
    return [command for command in commands if not any("resource_tracker" in part for part in command)]


@pytest.fixture
def pictures(tmp_path: Path, make_images: Make) -> Path:
    """A folder of 20 pictures, of which 3 and 12 can't be read."""
    make_images(tmp_path / "pictures", ("a", "b"), n=10)
    for name in ("a/3.png", "b/2.png"):
        (tmp_path / "pictures" / name).write_bytes(b"broken")
    return tmp_path / "pictures"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH_IMAGES", 3)


@pytest.mark.usefixtures("small_batches")
def test_the_images_do_not_depend_on_the_number_of_workers(tmp_path: Path, pictures: Path) -> None:
    alone = _read(pictures, tmp_path / "one", unreadable="skip", workers=1)
    assert alone.images.shape == (18, 8, 8, 3)
    assert alone.kept.tolist() == [i for i in range(20) if i not in (3, 12)]
    assert alone.skipped == dict.fromkeys(("a/3.png", "b/2.png"), "not an image that Pillow can read")
    for workers in (2, 3):
        found = _read(pictures, tmp_path / str(workers), unreadable="skip", workers=workers)
        np.testing.assert_array_equal(found.images, alone.images)
        assert (found.kept.tolist(), found.skipped) == (alone.kept.tolist(), alone.skipped)
    assert _workers() == []


def test_unreadable_files_are_refused_unless_they_are_to_be_skipped(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(UserError, match="2 of 20 images can't be read") as caught:
        _read(pictures, tmp_path / "reading")
    assert "a/3.png" in caught.value.problem
    assert "b/2.png" in caught.value.problem
    assert caught.value.fix.endswith("; or leave out all of these files with `-S unreadable=skip`")


def test_a_folder_of_which_most_files_can_not_be_read_is_refused_even_so(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in", n=2)
    for i in range(5):
        (tmp_path / "in" / "cat" / f"note{i}.png").write_text("text")
    message = "5 of 9 images can.t be read, more than the 4 that `unreadable: skip` may"
    with pytest.raises(UserError, match=message) as caught:
        _read(tmp_path / "in", tmp_path / "reading", unreadable="skip")
    assert "unreadable=skip" not in caught.value.fix


READ = """
import signal, sys, time
from functools import partial
from pathlib import Path
from reprocnn.data import reading
from reprocnn.data.source import list_source
from reprocnn.inference.decoding import read_image

def decode(name, read, **options):
    print(name, flush=True)
    if name == sys.argv[3]:
        time.sleep(60)
    return read_image(name, read, **options)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores Ctrl-C
reading._SAVED_EVERY = 0
reading._BATCH_IMAGES = 2
source = list_source(Path(sys.argv[1]))
made = partial(decode, image_size=8, color_mode="rgb", white=None)
reading.read_images(source, source.files, made, (8, 8, 3), Path(sys.argv[2]), unreadable="skip", workers=1)
"""


def _start(pictures: Path, folder: Path, stop_at: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", READ, str(pictures), str(folder), stop_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_reading_goes_on_and_gives_the_same_images(tmp_path: Path, pictures: Path, number: int) -> None:
    with _start(pictures, tmp_path / "reading", "b/5.png") as process:
        assert process.stdout
        before = [process.stdout.readline().strip() for _ in range(16)]
        assert before[-1] == "b/5.png"
        process.send_signal(number)
    with _start(pictures, tmp_path / "reading", "") as process:
        after = process.communicate()[0].split()
    assert process.returncode == 0
    assert after == ["b/4.png", "b/5.png", "b/6.png", "b/7.png", "b/8.png", "b/9.png"]
    (kept,) = (tmp_path / "reading").iterdir()
    expected = _read(pictures, tmp_path / "whole", unreadable="skip").images
    np.testing.assert_array_equal(np.fromfile(kept / "images", np.uint8), expected.ravel())


def test_what_was_read_of_files_that_changed_since_is_read_again(tmp_path: Path, pictures: Path) -> None:
    first = _read(pictures, tmp_path / "reading", unreadable="skip").images.copy()
    Image.new("RGB", (20, 20), "red").save(pictures / "a" / "0.png")
    second = _read(pictures, tmp_path / "reading", unreadable="skip").images
    assert (second[0] == (255, 0, 0)).all()
    np.testing.assert_array_equal(second[1:], first[1:])
    assert len(list((tmp_path / "reading").iterdir())) == 1


def _die(name: str, read: Callable[[], bytes]) -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_refused_files_are_read_again_the_next_time(tmp_path: Path, pictures: Path) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="2 of 20 images can't be read"):
            _read(pictures, tmp_path / "reading")
        assert not list((tmp_path / "reading").iterdir())
    assert len(_read(pictures, tmp_path / "reading", unreadable="skip").images) == 18


def test_skipping_has_no_limit_but_half_of_the_files(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_COLLECTED", 1)
    monkeypatch.setattr(reading, "_BATCH_IMAGES", 1)
    assert len(_read(pictures, tmp_path / "reading", unreadable="skip").images) == 18


@pytest.mark.usefixtures("small_batches")
def test_a_killed_worker_is_an_error_with_a_fix(tmp_path: Path, pictures: Path) -> None:
    source = list_source(pictures)
    start = time.monotonic()
    with pytest.raises(UserError, match="a process that decodes images was killed, probably because memory is short"):
        read_images(source, source.files, _die, (8, 8, 3), tmp_path / "reading", workers=2)
    assert time.monotonic() - start < 60
    assert _workers() == []


def test_large_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for side in (200, 300):
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(tmp_path / f"{side}.png")
    turn, locked = threading.Lock(), {}
    monkeypatch.setattr(decoding, "_turn", turn)
    monkeypatch.setattr(decoding, "_LARGE", 200 * 200)

    def decode(name: str, read: Callable[[], bytes]) -> np.ndarray:
        image = read_image(name, read, image_size=8, color_mode="rgb", white=None)
        locked[name] = turn.locked()
        return image

    batch = decoding.Batch(["200.png", "300.png"], None)
    assert len(decoding.decode_batch(decode, str(tmp_path), batch).images) == 2
    assert locked == {"200.png": False, "300.png": True}
    assert not turn.locked()
