"""Recognise folder names that stand for a split, or for something else that isn't a class."""

import re

_SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
# Words that may accompany those above without changing the meaning: train_images, val_data, testing_set, trainset.
_FILLERS = {
    *("set", "sets", "data", "dataset", "datasets", "split", "splits", "folder", "dir", "sample", "samples"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"),
}
_SPLIT_OF = {word + filler: split for split, words in _SPLITS.items() for word in words for filler in ("", *_FILLERS)}
_CONTAINERS = {"image", "images", "img", "imgs", "data", "dataset", "datasets"}
_UNLABELLED = {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"}
_ABOUT = {"annotation", "annotations", "meta", "metadata", "label", "labels", "papers", "doc", "docs", "info"}


def split_of(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return which split a folder name stands for. It compares whole words and ignores case.

    Returns:
        A pair: `train`, `test` or `validation`, `unclear` if the name has several of them, None if it has none; and the
        other words in the name, which make this less certain: none in `Training` and `val2017`, `seg` in `seg_train`,
        `tube` in `test_tube`.
    """
    for words in (_words(name), _words(_split_camel_case(name))):
        if splits := {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}:
            others = tuple(word for word in words if word not in _SPLIT_OF and word not in _FILLERS)
            return (splits.pop() if len(splits) == 1 else "unclear"), others
    return None, ()


def may_be_a_class(name: str) -> bool:
    """Return whether the name of a split may also be a class: valid (beside invalid), dev."""
    return name.lower() in {"valid", "dev"}


def is_container(name: str) -> bool:
    """Return whether a name only says that the folder contains images or data: images, data, img."""
    return bool(words := _words(name)) and set(words) <= _CONTAINERS


def is_unlabelled(name: str) -> bool:
    """Return whether a name stands for images without classes: seg_pred, unlabelled."""
    return not _UNLABELLED.isdisjoint(_words(name))


def is_about(name: str) -> bool:
    """Return whether a name stands for information about the images: meta, annotations."""
    return not _ABOUT.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _split_camel_case(name: str) -> str:
    """Insert spaces into names such as segTrain."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
