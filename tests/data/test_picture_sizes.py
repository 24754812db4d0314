import zipfile
from pathlib import Path

from PIL import Image

from reprocnn.commands.manifest import write_manifest
from reprocnn.data.picture_sizes import odd_sizes
from reprocnn.params import DownloadParams

FILES = ["cat/long.png", "cat/normal.png", "cat/tiny.png", "cat/gone.png", "cat/broken.png"]


def _params(folder: Path) -> DownloadParams:
    return DownloadParams(dataset="folder", folder=str(folder), image_size=32)


def _make(folder: Path) -> None:
    (folder / "cat").mkdir(parents=True)
    for name, size in (("long", (200, 50)), ("normal", (60, 30)), ("tiny", (15, 20))):
        Image.new("RGB", size).save(folder / "cat" / f"{name}.png")
    (folder / "cat" / "broken.png").write_bytes(b"x")
    (folder / "cat" / "other.txt").write_text("no picture of the data set")


def test_tiny_and_long_pictures_are_found_with_their_size(tmp_path: Path) -> None:
    _make(tmp_path)
    found = odd_sizes(_params(tmp_path), FILES).sort_values("row")
    assert found.to_numpy().tolist() == [
        [0, "aspect", 0.75, "200x50 pixels; the crop shows 25% of it"],
        [2, "tiny", 0.5312, "15x20 pixels, enlarged to 32"],
    ]


def test_an_archive_has_the_same_findings(tmp_path: Path) -> None:
    _make(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    found, expected = (odd_sizes(_params(path), FILES) for path in (tmp_path / "a.zip", tmp_path / "in"))
    assert found.sort_values("row").to_numpy().tolist() == expected.sort_values("row").to_numpy().tolist()


def test_a_manifest_stands_for_its_folder(tmp_path: Path) -> None:
    _make(tmp_path / "pets")
    write_manifest(str(tmp_path / "pets"))
    found = odd_sizes(_params(tmp_path / "pets.manifest.csv"), FILES)
    assert found.equals(odd_sizes(_params(tmp_path / "pets"), FILES))
    assert len(found) == 2
