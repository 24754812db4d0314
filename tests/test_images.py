"""The user's own images through dvc: tracked, not tracked, linked, with odd names."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from checkouts import Checkout, stages_run

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
    printed = checkout.run("dvc", "exp", "run", *FOLDER, *OWN, "download")
    assert "images: 16 + 4 images of 8x8x3" in printed
    make_images(images, ("my cats",), n=11)
    assert stages_run(checkout.run("dvc", "repro", "download")) == ["download"]
    (images / "my cats" / "3.png").unlink()
    (images / "my cats" / "notes.txt").write_text("not an image")
    printed = checkout.run("dvc", "repro", fails=True)
    assert "not an image that Pillow can read (1):\n    my cats/notes.txt\n" in printed
    assert "Traceback" not in printed
    (images / "my cats" / "notes.txt").unlink()
    assert "images: 16 + 4 images" in checkout.run("dvc", "repro", "download")
    assert stages_run(checkout.run("dvc", "repro", "download")) == []


@pytest.mark.slow
def test_a_run_says_that_its_images_are_not_tracked(checkout: Checkout, make_images: Callable[..., None]) -> None:
    make_images(checkout.folder / "data" / "images", n=10)
    printed = checkout.run("dvc", "exp", "run", "-n", "copied", "--temp", "-C", "data/images", *FOLDER, *OWN, "train")
    assert "neither Git nor DVC tracks the images at data/images" in printed
    (run,) = [run for run in checkout.runs() if run["name"] == "copied"]
    assert run["tags"]["images.untracked"] == "data/images"
    printed = checkout.run("dvc", "exp", "run", "-n", "here", *FOLDER, *OWN, "download")
    assert "'download' is cached" in printed  # the same images: DVC takes what the other run made
    assert _lock_hash(checkout, "copied", "data/images") == _lock_hash(checkout, "here", "data/images")


@pytest.mark.slow
def test_an_experiment_in_a_copy_of_the_checkout_reads_the_images_of_a_manifest(
    checkout: Checkout, make_images: Callable[..., None]
) -> None:
    make_images(checkout.folder / "data" / "images", n=10)
    checkout.reprocnn("manifest", "data/images")
    checkout.commit("a manifest of the images")
    options = [*FOLDER, "-S", "folder=data/images.manifest.csv"]
    printed = checkout.run("dvc", "exp", "run", "--temp", *options, "download")
    assert "images: 16 + 4 images of 8x8x3" in printed
    (checkout.folder / "data" / "images" / "cat" / "3.png").write_bytes(b"another")
    printed = checkout.run("dvc", "exp", "run", "--temp", *options, "-S", "split_seed=1", "download", fails=True)
    assert "images.manifest.csv is out of date" in printed
    assert "1 changed (cat/3.png)" in printed


@pytest.mark.slow
def test_the_images_of_an_experiment_are_those_of_its_revision(
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
    code += "print(revisions.clone(revisions.find('pinned').commit, Path(sys.argv[1])))"
    clone = tmp_path / "clone"
    printed = checkout.run("python", "-c", code, str(clone), PYTHONPATH=str(checkout.folder / "src"))
    assert "neither Git nor DVC" not in printed
    assert sum(file.is_file() for file in (clone / "data" / "images").rglob("*")) == before


def test_images_may_be_a_link(checkout: Checkout, make_images: Callable[..., None], tmp_path: Path) -> None:
    there = tmp_path / "there"
    make_images(there, ("cat", "dog"), n=10)
    (checkout.folder / "data" / "images").symlink_to(there)
    checkout.edit("LICENSE", "MIT", "My edit, MIT")
    printed = checkout.run("dvc", "exp", "run", *FOLDER, *OWN, "download")
    assert "images: 16 + 4 images of 8x8x3" in printed
    assert "My edit" in (checkout.folder / "LICENSE").read_text()
    assert checkout.run("git", "stash", "list") == ""
    assert sorted(path.name for path in there.iterdir()) == ["cat", "dog"]


@pytest.mark.parametrize("name", ["pets (1), k=v & it's 100% ü", "~[z] a#b & {c}"])
def test_a_folder_with_an_unusual_name_is_given_in_quotes(
    checkout: Checkout, make_images: Callable[..., None], tmp_path: Path, name: str
) -> None:
    make_images(tmp_path / name, n=10)
    quoted = str(tmp_path / name).replace("'", "\\'")
    printed = checkout.run("dvc", "exp", "run", *FOLDER, "-S", f"folder='{quoted}'", "download")
    assert f"{name}: 16 + 4 images" in printed
