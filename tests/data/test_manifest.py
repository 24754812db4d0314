import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reprocnn import cli
from reprocnn.commands.manifest import write_manifest
from reprocnn.data import folder
from reprocnn.data.manifest import list_files, read_manifest
from reprocnn.data.raw import RawData
from reprocnn.data.title import title
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

Make = Callable[..., None]


@pytest.fixture
def pets(here: Path, make_images: Make, capsys: pytest.CaptureFixture[str]) -> Path:
    """Provide a manifest of a folder with class folders, a table, a README and junk."""
    make_images(here / "data" / "my pets", n=3)
    for name in ("README.md", "Thumbs.db"):
        (here / "data" / "my pets" / name).write_text("x")
    rows = [f"{name}/{i}.png,{name},p{i}" for name in ("cat", "dog") for i in range(3)]
    (here / "data" / "my pets" / "labels.csv").write_text("\n".join(["file,label,patient", *rows]))
    write_manifest(str(here / "data" / "my pets"))
    capsys.readouterr()
    return here / "data" / "my pets.manifest.csv"


def _load(path: Path) -> RawData:
    return folder.load(DownloadParams(dataset="folder", folder=str(path), image_size=8), places())


def test_a_manifest_has_a_row_for_the_folder_and_a_sorted_row_per_file(pets: Path) -> None:
    lines = pets.read_text().splitlines()
    assert lines[:2] == ["path,size,sha256", "my pets/,,"]
    names = [line.split(",")[0] for line in lines[2:]]
    assert names == [f"my pets/{name}" for name in list_files(pets.parent / "my pets")]
    assert names[0] == "my pets/cat/0.png"
    assert len(names) == 7
    before = pets.read_bytes()
    write_manifest(str(pets.parent / "my pets"))
    assert pets.read_bytes() == before


def test_a_manifest_gives_the_same_data_as_its_folder(pets: Path) -> None:
    by_manifest, by_folder = _load(pets), _load(pets.parent / "my pets")
    assert (by_manifest.images == by_folder.images).all()
    assert by_manifest.files == by_folder.files
    assert by_manifest.groups == ["p0", "p1", "p2"] * 2
    assert title("folder", str(pets)) == "my pets"


def test_the_command_writes_to_another_folder_and_names_the_next_command(
    pets: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["manifest", "data/my pets", "--output", "lists/a.manifest.csv"])
    assert "next: dvc exp run -S dataset=folder -S folder=lists/a.manifest.csv" in capsys.readouterr().out
    assert read_manifest(here / "lists" / "a.manifest.csv").folder == here / "data" / "my pets"
    assert len(_load(here / "lists" / "a.manifest.csv").files) == 6


def _flip(*files: Path) -> int:
    """Change a bit of each file; return the number of files."""
    for file in files:
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)
    return len(files)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda pets: (pets / "cat" / "0.png").unlink(), "1 missing (cat/0.png)"),
        (lambda pets: (pets / "dog" / "9.png").write_bytes(b"x"), "1 new (dog/9.png)"),
        (lambda pets: (pets / "dog" / "1.png").write_bytes(b"x"), "1 changed (dog/1.png)"),
        (lambda pets: _flip(*(pets / "dog").iterdir()), "3 changed (dog/0.png, dog/1.png, dog/2"),
        (lambda pets: _flip(pets / "labels.csv"), "1 changed (labels.csv)"),
        (lambda pets: (pets / "cat" / "0.png").rename(pets / "z.png"), "1 missing (cat/0.png), 1 new (z.png)"),
    ],
)
def test_other_files_than_in_the_manifest_are_refused(
    pets: Path, change: Callable[[Path], object], expected: str
) -> None:
    change(pets.parent / "my pets")
    with pytest.raises(UserError) as caught:
        _load(pets)
    assert expected in caught.value.problem
    assert f"python -m reprocnn manifest '{pets.parent / 'my pets'}' --output '{pets}'`" in caught.value.fix


def test_readmes_and_junk_may_change(pets: Path) -> None:
    (pets.parent / "my pets" / "README.md").write_text("changed")
    (pets.parent / "my pets" / "cat" / ".DS_Store").write_text("new")
    assert len(_load(pets).files) == 6


@pytest.mark.parametrize(
    "content",
    ["", "path,size\n", "path,size,sha256\n", "path,size,sha256\nx/,,\nx/a,b,c\n", "path,size,sha256\nx,1,a\n"],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.manifest.csv").write_text(content)
    with pytest.raises(UserError, match="a.manifest.csv is not a manifest with the columns path, size, sha256"):
        read_manifest(tmp_path / "a.manifest.csv")


def test_the_folder_of_a_manifest_may_be_in_the_checkout_of_which_here_is_a_copy(
    pets: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = here / "copy"
    copy.mkdir()
    shutil.copytree(here / "data", copy / "data", ignore=shutil.ignore_patterns("my pets"))
    monkeypatch.chdir(copy)
    (listed,) = Path("data").iterdir()
    assert read_manifest(listed, here).folder == here / "data" / "my pets"
    (copy / "data" / "my pets").mkdir()
    (copy / "data" / "my pets" / "README.md").write_text("in Git")
    assert read_manifest(listed, here).folder == here / "data" / "my pets"
    shutil.rmtree(copy / "data" / "my pets")
    with pytest.raises(UserError, match="which does not exist"):
        read_manifest(listed)


def test_a_manifest_of_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.manifest.csv").write_text("path,size,sha256\npets/,,\n")
    with pytest.raises(UserError, match="names the folder .*pets, which does not exist"):
        read_manifest(tmp_path / "a.manifest.csv")


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("none", None, "none does not exist"),
        ("file", None, "file is a file, which DVC hashes quickly"),
        ("empty", None, "empty has no files"),
        ("full", "full.csv", "full.csv does not end with .manifest.csv"),
        ("full", "full/a.manifest.csv", "is in the folder that it lists"),
    ],
)
def test_a_manifest_that_can_not_be_written_is_refused(
    here: Path, name: str, output: str | None, expected: str
) -> None:
    (here / "file").write_text("x")
    (here / "empty").mkdir()
    (here / "full").mkdir()
    (here / "full" / "a.png").write_text("x")
    with pytest.raises(UserError, match=expected):
        write_manifest(name, output)
    assert not list(here.rglob("*.manifest.csv*"))
