"""What the name of a folder says: that it is a split, or something else that isn't a class."""

import re

_KINDS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
# These stand beside the words above without changing what they mean: train_images, val2017, testing_set, trainset.
_FILLERS = {
    *("set", "sets", "data", "dataset", "datasets", "split", "splits", "folder", "dir", "sample", "samples"),
    *("image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos"),
}
_KIND_OF = {word + filler: kind for kind, words in _KINDS.items() for word in words for filler in ("", *_FILLERS)}
_CONTAINERS = {"image", "images", "img", "imgs", "data", "dataset", "datasets"}
_UNLABELLED = {"pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled"}
_ABOUT = {"annotation", "annotations", "meta", "metadata", "label", "labels", "papers", "doc", "docs", "info"}


def split_of(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Tell which split a name means, by whole words in any case.

    Returns:
        `train`, `test` or `validation`, `unclear` where it names several, None where it names none; and the words that
        make it less than certain: none in `Training` and `val2017`, `seg` in `seg_train`, `tube` in `test_tube`.
    """
    for words in (_words(name), _words(_apart(name))):
        if kinds := {_KIND_OF[word] for word in words if word in _KIND_OF}:
            rest = tuple(word for word in words if word not in _KIND_OF and word not in _FILLERS)
            return (kinds.pop() if len(kinds) == 1 else "unclear"), rest
    return None, ()


def may_be_a_class(name: str) -> bool:
    """Tell whether a name that otherwise means a split is an everyday word too: valid (and invalid), dev."""
    return name.lower() in {"valid", "dev"}


def is_container(name: str) -> bool:
    """Tell whether a name says no more than that there are images: images, data."""
    return bool(words := _words(name)) and set(words) <= _CONTAINERS


def is_unlabelled(name: str) -> bool:
    """Tell whether a name is that of images without classes: seg_pred, unlabelled."""
    return not _UNLABELLED.isdisjoint(_words(name))


def is_about(name: str) -> bool:
    """Tell whether a name is that of a folder about the images: meta, annotations."""
    return not _ABOUT.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _apart(name: str) -> str:
    """The name with a space where its case changes, as in segTrain."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
