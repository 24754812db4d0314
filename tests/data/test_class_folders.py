"""Classes and splits from folder names: layouts of public data sets, and ambiguous layouts, which are errors."""

from collections import Counter
from pathlib import Path

import pytest

from reprocnn.data.class_folders import read_class_folders
from reprocnn.data.layout import Layout
from reprocnn.data.split_names import split_of
from reprocnn.errors import UserError


def _read(*patterns: str) -> Layout:
    return read_class_folders(Path("x"), _files(*patterns), [])


def _files(*patterns: str) -> list[str]:
    """Expand patterns: `cat,dog/*.jpg` is two images in each folder, a pattern without `*` is one file."""
    files = []
    for pattern in patterns:
        names = [""]
        for part in pattern.split("/"):
            options = [part.replace("*", i) for i in "12"] if "*" in part else part.split(",")
            names = [f"{name}/{option}".lstrip("/") for name in names for option in options]
        files += names
    return files


def _counts(layout: Layout) -> dict[str, int]:
    """Return `split class` -> number of images."""
    return dict(Counter(f"{split} {name}" for name, split in zip(layout.classes, layout.splits, strict=True)))


def _error(*patterns: str) -> str:
    """Return the error message that a layout causes."""
    with pytest.raises(UserError) as caught:
        _read(*patterns)
    return str(caught.value)


TRAIN = {"train a": 2, "train b": 2}
SPLIT = {**TRAIN, "test a": 2, "test b": 2}
VALIDATION = {"validation a": 2, "validation b": 2}
ALL = {"all a": 2, "all b": 2}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(["a,b/*.jpg"], ALL, id="one level"),
        pytest.param(["pets/images/a,b/*.jpg"], ALL, id="one level in wrappers"),
        pytest.param(["train,test/a,b/*.jpg"], SPLIT, id="splits"),
        pytest.param(["x/y/train,test/a,b/*.jpg"], SPLIT, id="splits in wrappers"),
        pytest.param(["train/train/a,b/*.jpg", "test/a,b/*.jpg"], SPLIT, id="a wrapper below one split"),
        pytest.param(["my test data/train,test/a,b/*.jpg"], SPLIT, id="a wrapper named like a split"),
        pytest.param(["train/train,test/a,b/*.jpg"], SPLIT, id="a wrapper named train around splits"),
        pytest.param(["train,val,test/a,b/*.jpg"], VALIDATION | SPLIT, id="three splits"),
        pytest.param(["train,valid/a,b/*.jpg"], VALIDATION | TRAIN, id="valid without test"),
        pytest.param(["train,Validation/a,b/*.jpg"], VALIDATION | TRAIN, id="validation without test"),
        pytest.param(["a,b/train,val,test/*.jpg"], VALIDATION | SPLIT, id="three splits in classes"),
        pytest.param(["imagenette2/train,val/a,b/*.jpg"], VALIDATION | TRAIN, id="imagenette"),
        pytest.param(["chest_xray/train,test,val/a,b/*.jpg"], VALIDATION | SPLIT, id="chest_xray once"),
        pytest.param(["train/a,b/*.jpg"], ALL, id="train alone"),
        pytest.param(["seg_train/seg_train/a,b/*.jpg"], ALL, id="train alone with another name"),
        pytest.param(["a,b/train,test/*.jpg"], SPLIT, id="splits in classes"),
        pytest.param(["Training,Test/a,b/*.jpg"], SPLIT, id="upper case"),
        pytest.param(["a,b/images/*.jpg"], ALL, id="a wrapper below each class"),
        pytest.param(["train/a,b/images/*.jpg", "test/a,b/*.jpg"], SPLIT, id="tiny-imagenet's classes"),
        pytest.param(["a/*.jpg", "b/c/1.jpg", "b/d/2.jpg"], ALL, id="folders in one of the classes"),
        pytest.param(["train/a,b/x,y/1.jpg"], ALL, id="folders in classes below train"),
        pytest.param(
            ["train/test tube,valid,train/*.jpg"],
            {"all test tube": 2, "all valid": 2, "all train": 2},
            id="classes named like splits below train",
        ),
        pytest.param(["valid,invalid/*.jpg"], {"all valid": 2, "all invalid": 2}, id="an everyday word"),
        pytest.param(
            ["cafe\u0301,b/1.jpg", "caf\u00e9/2.jpg"], {"all caf\u00e9": 2, "all b": 1}, id="two encodings of é"
        ),
        pytest.param(
            ["train/cafe\u0301,b/1.jpg", "test/caf\u00e9,b/1.jpg"],
            {"train caf\u00e9": 1, "test caf\u00e9": 1, "train b": 1, "test b": 1},
            id="two encodings of é in splits",
        ),
        # public data sets, as published
        pytest.param(
            ["seg_train/seg_train/a,b/*.jpg", "seg_test/seg_test/a,b/*.jpg", "seg_pred/seg_pred/*.jpg"],
            SPLIT,
            id="Intel image classification",
        ),
        pytest.param(["training_set/training_set/a,b/*.jpg", "test_set/test_set/a,b/*.jpg"], SPLIT, id="cats and dogs"),
        pytest.param(["EuroSAT/2750/a,b/*.jpg"], ALL, id="EuroSAT"),
        pytest.param(["flower_photos/a,b/*.jpg", "flower_photos/LICENSE.txt"], ALL, id="flowers"),
        pytest.param(
            ["101_ObjectCategories/a,BACKGROUND_Google/*.jpg", "Annotations/a/annotation_*.mat"],
            {"all a": 2, "all BACKGROUND_Google": 2},
            id="Caltech-101",
        ),
        pytest.param(["food-101/images/a,b/*.jpg", "food-101/meta/train.txt,train.json"], ALL, id="Food-101"),
        pytest.param(
            ["Images/n02085620-Chihuahua,n02085782-Japanese_spaniel/*.jpg"],
            {"all n02085620-Chihuahua": 2, "all n02085782-Japanese_spaniel": 2},
            id="Stanford dogs",
        ),
        pytest.param(["PetImages/a,b/*.jpg", "MSR-LA - 3467.docx", "readme[1].txt"], ALL, id="PetImages"),
        pytest.param(["Training,Test/a,b/*.jpg", "papers/*.pdf"], SPLIT, id="fruits-360, older"),
        pytest.param(
            ["train,test/a,b/*.jpg", "train.csv", "test.csv", "train/classes.txt"], SPLIT, id="lists beside the splits"
        ),
    ],
)
def test_a_layout_is_read(patterns: list[str], expected: dict[str, int]) -> None:
    assert _counts(_read(*patterns)) == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(
            ["Training,Test/a,b/*.jpg", "test-multiple_fruits/*.jpg", "papers/1.pdf"],
            "expected at most one train/, val/ and test/, found Training/, Test/, test-multiple_fruits/",
            id="fruits-360",
        ),
        pytest.param(
            ["chest_xray/chest_xray/train,test,val/a,b/*.jpg", "chest_xray/train,test,val/a,b/*.jpg"],
            "expected only train/, val/ and test/, found chest_xray/chest_xray/ beside chest_xray/train/",
            id="chest_xray",
        ),
        pytest.param(
            ["chest_xray/chest_xray/train,test/a,b/*.jpg", "chest_xray/train,test/a,b/*.jpg"],
            "found chest_xray/chest_xray/ beside chest_xray/train/",
            id="chest_xray without val",
        ),
        pytest.param(
            ["flowers/a,b/*.jpg", "flowers/flowers/a,b/*.jpg"],
            "'a' is a class, but also a folder",
            id="duplicate images",
        ),
        pytest.param(
            ["t/train/a,b/images/*.jpg", "t/val/images/*.jpg", "t/test/images/*.jpg"],
            "the images in t/val/ are not in class folders",
            id="tiny-imagenet",
        ),
        pytest.param(
            ["t/train/a,b/images/*.jpg", "t/test/images/*.jpg"],
            "the images in t/test/ are not in class folders",
            id="tiny-imagenet without val",
        ),
        pytest.param(
            ["Train/0,1/*.png", "Test/*.png", "Train.csv"], "the images in Test/ are not in class", id="GTSRB"
        ),
        pytest.param(["Train/0,1/*.png", "Test/*.png", "Meta/*.png"], "found Meta/ beside Train/", id="GTSRB's Meta"),
        pytest.param(
            ["images/train2017,val2017/*.jpg", "annotations/a.json"], "images/val2017/ are not in class", id="COCO"
        ),
        pytest.param(["train,test1/*.jpg"], "the images in test1/ are not in class folders", id="dogs-vs-cats"),
        pytest.param(["Images,Annotation/a,b/1"], "Images/ is beside class folders, but its name", id="Stanford dogs"),
        pytest.param(["images,masks/*.png"], "images/ is beside class folders, but its name", id="masks"),
        pytest.param(["test/a,b/*.jpg"], "found test/ but no train/", id="test alone"),
        pytest.param(["val/a,b/*.jpg"], "found val/", id="val alone"),
        pytest.param(["a,b,test_images/*.jpg"], "found test_images/ but no train/", id="test beside classes"),
        pytest.param(
            ["bus,train,car/*.jpg"], "if 'train' is a class, put all class folders into one", id="a class named train"
        ),
        pytest.param(["beaker,test_tube/*.jpg"], "if 'test_tube' is a class, put all", id="a class named test_tube"),
        pytest.param(
            ["x_train,y_test/a,b/*.jpg"],
            "expected at most one train/, val/ and test/, found x_train/, y_test/",
            id="unrelated splits",
        ),
        pytest.param(
            ["a_train,a_test,b_train,b_test/*.jpg"], "expected at most one train/", id="splits in class names"
        ),
        pytest.param(["train_test,b/a/*.jpg"], "train_test/ names several splits", id="several splits"),
        pytest.param(
            ["a/train,test/*.jpg", "b/*.jpg"], "a/train/ is a split inside a class folder", id="splits in one class"
        ),
        pytest.param(
            ["train,val/a/*.jpg", "val/b/*.jpg"],
            "class 'b' in the validation split but not in train/",
            id="classes in val only",
        ),
        pytest.param(["train,val,valid/a,b/*.jpg"], "expected at most one train/, val/", id="two validation splits"),
        pytest.param(
            ["train/a,b/test/*.jpg"], "train/a/test/ is a split inside a class folder", id="splits above and in classes"
        ),
        pytest.param(["part1,part2/a,b/*.jpg"], "the class may be part1/ or part1/a/", id="classes in parts"),
        pytest.param(["a,b/*.jpg", "more/a,b/*.jpg"], "'a' is a class, but also a folder inside more/", id="more"),
        pytest.param(["a,b,unlabeled/*.jpg"], "unlabeled/ is beside class folders, but its name", id="unlabelled"),
        pytest.param(["train,test/a,b/*.jpg", "more/*.jpg"], "found more/ beside train/", id="extra folder"),
        pytest.param(["train,test/a,b/*.jpg", "train/1.jpg"], "train/1.jpg is not in a class", id="image in train"),
        pytest.param(["train,test/a,b/*.jpg", "test/1.jpg"], "test/1.jpg is not in a class", id="image in test"),
        pytest.param(["a,b/*.jpg", "*.jpg"], "1.jpg, 2.jpg are not in a class folder", id="images beside classes"),
        pytest.param(["a,b/*.jpg", "c.zip"], "expected images, found c.zip", id="an archive among classes"),
        pytest.param(["train.zip", "test.zip"], "unpack the archive", id="archives"),
        pytest.param(["a,b/*.jpg", "c/notes.txt"], "no images in c/", id="a class without images"),
        pytest.param(
            ["train/a,b,c/*.jpg", "test/a,d,e/*.jpg"],
            "classes 'd', 'e' in the test split but not in train/",
            id="classes in test only",
        ),
        pytest.param(["classes.txt"], "no images found", id="no images"),
    ],
)
def test_a_wrong_or_ambiguous_layout_is_refused_with_the_reason(patterns: list[str], expected: str) -> None:
    message = _error(*patterns)
    assert expected in message
    assert "\n  fix: " in message


def test_the_error_draws_the_folders_with_their_counts() -> None:
    drawing = _error("x/Training/Training/a,b,c,d,e,f,g,h/*.jpg", "x/eval/*.jpg", "x/9.jpg").splitlines()
    assert drawing[1:] == [
        "    x/  19 image(s)",
        "      Training/Training/  16 image(s)",
        *(f"        {name}/  2 image(s)" for name in "abcdef"),
        "        and 2 more folder(s)",
        "      eval/  2 image(s)",
        "      1 image(s) outside a folder: x/9.jpg",
        "  fix: move it away, or use " + drawing[-1].partition("use ")[2],
    ]


NAMES_OF_TRAIN = (
    "train Train TRAIN training Training train_images trainImages TRAINset trainset train-data dataset-train train2017 "
    "train_set training_set train.1 Train(1)"
)
OTHER_WORDS = (
    "trains latest protest contest value device testudo attest testimony valley devil trainer entrain validity "
    "mountain rain invalid évaluation detest pretests 测试 n02085620-Chihuahua 7"
)


@pytest.mark.parametrize("name", NAMES_OF_TRAIN.split())
def test_a_name_of_the_training_split_is_recognised(name: str) -> None:
    assert split_of(name) == ("train", ())


@pytest.mark.parametrize("name", OTHER_WORDS.split())
def test_an_everyday_word_is_not_a_split(name: str) -> None:
    assert split_of(name)[0] is None


def test_the_messages_say_where_images_come_from_and_what_is_ignored() -> None:
    layout = _read(
        "seg_train/a,b/*.jpg", "seg_test/a,b/*.jpg", "seg_pred/seg_pred/*.jpg", "info.csv", "seg_train/a/x/3.jpg"
    )
    assert layout.messages == [
        "training images from the class folders in seg_train/",
        "folders inside a class folder belong to that class: seg_train/a/x/",
        "test images from the class folders in seg_test/",
        "ignored 2 image(s) in seg_pred/, which has no class folders",
        "ignored 1 file(s) outside class folders that aren't images: info.csv",
    ]


def test_a_file_in_a_class_folder_is_an_image_whatever_its_suffix() -> None:
    assert _counts(_read("a,b/*.jpg", "a/notes.txt")) == {"all a": 3, "all b": 2}


def test_the_error_names_the_topmost_empty_folders() -> None:
    with pytest.raises(UserError, match="no images in c/, train/d/\n"):
        read_class_folders(Path("x"), _files("train/a,b/*.jpg"), ["c", "c/e", "c/e/f", "train", "train/a", "train/d"])
