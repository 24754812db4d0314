import pytest

from reprocnn.data.junk import is_junk, is_note

JUNK = [
    *("cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "@eaDir", "#recycle/1.jpg", "#snapshot", "@Recycle/1.jpg"),
    *("@Recently-Snapshot/a/1.jpg", "cat/SYNOFILE_THUMB_M.png", "$RECYCLE.BIN/1.jpg", "System Volume Information/x"),
    *("cat/Thumbs.db", "cat/Thumbs.db:encryptable", "cat/ehthumbs.db", "cat/ehthumbs_vista.db", "cat/Desktop.ini"),
    *("cat/._1.jpg", "cat/.DS_Store", ".AppleDouble/1.jpg", "cat/Icon\r", "__MACOSX/cat/._1.jpg", ".Trash-1000/1.jpg"),
    *("cat/~$1.jpg", "lost+found/1", "cat/1.jpg.part", "cat/1.jpg.crdownload", "cat/1.jpg.partial", "cat/1.tmp"),
    *("cat/1.jpg~", "cat/1.jpg.bak", "cat/1.url", "cat/1.lnk", "cat/.picasa.ini", "cat/Picasa.ini", "cat/1.xmp"),
    *("cat/1.jpg:Zone.Identifier", "LOST.DIR/1", "cat/1.AAE", "pets.zip.dvc", "FOUND.000/1.chk"),
]
IMAGES = [
    *(
        "cat/1.jpg",
        "cat/1",
        "eaDir/1.jpg",
        "recycle/1.jpg",
        "snapshot/1.jpg",
        "thumbs/1.jpg",
        "lost/1.jpg",
        "tmp/1.jpg",
    ),
    *("desktop/1.jpg", "icon/1.png", "part/1.jpg", "cat/readme.jpg", "license plates/1.jpg", "cat/~1.jpg", "#1/1.jpg"),
    *("$1/1.jpg", "@home/1.jpg", "cat/a.part.jpg", "c~at/1.jpg", "recycled/1.jpg", "bak/1.jpg", "download/1.jpg"),
]


@pytest.mark.parametrize("name", JUNK)
def test_hidden_system_and_temporary_files_are_junk(name: str) -> None:
    assert is_junk(name)


@pytest.mark.parametrize("name", IMAGES)
def test_images_and_classes_are_not_junk(name: str) -> None:
    assert not is_junk(name)
    assert not is_note(name)


@pytest.mark.parametrize("name", ["README", "x/README.md", "readme[1].txt", "LICENSE", "licence.txt", "LICENSE-CC0.md"])
def test_a_readme_or_license_is_a_note(name: str) -> None:
    assert is_note(name)
