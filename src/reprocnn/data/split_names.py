"""Interpret folder names: a split, or something else that isn't a class."""

import re

_KINDS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
# Words that don't change the meaning of those above: train_images, val2017, testing_set, trainset.
_FILLERS = {
    *("set", "sets", "data", "dataset", "datasets", "split", "splits", "folder", "dir", "sample", "samples"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"),
}
_KIND_OF = {word + filler: kind for kind, words in _KINDS.items() for word in words for filler in ("", *_FILLERS)}
_CONTAINERS = {"image", "images", "img", "imgs", "data", "dataset", "datasets"}
_UNLABELLED = {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"}
_ABOUT = {"annotation", "annotations", "meta", "metadata", "label", "labels", "papers", "doc", "docs", "info"}


def split_of(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Find the split that a name contains as a word, in any case.

    Returns:
        `train`, `test` or `validation`, `unclear` for several of them, None for none; and the other words, which make
        it uncertain: none in `Training` and `val2017`, `seg` in `seg_train`, `tube` in `test_tube`.
    """
    for words in (_words(name), _words(_apart(name))):
        if kinds := {_KIND_OF[word] for word in words if word in _KIND_OF}:
            rest = tuple(word for word in words if word not in _KIND_OF and word not in _FILLERS)
            return (kinds.pop() if len(kinds) == 1 else "unclear"), rest
    return None, ()


def may_be_a_class(name: str) -> bool:
    """Return whether a name of a split is also an everyday word: valid (and invalid), dev."""
    return name.lower() in {"valid", "dev"}


def is_container(name: str) -> bool:
    """Return whether a name says only that there are images: images, data."""
    return bool(words := _words(name)) and set(words) <= _CONTAINERS


def is_unlabelled(name: str) -> bool:
    """Return whether a name stands for images without classes: seg_pred, unlabelled."""
    return not _UNLABELLED.isdisjoint(_words(name))


def is_about(name: str) -> bool:
    """Return whether a name stands for information about the images: meta, annotations."""
    return not _ABOUT.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _apart(name: str) -> str:
    """Insert a space where the case of a name changes, as in segTrain."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
