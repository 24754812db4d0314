"""Measure what the audit finds of faults that this script plants with a seed.

    python benchmarks/audit.py copies cifar10          # also mnist, or a folder or archive of pictures
    python benchmarks/audit.py copies FOLDER --sheet pairs.png
    python benchmarks/audit.py labels mnist
    python benchmarks/audit.py speed FOLDER

`copies` plants 200 copies of each kind among the last sixth of the images, prints which part of them is found, and how
many other pairs; --sheet draws 100 of these, to be looked at. `labels` changes 2 % of the training labels. `speed`
looks for copies among 100,000 images: those of the data set, and more that have parts of two of these.
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from pipeline import describe_machine

from reprocnn.catalog import DATA_SETS
from reprocnn.data.copies import find_copies
from reprocnn.data.load import load
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

Pixels = NDArray[np.uint8]
N = 200
"""Planted copies of each kind."""


def _resave(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=60)
    return Image.open(content)


def _resize(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.resize((round(0.8 * width), round(0.8 * height))).resize(picture.size)


def _crop(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = picture.size
    x, y = random.uniform(0, 0.05, 2) * (width, height)
    return picture.resize(picture.size, Image.Resampling.BICUBIC, (x, y, x + 0.95 * width, y + 0.95 * height))


def _kinds(random: np.random.Generator) -> dict[str, Callable[[Image.Image], Image.Image]]:
    return {
        "re-saved at quality 60": _resave,
        "resized to 80 %": _resize,
        "cropped by 5 %": lambda picture: _crop(picture, random),
        "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "brightened by 20 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    }


def main() -> None:
    """Run the chosen measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("copies", "labels", "speed"))
    parser.add_argument("data", help="name of a data set, or a folder or archive of pictures")
    parser.add_argument("--image-size", type=int, default=32, help="pixels per side of pictures (default: 32)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="PNG to draw 100 of the other pairs of copies to")
    arguments = parser.parse_args()
    own = arguments.data not in DATA_SETS
    params = DownloadParams(
        dataset="folder" if own else arguments.data,
        folder=arguments.data if own else "data/README.md",
        image_size=arguments.image_size,
    )
    data = load(params, replace(places(), reading=Path(".dvc/tmp/benchmark")))
    print(describe_machine(1))
    {"copies": _copies, "labels": _labels, "speed": _speed}[arguments.what](data, arguments)


def _copies(data: RawData, arguments: argparse.Namespace) -> None:
    random, images = np.random.default_rng(arguments.seed), np.array(data.images)
    kinds, border = _kinds(random), len(images) * 5 // 6
    originals = random.choice(border, N * len(kinds), replace=False)
    places_of_copies = border + random.choice(len(images) - border, N * len(kinds), replace=False)
    planted = {}
    for number, (original, place) in enumerate(zip(originals.tolist(), places_of_copies.tolist(), strict=True)):
        kind = list(kinds)[number % len(kinds)]
        image = images[original]
        picture = Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
        images[place] = np.asarray(kinds[kind](picture)).reshape(image.shape)
        planted[original, place] = kind
    start = time.perf_counter()
    pairs = find_copies(images)
    print(f"{len(images)} images in {time.perf_counter() - start:.1f} s")
    found = set(pairs[["first", "second"]].itertuples(index=False, name=None))
    for kind in kinds:
        print(f"{kind}: {np.mean([pair in found for pair, k in planted.items() if k == kind]):.1%} of {N} found")
    others = sorted(found - planted.keys())
    print(f"{len(others)} other pairs")
    if arguments.sheet:
        chosen = random.permutation(len(others))[:100]
        _sheet(images, [others[i] for i in sorted(chosen)]).save(arguments.sheet)


def _sheet(images: Pixels, pairs: list[tuple[int, int]]) -> Image.Image:
    """Draw pairs of images side by side, ten pairs per row."""
    side = 64
    sheet = Image.new("RGB", (10 * (2 * side + 8), -(-len(pairs) // 10) * (side + 8)), "white")
    for number, pair in enumerate(pairs):
        for column, row in enumerate(pair):
            image = images[row]
            picture = Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).resize((side, side), 0)
            sheet.paste(picture, ((number % 10) * (2 * side + 8) + column * side, number // 10 * (side + 8)))
    return sheet


def _labels(data: RawData, arguments: argparse.Namespace) -> None:
    from reprocnn import backend
    from reprocnn.evaluation.label_errors import label_errors
    from reprocnn.training.cross_validation import predict_held_out

    backend.prepare(0)
    random, n_classes = np.random.default_rng(arguments.seed), len(data.class_names)
    rows = np.flatnonzero(np.array(data.given) != "test")
    labels = data.labels[rows].copy()
    changed = random.choice(len(rows), len(rows) // 50, replace=False)
    labels[changed] = (labels[changed] + random.integers(1, n_classes, len(changed))) % n_classes
    start = time.perf_counter()
    found = label_errors(labels, predict_held_out(data.images, rows, labels, n_classes))
    hits = found["row"].isin(changed)
    print(f"{len(rows)} images, {len(changed)} labels changed, {time.perf_counter() - start:.0f} s")
    print(f"{len(found)} found: recall {hits.sum() / len(changed):.1%}, precision {hits.mean():.1%}")


def _speed(data: RawData, arguments: argparse.Namespace) -> None:
    images, random = np.array(data.images), np.random.default_rng(arguments.seed)
    height, width = (size // 2 for size in images.shape[1:3])
    while len(images) < 100_000:
        more = images[random.permutation(len(images))][: 100_000 - len(images)]
        others = images[random.permutation(len(images))][: len(more)]
        more[:, :height], more[:, height:, :width] = others[:, -height:], others[:, :height, -width:]
        images = np.concatenate([images, more])
    start = time.perf_counter()
    pairs = find_copies(images)
    print(f"{len(images)} images in {time.perf_counter() - start:.1f} s, {len(pairs)} pairs")


if __name__ == "__main__":
    main()
