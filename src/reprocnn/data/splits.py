"""Stratified splits, in which related images can be kept together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from reprocnn.errors import UserError


class Draw(NamedTuple):
    """How to draw a split."""

    key: str
    """The key of `fraction` in params.yaml, for the error messages."""
    fraction: float
    """Fraction of the images to choose, between 0 and 1 (both exclusive)."""
    seed: int
    """The random seed."""


def held_out(
    labels: NDArray[np.int64], class_names: Sequence[str], draw: Draw, groups: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Choose a random, stratified part of the images: every class has the same proportion in it as in the whole.

    Args:
        labels: int64 (N,), 0 to number of classes - 1.
        class_names: the class name of each label, in label order.
        draw: the fraction of images to choose, and the seed.
        groups: int64 (N,), the group of each image. All images of a group are chosen, or none; the proportions are then
            kept as far as the groups allow. None: each image is a group of its own.

    Returns:
        bool (N,), True for the chosen images.

    Raises:
        UserError: a class has fewer than two images or groups, or one of the two parts has fewer images than there are
            classes.
    """
    unit = "images" if groups is None else "groups"
    counts = _units_per_class(labels, len(class_names), groups)
    if small := [(name, count) for name, count in zip(class_names, counts, strict=True) if count < 2]:
        name, count = small[0]
        raise UserError(
            f"expected at least 2 {unit} per class to split by {draw.key}, found {count} of class {name!r}",
            "add images of it, or remove the class" if groups is None else "`-S split_by=image`, or add images of it",
        )
    return _stratified(labels, class_names, draw) if groups is None else _grouped(labels, draw, groups)


def _units_per_class(labels: NDArray[np.int64], n_classes: int, groups: NDArray[np.int64] | None) -> list[int]:
    """Count the images of each class, or its groups."""
    if groups is not None:
        labels = np.unique(np.stack([labels, groups]), axis=1)[0]
    return np.bincount(labels, minlength=n_classes).tolist()


def _stratified(labels: NDArray[np.int64], class_names: Sequence[str], draw: Draw) -> NDArray[np.bool_]:
    """Choose images, each of them on its own."""
    mask, rows = np.zeros(len(labels), dtype=bool), np.arange(len(labels))
    try:
        _, chosen = train_test_split(rows, test_size=draw.fraction, stratify=labels, random_state=draw.seed)
    except ValueError:
        raise UserError(
            f"{draw.key}={draw.fraction} of {len(labels)} images leaves one of the two parts with fewer images than "
            f"the {len(class_names)} classes",
            f"use more images or another {draw.key}",
        ) from None
    mask[chosen] = True
    return mask


def _grouped(labels: NDArray[np.int64], draw: Draw, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Go through the groups, the largest first, and choose each that brings the classes nearer to the fraction.

    scikit-learn's StratifiedGroupKFold works like this, but only for fractions of 1/k.
    """
    totals = np.bincount(labels)
    _, groups = np.unique(groups, return_inverse=True)
    sizes = np.bincount(groups)
    order = np.random.default_rng(draw.seed).permutation(len(sizes))  # groups of the same size in random order
    order = order[np.argsort(-sizes[order], kind="stable")]
    ends, members = np.cumsum(sizes), np.argsort(groups, kind="stable")
    chosen = np.zeros(len(sizes), dtype=bool)
    missing = np.zeros(len(totals))  # images per class that the chosen groups lack, of the groups seen so far
    for group in order.tolist():
        classes, counts = np.unique(labels[members[ends[group] - sizes[group] : ends[group]]], return_counts=True)
        missing[classes] += draw.fraction * counts
        # By how much the squared relative error is smaller with this group than without it
        if (counts * (2 * missing[classes] - counts) / totals[classes] ** 2).sum() > 0:
            chosen[group] = True
            missing[classes] -= counts
    for label in np.setdiff1d(labels, labels[chosen[groups]]):  # its groups are all much larger than the fraction
        own = np.unique(groups[labels == label])
        chosen[own[np.argmin(sizes[own])]] = True
    return chosen[groups]


def group_numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Number the groups of images.

    Args:
        names: the name of each image's group; an empty name is a group of its own.

    Returns:
        int64 (N,), equal for images of the same group.
    """
    numbers = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
    alone = np.array([not name for name in names], dtype=bool)
    numbers[alone] = len(names) + np.arange(int(alone.sum()))
    return numbers


def proportions(labels: NDArray[np.int64], mask: NDArray[np.bool_]) -> str:
    """Say which part of the images a mask chooses, and between which bounds the parts of the classes are.

    Args:
        labels: int64 (N,), 0 to number of classes - 1.
        mask: bool (N,).
    """
    parts = np.bincount(labels[mask], minlength=int(labels.max()) + 1) / np.bincount(labels).clip(1)
    return f"{mask.mean():.1%} of the images ({parts.min():.1%} to {parts.max():.1%} of each class)"
