"""Experiments with the user's own images: tracked, untracked, linked, in folders with unusual names.

The tests share a checkout and run in the order of this file.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Checkout, ran, runs_of

FOLDER = ("-S", "dataset=folder", "-S", "image_size=8", "-S", "batch_size=4")
OWN = ("-S", "folder=data/images")


def _lock_hash(checkout: Checkout, name: str, path: str) -> str:
    """Return the md5 of a path in the dvc.lock of an experiment."""
    reference = checkout.run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").strip()
    lock = checkout.run("git", "show", f"{reference}:dvc.lock")
    return re.findall(rf"path: {path}\n\s+hash: md5\n\s+md5: (\S+)", lock)[0]


def test_untracked_images_of_the_user(checkout: Checkout, make_images: Callable[..., None]) -> None:
    images = checkout.folder / "data" / "images"
    make_images(images, ("my cats", "Hündchen"), n=10)
    printed = checkout.run("dvc", "exp", "run", *FOLDER, fails=True)
    assert "dataset: folder needs the folder of your images" in printed
    checkout.run("git", "checkout", ".")
    printed = checkout.run("dvc", "exp", "run", "-n", "copied", "--temp", "-C", "data/images", *FOLDER, *OWN, "train")
    assert "images: 16 + 4 images of 8x8x3" in printed
    assert "the images at data/images are in neither Git nor DVC" in printed
    (run,) = [r for r in runs_of(checkout) if r["name"] == "copied"]
    assert run["tags"]["images.untracked"] == "data/images"  # type: ignore[index]
    printed = checkout.run("dvc", "exp", "run", "-n", "here", *FOLDER, *OWN, "train")
    assert "'download' is cached" in printed  # the same images: DVC reuses the output of the other run
    assert _lock_hash(checkout, "copied", "data/images") == _lock_hash(checkout, "here", "data/images")
    assert ran(checkout.run("dvc", "repro", "train")) == []
    make_images(images, ("my cats",), n=11)
    assert ran(checkout.run("dvc", "repro", "download")) == ["download"]
    (images / "my cats" / "3.png").unlink()
    assert ran(checkout.run("dvc", "repro", "download")) == ["download"]
    (images / "my cats" / "notes.txt").write_text("not an image")
    printed = checkout.run("dvc", "repro", fails=True)
    assert "not an image that Pillow can read (1):\n    my cats/notes.txt\n" in printed
    assert "Traceback" not in printed
    (images / "my cats" / "notes.txt").unlink()
    _restore(checkout)


def _restore(checkout: Checkout) -> None:
    """Undo all changes of tracked files."""
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")


def test_a_queued_experiment_uses_the_images_of_its_revision(
    checkout: Checkout, make_images: Callable[..., None], tmp_path: Path
) -> None:
    images = checkout.folder / "data" / "images"
    make_images(images, ("my cats", "bird"), n=12)
    before = sum(file.is_file() for file in images.rglob("*"))
    checkout.run("dvc", "add", "data/images")
    checkout.commit("images")
    tracked = re.findall(r"md5: (\S+)", (checkout.folder / "data/images.dvc").read_text())[0]
    checkout.run("dvc", "exp", "run", "--queue", "-n", "pinned", *FOLDER, *OWN, "download")
    make_images(images, ("my cats", "cow"), n=14)
    printed = checkout.run("dvc", "exp", "run", "--run-all")
    counts = re.search(r"images: (\d+) \+ (\d+) images", printed)
    assert counts, printed
    assert int(counts[1]) + int(counts[2]) == before
    assert _lock_hash(checkout, "pinned", "data/images") == tracked
    # The clone that `verify` and `reproduce` make
    code = "import sys; from pathlib import Path; from reprocnn.ledger import revisions\n"
    code += "print(revisions.clone(revisions.of('pinned').commit, Path(sys.argv[1])))"
    clone = tmp_path / "clone"
    printed = checkout.run("python", "-c", code, str(clone), PYTHONPATH=str(checkout.folder / "src"))
    assert "in neither Git nor DVC" not in printed
    assert sum(file.is_file() for file in (clone / "data" / "images").rglob("*")) == before
    checkout.run("git", "reset", "-q", "--hard", "HEAD~1")
    shutil.rmtree(images)
    checkout.run("dvc", "checkout")


def test_the_folder_of_images_may_be_a_symbolic_link(
    checkout: Checkout, make_images: Callable[..., None], tmp_path: Path
) -> None:
    make_images(tmp_path, ("cat", "dog"), n=10)
    (checkout.folder / "data" / "images").symlink_to(tmp_path)
    checkout.edit("LICENSE", "MIT", "My edit, MIT")
    printed = checkout.run("dvc", "exp", "run", *FOLDER, *OWN, "download")
    assert "images: 16 + 4 images of 8x8x3" in printed
    assert "My edit" in (checkout.folder / "LICENSE").read_text()
    assert checkout.run("git", "stash", "list") == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat", "dog"]
    (checkout.folder / "data" / "images").unlink()
    _restore(checkout)


@pytest.mark.parametrize("name", ["pets (1), k=v", "it's 100% ü", "~[z] a#b & {c}"])
def test_a_folder_with_an_unusual_name_is_given_in_quotes(
    checkout: Checkout, make_images: Callable[..., None], tmp_path: Path, name: str
) -> None:
    make_images(tmp_path / name, n=10)
    quoted = str(tmp_path / name).replace("'", "\\'")
    printed = checkout.run("dvc", "exp", "run", *FOLDER, "-S", f"folder='{quoted}'", "download")
    assert f"{name}: 16 + 4 images" in printed
    _restore(checkout)
