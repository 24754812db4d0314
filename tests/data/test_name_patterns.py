import subprocess
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from reprocnn.data.name_patterns import groups_of, in_shell, propose_class_pattern, read_class_pattern
from reprocnn.errors import UserError

PETS = Path("pets")


def test_the_class_is_found_in_the_path_and_the_split_in_the_folders() -> None:
    files = ["train/cat.1.jpg", "train/dog.1.jpg", "val/cat.2.jpg", "notes.txt", "test1/7.jpg"]
    layout = read_class_pattern(PETS, files, r"([a-z]+)\.\d+\.jpg")
    assert list(zip(layout.names, layout.classes, layout.splits, strict=True)) == [
        ("train/cat.1.jpg", "cat", "train"),
        ("train/dog.1.jpg", "dog", "train"),
        ("val/cat.2.jpg", "cat", "validation"),
    ]
    assert layout.messages[1] == "ignored 1 image(s) in test1/, which have no class"


def test_a_group_with_the_name_is_preferred() -> None:
    assert groups_of(PETS, ["p7/cat_1.jpg", "p8/dog_1.jpg"], r"(?P<group>p\d)/(\w+)") == ["p7", "p8"]


def test_the_pattern_sees_composed_characters() -> None:
    assert read_class_pattern(PETS, ["cafe\u0301_1.jpg", "b_1.jpg"], r"^(\w+)_").classes == ["caf\u00e9", "b"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a_1.jpg", "a2.jpg", "b3.jpg"], "finds nothing in 2 of the paths: a2.jpg, b3.jpg"),
        (["test/1.jpg"], "finds nothing in 1 of the paths: test/1.jpg"),
        (["train/a_1.jpg", "val/b_1.jpg"], "no training images of 'b'"),
        (["test/a_1.jpg", "test/b_1.jpg"], "found no training images"),
    ],
)
def test_images_that_can_not_be_used_are_refused(files: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        read_class_pattern(PETS, files, r"([a-z]+)_\d")
    assert expected in caught.value.problem


def test_images_without_a_group_are_refused() -> None:
    with pytest.raises(UserError, match="group_pattern finds nothing in 1 of the paths: x.jpg"):
        groups_of(PETS, ["p1.jpg", "x.jpg"], r"(p\d)")


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["cat.123.jpg", "dog.4.jpg"], ["cat", "dog"]),
        (["dog_0001.png", "cat_0002.png"], ["cat", "dog"]),
        (["american_bulldog_1.jpg", "Abyssinian_2.jpg"], ["Abyssinian", "american_bulldog"]),
        (["cat (1).jpg", "dog (2).jpg"], ["cat", "dog"]),
        (["cat12.jpg", "dog13.jpg"], ["cat", "dog"]),
        (["001_cat.png", "002_dog.png"], ["cat", "dog"]),
        (["001_cat_1.png", "002_dog_2.png"], ["cat", "dog"]),
        (["train/cat.1.jpg", "train/dog.1.jpg"], ["cat", "dog"]),
    ],
)
def test_a_pattern_is_proposed_that_finds_the_classes(names: list[str], classes: list[str]) -> None:
    files = [*names, *(name.replace("1", "5").replace("2", "6") for name in names), "test1/1.jpg"]
    found = propose_class_pattern(files)
    assert found is not None
    assert found[1] == classes
    assert sorted(set(read_class_pattern(PETS, files, found[0]).classes)) == classes


@pytest.mark.parametrize(
    "names", [["IMG_1.jpg", "IMG_2.jpg"] * 2, ["a/cat.1.jpg", "b/dog.1.jpg"] * 2, ["x1.jpg", "y1.jpg"], ["1.jpg"] * 4]
)
def test_no_pattern_is_proposed_without_classes_in_the_names(names: list[str]) -> None:
    assert propose_class_pattern(names) is None


@pytest.mark.parametrize(
    "pattern",
    [r"([^/\d]+)[._ -]\d", r"^(\w{2,3})['`\"]$", r"(?P<class>a\\b|c=d, e)#~", r"(a)\\", r'(\"a)\\"$', r"(\$a)\$'"],
)
def test_the_shell_and_dvc_take_a_pattern_unchanged(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "params.yaml").write_text("class_pattern: none\n")
    printed = subprocess.check_output(["sh", "-c", f"printf '%s\\n' {in_shell('class_pattern', pattern)}"], text=True)
    option, override = printed.splitlines()
    apply_overrides(tmp_path / "params.yaml", [override])
    assert option == "-S"
    assert YAML(typ="safe").load(tmp_path / "params.yaml") == {"class_pattern": pattern}
