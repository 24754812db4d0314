"""How a source is read: by a table, a pattern or class folders; contradictions are errors."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from reprocnn.data.choose_layout import choose_layout
from reprocnn.data.layout import Layout
from reprocnn.data.source import Source
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams

LOOSE = [f"img/{i}.jpg" for i in range(6)]
CAMERAS = [f"cam{i // 3}/{i}.jpg" for i in range(6)]
CLASSES = [f"{'cd'[i % 2]}/{i}.jpg" for i in range(6)]
SPLITS = ["train", "val", "test"]


def _read(images: Sequence[str], tables: dict[str, str], **params: str) -> Layout:
    contents = {name: content.encode() for name, content in tables.items()}
    source = Source(Path("pets"), [*images, *contents], [], [], contents, None, None)
    return choose_layout(source, DownloadParams(dataset="folder", **params))  # type: ignore[arg-type]


def _error(images: Sequence[str], tables: dict[str, str], **params: str) -> str:
    with pytest.raises(UserError) as caught:
        _read(images, tables, **params)
    return str(caught.value)


def _csv(header: str, line: str, n: int = 6, start: int = 0) -> str:
    """Write a table; in a line, {i} is the number of the row, {c} its class c or d, {s} its split, {h} i // 2."""
    rows = [line.format(i=i, c="cd"[i % 2], s=SPLITS[i // 2 % 3], h=i // 2) for i in range(start, start + n)]
    return "\n".join([header, *rows, ""])


@pytest.mark.parametrize(
    ("name", "header", "line"),
    [
        ("labels.csv", "file,label", "{i}.jpg,{c}"),
        ("labels.tsv", "label\tfilename", "{c}\t{i}.jpg"),
        ("img/metadata.csv", "id;breed", "{i};{c}"),
        ("meta/train.csv", "path,class", "img\\{i}.JPG,{c}"),
        ("labels.csv", ",image,label", "{i},/data/pets/img/{i}.jpg,{c}"),
        ("labels.csv", "image,name,label", "{i}.jpg,img/{i}.jpg,{c}"),
        ("labels.csv", "image,class_id,class_name", "{i}.jpg,{i}%2,{c}"),
        ("labels.csv", "id,image,label", "{i}7,{i}.jpg,{c}"),
    ],
)
def test_a_table_names_the_images_and_their_classes(name: str, header: str, line: str) -> None:
    table = _csv(header, line).replace("%2", "")
    if "class_id" in header:
        table = "image,class_id,class_name\n" + "".join(f"{i}.jpg,{i % 2},{'cd'[i % 2]}\n" for i in range(6))
    layout = _read(LOOSE, {name: table})
    assert (layout.names, layout.classes) == (LOOSE, list("cdcdcd"))
    assert set(layout.splits) == {"all"}
    assert set(layout.groups) == {""}
    assert layout.messages[0].startswith(f"{name}: file from ")


def test_numbers_are_classes_and_not_file_names() -> None:
    layout = _read(LOOSE, {"labels.csv": _csv("file,label", "{i}.jpg,{h}")})
    assert layout.classes == ["0", "0", "1", "1", "2", "2"]


def test_splits_and_groups_come_from_the_table() -> None:
    layout = _read(LOOSE, {"labels.csv": _csv("file,label,split,patient_id", "{i}.jpg,{c},{s},p{h}")})
    assert layout.splits == ["train", "train", "validation", "validation", "test", "test"]
    assert layout.groups == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert layout.messages == ["labels.csv: file from file, class from label, split from split, group from patient_id"]


def test_without_a_split_column_the_splits_come_from_the_folders() -> None:
    images = [f"{SPLITS[i // 2]}/{i}.jpg" for i in range(6)]
    layout = _read(images, {"labels.csv": _csv("file,label", "{i}.jpg,{c}")})
    assert layout.splits == ["train", "train", "validation", "validation", "test", "test"]


def test_the_columns_may_be_named() -> None:
    table = {"labels.csv": _csv("file,age,sex,other", "{i}.jpg,{h},{c},x{i}.jpg")}
    layout = _read(LOOSE, table, file_column="file", label_column="sex", group_column="age")
    assert (layout.classes, layout.groups) == (list("cdcdcd"), list("001122"))


def test_one_table_per_split_is_read_as_one() -> None:
    images = [f"images/{i}.jpg" for i in range(6)]
    tables = {f"{split}.csv": _csv("path,label", "{i}.jpg,{c}", 2, 2 * n) for n, split in enumerate(SPLITS)}
    layout = _read(images, tables)
    assert layout.splits == ["train", "train", "validation", "validation", "test", "test"]
    assert layout.messages[0].startswith("train.csv and val.csv and test.csv: file from path")


def test_the_test_images_of_a_competition_are_ignored() -> None:
    images = [*(f"train/{i}.jpg" for i in range(6)), "test1/images/6.jpg", "test1/images/7.jpg"]
    tables = {"train.csv": _csv("id,breed", "{i},{c}"), "sample_submission.csv": _csv("id,c,d", "{i},0.5,0.5", 2, 6)}
    assert "2 tables name images:\n    train.csv with the columns id (0), breed (c)" in _error(images, tables)
    layout = _read(images, tables, label_column="breed")
    assert len(layout.names) == 6
    assert layout.messages[1] == "ignored 2 image(s) in test1/images/, which have no class"


def test_a_table_that_repeats_the_classes_of_the_folders_adds_splits_and_groups() -> None:
    table = _csv("class id,file,label,set,patient", "{i},{c}/{i}.jpg,{c},{s},p{h}")
    layout = _read(CLASSES, {"birds.csv": table})
    assert layout.classes == list("cdcdcd")
    assert layout.splits == ["train", "train", "validation", "validation", "test", "test"]
    assert layout.groups == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert layout.messages[-1].endswith("as the folders")


def test_folders_that_may_be_classes_beside_a_table_with_other_classes_are_ambiguous() -> None:
    table = {"labels.csv": _csv("id,dx,age", "{i},{c},{h}")}
    message = _error(CAMERAS, table)
    assert (
        "the classes may be the folders (cam0, cam1) or a column of labels.csv with the columns id (0), dx" in message
    )
    assert message.endswith("`-S label_column=dx`, `-S label_column=age`; or `-S label_column=none` for the folders")
    assert _read(CAMERAS, table, label_column="dx").classes == list("cdcdcd")
    folders = _read(CAMERAS, table, label_column="none", group_column="age")
    assert (folders.classes[0], folders.groups) == ("cam0", list("001122"))
    assert set(_read(CAMERAS, table, file_column="none").classes) == {"cam0", "cam1"}


def test_class_folders_need_no_complete_table_that_adds_nothing() -> None:
    assert _read(CLASSES, {"labels.csv": _csv("file,label", "{i}.jpg,{c}", 3)}).classes == list("cdcdcd")
    message = _error(CLASSES, {"labels.csv": _csv("file,label,patient", "{i}.jpg,{c},p{h}", 3)})
    assert "3 image(s) have no row in labels.csv: d/3.jpg, c/4.jpg, d/5.jpg" in message


def test_the_table_may_be_in_a_folder_of_its_own_beside_class_folders() -> None:
    table = _csv("file,patient", "{i}.jpg,p{h}")
    source = Source(
        Path("pets"), [*CLASSES, "list/a.csv"], ["c", "d", "list"], [], {"list/a.csv": table.encode()}, None, None
    )
    layout = choose_layout(source, DownloadParams(dataset="folder"))
    assert (layout.classes, layout.groups) == (list("cdcdcd"), ["p0", "p0", "p1", "p1", "p2", "p2"])


def test_without_labels_in_the_table_the_folders_must_be_classes() -> None:
    message = _error(LOOSE, {"labels.csv": _csv("file,label", "{i}.jpg,{c}")}, label_column="none")
    assert "img/ is beside class folders, but its name doesn't look like a class" in message


@pytest.mark.parametrize("table", ["x,y\n1\n", "notes, as text\n", "name,label\ncat,1\n"])
def test_class_folders_may_have_any_table_beside_them(table: str) -> None:
    assert _read(CLASSES, {"notes.csv": table}).classes == list("cdcdcd")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (_csv("file,label", "{i}.jpg,{c}", 9), "3 row(s) of labels.csv name no image: 6.jpg, 7.jpg, 8.jpg"),
        (_csv("file,label", "{i}.jpg,{c}", 4), "2 image(s) have no row in labels.csv: img/4.jpg, img/5.jpg"),
        (_csv("file,label", "{i}.jpg,{c}") + "0.jpg,d\n", "labels.csv has img/0.jpg twice, with 'c' and 'd'"),
        (_csv("file,label", "{i}.jpg,{c}").replace(",d", ","), "3 row(s) of labels.csv have no label: 1.jpg, 3.jpg"),
        (_csv("0.jpg,c", "{i}.jpg,{c}", 5, 1), "the first line of labels.csv names the image 0.jpg, not the columns"),
        (_csv("file,age,sex", "{i}.jpg,{h},{c}"), "which column has the classes? Found labels.csv with the columns"),
        (_csv("file,x", "{i}.jpg,{i}"), "fix: add a column `label` with the class of each image"),
        (_csv("file,label,split", "{i}.jpg,{c},{h}"), "expected train, validation or test in the column split, found"),
        (_csv("file,label,split", "{i}.jpg,{c},test"), "found no training images"),
        (_csv("file,label,split,set", "{i}.jpg,{c},{s},train"), "['split', 'set'] have different splits"),
        ("a,b,label\n0.jpg,1.jpg,c\n1.jpg,0.jpg,d\n", "the columns a and b both name images"),
        (
            _csv("name,label", "x{i}.jpg,{c}"),
            "\n    labels.csv with the columns name (x0.jpg), label (c), of which none",
        ),
        ("file,label\n0.jpg\n", "labels.csv, line 2: expected 2 cells"),
    ],
)
def test_a_table_that_does_not_describe_the_images_is_refused(table: str, expected: str) -> None:
    assert expected in _error(LOOSE, {"labels.csv": table})


def test_a_file_name_that_several_images_have_is_refused() -> None:
    images = ["img/0.jpg", "masks/0.jpg", *LOOSE[1:]]
    message = _error(images, {"labels.csv": _csv("file,label", "{i}.jpg,{c}")})
    assert "'0.jpg' in labels.csv may be img/0.jpg, masks/0.jpg" in message


def test_a_repeated_row_is_used_once() -> None:
    layout = _read(LOOSE, {"labels.csv": _csv("file,label", "{i}.jpg,{c}") + "0.jpg,c\n"})
    assert layout.names == LOOSE
    assert layout.messages[0].endswith("; 1 repeated row(s) are used once")


@pytest.mark.parametrize(
    ("tables", "params", "expected"),
    [
        ({"l.csv": _csv("file,label", "{i}.jpg,{c}")}, {"label_column": "breed"}, "label_column: breed, but no table"),
        ({"l.csv": _csv("file,label", "{i}.jpg,{c}")}, {"file_column": "path"}, "l.csv with the columns file (0.jpg)"),
        ({}, {"group_column": "patient"}, "found no table"),
        ({"l.csv": _csv("file,label", "x{i}.jpg,{c}")}, {"file_column": "file"}, "6 row(s) of l.csv name no image"),
    ],
)
def test_a_column_that_is_not_there_is_refused(tables: dict[str, str], params: dict[str, str], expected: str) -> None:
    assert expected in _error(LOOSE, tables, **params)


def test_a_split_of_the_table_that_contradicts_the_folder_is_refused() -> None:
    images = [f"{split}/{c}/{i}.jpg" for split in ("train", "test") for c in "cd" for i in range(3)]
    rows = [f"{image},{'test' if image == 'train/c/0.jpg' else image.split('/')[0]}" for image in images]
    message = _error(images, {"l.csv": "\n".join(["file,split", *rows])})
    assert "train/c/0.jpg is in the split test by l.csv, and in train by its folder" in message


def test_the_error_for_loose_images_proposes_a_pattern() -> None:
    images = [f"{'cat' if i % 2 else 'dog'}.{i}.jpg" for i in range(6)]
    message = _error(images, {})
    assert "fix: if the classes are cat, dog, `-S \"class_pattern='([^/\\d]+)[._ -]\\d'\"`; else" in message
    assert _read(images, {}, class_pattern=r"([^/\d]+)[._ -]\d").classes == ["dog", "cat"] * 3


def test_groups_come_from_the_paths_in_every_layout() -> None:
    layout = _read(CLASSES, {}, group_pattern=r"(\d)\.jpg")
    assert layout.groups == list("012345")
    assert layout.messages[-1] == r"6 groups from the file names: (\d)\.jpg"
    table = {"labels.csv": _csv("file,label", "{i}.jpg,{c}")}
    assert _read(LOOSE, table, group_pattern=r"(\d)\.jpg").groups == list("012345")


def test_both_encodings_of_an_accent_are_the_same_class() -> None:
    table = "file,label\n0.jpg,caf\u00e9\n1.jpg,cafe\u0301\n2.jpg,b\n"
    assert set(_read(LOOSE[:3], {"labels.csv": table}).classes) == {"caf\u00e9", "b"}
