"""Measure how fast `dataset: folder` reads pictures: the whole job, from the list of files to the prepared images.

The base is one process with Pillow that decodes each picture at full size, as this project did at first. torchvision,
TensorFlow and simplejpeg, if a Python that has them is given, do the same job in two processes each, with the same
crop and size; the import of the library is not counted.

    python benchmarks/reading.py photographs          # 500 photographs of 12 megapixels, made from two of scikit-learn
    python benchmarks/reading.py large                # the memory for pictures of 50 megapixels, in several formats
    python benchmarks/reading.py FOLDER --size 32     # the pictures of a folder
    python benchmarks/reading.py FOLDER --size 32 --other PYTHON
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import Process
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from reprocnn.data.junk import is_junk
from reprocnn.data.reading import read_images
from reprocnn.data.source import list_source
from reprocnn.inference.decoding import read_image

OTHER = r"""
import sys, time, io
from multiprocessing import Pool
from pathlib import Path
import numpy as np
kind, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3])

def by_simplejpeg(path):
    import simplejpeg
    from PIL import Image, ImageOps
    content = open(path, "rb").read()
    least = 3 * size
    image = simplejpeg.decode_jpeg(content, min_height=least, min_width=least)
    exif = content.find(b"Exif\0", 0, 2**20) >= 0
    if image.shape[:2] == (size, size) and not exif:
        return image
    image = Image.fromarray(image)
    if exif:
        with Image.open(io.BytesIO(content)) as opened:
            image.info = opened.info
    return np.asarray(ImageOps.fit(ImageOps.exif_transpose(image), (size, size)))

def by_tensorflow(path):
    import tensorflow as tf
    content = tf.io.read_file(path)
    height, width, _ = tf.io.extract_jpeg_shape(content).numpy()
    ratio = max(r for r in (1, 2, 4, 8) if r == 1 or min(height, width) / r >= 3 * size)
    image = tf.io.decode_jpeg(content, channels=3, ratio=ratio)
    if b"Exif\0" in content.numpy()[:2**20]:
        from PIL import Image
        turns = {6: 3, 3: 2, 8: 1}.get(Image.open(io.BytesIO(content.numpy())).getexif().get(0x0112, 1), 0)
        image = tf.image.rot90(image, turns)
    if image.shape[:2] == (size, size):
        return image.numpy()
    side = min(image.shape[:2])
    image = tf.image.resize_with_crop_or_pad(image, side, side)
    return tf.cast(tf.image.resize(image, (size, size), antialias=True), tf.uint8).numpy()

def by_torchvision(path):
    import torch
    from torchvision.io import read_file, decode_jpeg
    from torchvision.transforms.v2.functional import resize, center_crop
    torch.set_num_threads(1)
    image = decode_jpeg(read_file(path), apply_exif_orientation=True)
    if image.shape[1:] == (size, size):
        return image.permute(1, 2, 0).numpy()
    return center_crop(resize(image, size, antialias=True), size).permute(1, 2, 0).numpy()

if __name__ == "__main__":
    files = sorted(str(p) for p in Path(folder).rglob("*.jp*g"))
    with Pool(2) as pool:
        pool.map(globals()["by_" + kind], files[:8], chunksize=1)  # imports the library
        start = time.perf_counter()
        images = np.stack(list(pool.imap(globals()["by_" + kind], files, chunksize=64 if size < 64 else 4)))
        print(len(images) / (time.perf_counter() - start))
"""


def main() -> None:
    """Print pictures per second of each way, and the ratio to the base."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.pictures)
        if arguments.pictures == "large":
            _measure_memory(Path(temporary), arguments.size)
            return
        if arguments.pictures == "photographs":
            folder = Path(temporary, "photographs")
            _make_photographs(folder, arguments.photographs)
        ways: dict[str, Callable[[], float]] = {
            "base": lambda: _base(folder, arguments.size),
            "reprocnn": lambda: _own(folder, arguments.size, Path(temporary, "reading")),
        }
        for kind in ("torchvision", "tensorflow", "simplejpeg") if arguments.other else ():
            ways[kind] = partial(_other, arguments.other, kind, folder, arguments.size)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, measure in ways.items():  # in turn, so that a change of the machine's speed hits all
                rates[name].append(measure())
    base = statistics.median(rates["base"])
    for name, values in rates.items():
        low, high, middle = min(values), max(values), statistics.median(values)
        print(f"{name:12} {middle:9,.1f} pictures/s ({low:,.1f} to {high:,.1f}), {middle / base:.2f} times the base")
    print(json.dumps({"size": arguments.size, "cores": os.cpu_count(), "rates": rates}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("pictures", help="a folder of JPEGs, or make some: `photographs`, `large`")
    parser.add_argument("--photographs", type=int, default=500, help="how many to make")
    parser.add_argument("--size", type=int, default=224, help="pixels per side of the prepared images")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--other", help="a Python with torchvision, tensorflow and simplejpeg")
    return parser.parse_args()


def _make_photographs(folder: Path, n: int) -> None:
    """Make n JPEGs of 4096x2932 pixels with noise, some of them rotated by EXIF."""
    folder.mkdir()
    random = np.random.default_rng(0)
    kinds = 10
    for number in range(kinds):
        photograph = Image.fromarray(load_sample_images().images[number % 2])
        pixels = np.asarray(photograph.resize((4096, 2932), Image.Resampling.LANCZOS)).astype(np.int16)
        noisy = Image.fromarray((pixels + random.integers(-12, 13, pixels.shape)).clip(0, 255).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = (1, 6, 1, 8, 1)[number % 5]
        noisy.save(folder / f"{number:04}.jpg", quality=90, exif=exif)
    for number in range(kinds, n):
        shutil.copy(folder / f"{number % kinds:04}.jpg", folder / f"{number:04}.jpg")


def _measure_memory(temporary: Path, size: int) -> None:
    """Print the memory that four pictures of 50 megapixels of each kind need in two processes."""
    making = Process(target=_make_large, args=(temporary,))  # its memory does not count
    making.start()
    making.join()
    for folder in sorted(temporary.iterdir()):
        source, peak = list_source(folder), PeakMemory()
        decode = partial(read_image, image_size=size, color_mode="rgb", white=65535.0)
        with tempfile.TemporaryDirectory() as kept:
            read_images(source, source.files, decode, (size, size, 3), Path(kept, "reading"), workers=2)
        print(f"{folder.name}: {peak.stop() / 2**20:,.0f} MiB", flush=True)


def _make_large(temporary: Path) -> None:
    """Make a folder per kind of picture, with four equal files."""
    small = np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)
    rgba = Image.fromarray(small).resize((8660, 5774), Image.Resampling.BICUBIC)
    rgb, grey = rgba.convert("RGB"), np.asarray(rgba.convert("L")).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "baseline.jpg": (rgb, {"quality": 90}),
        "progressive.jpg": (rgb, {"quality": 90, "progressive": True}),
        "rotated.jpg": (rgb, {"quality": 90, "exif": exif}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "rgb.png": (rgb, {"compress_level": 1}),
        "transparent.png": (rgba, {"compress_level": 1}),
        "grey and transparent.png": (rgba.convert("LA"), {"compress_level": 1}),
        "palette.png": (rgb.quantize(64), {}),
        "grey of 16 bits.png": (Image.fromarray(grey * 257), {"compress_level": 1}),
        "rgb.tif": (rgb, {}),
        "rgb.webp": (rgb, {"quality": 60, "method": 0}),
    }
    for name, (picture, options) in kinds.items():
        folder = temporary / name
        folder.mkdir()
        picture.save(folder / f"0{name}", **options)
        for number in range(1, 4):
            shutil.copy(folder / f"0{name}", folder / f"{number}{name}")


def _base(folder: Path, size: int) -> float:
    """Read the pictures one after the other, each at full size; return pictures per second."""
    start, images = time.perf_counter(), []
    for file in sorted(folder.rglob("*.jp*g")):
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
            images.append(np.asarray(image if image.size == (size, size) else ImageOps.fit(image, (size, size))))
    n = len(np.stack(images))
    return n / (time.perf_counter() - start)


def _own(folder: Path, size: int, kept: Path) -> float:
    """Read the pictures as download does; return pictures per second."""
    shutil.rmtree(kept, ignore_errors=True)
    decode = partial(read_image, image_size=size, color_mode="rgb", white=None)
    peak = PeakMemory()
    start = time.perf_counter()
    source = list_source(folder)
    names = [name for name in source.files if not is_junk(name)]
    images = read_images(source, names, decode, (size, size, 3), kept).images
    rate = len(images) / (time.perf_counter() - start)
    print(f"reprocnn: at most {peak.stop() / 2**20:,.0f} MiB of anonymous memory in all processes", file=sys.stderr)
    return rate


class PeakMemory(threading.Thread):
    """Measure the largest sum of the anonymous memory of a process and its children.

    Args:
        pid: the process; None: this one.
    """

    def __init__(self, pid: int | None = None) -> None:
        super().__init__(daemon=True)
        self._process, self._most, self._ended = psutil.Process(pid), 0, threading.Event()
        self.start()

    def run(self) -> None:
        """Look ten times per second."""
        while not self._ended.wait(0.1):
            self._most = max(self._most, self._anonymous())

    def _anonymous(self) -> int:
        total = 0
        try:
            for process in (self._process, *self._process.children(recursive=True)):
                memory = process.memory_info()
                total += memory.rss - memory.shared
        except psutil.NoSuchProcess:  # it ended meanwhile
            return 0
        return total

    def stop(self) -> int:
        """Return the largest sum in bytes."""
        self._ended.set()
        self.join()
        return self._most


def _other(python: str, kind: str, folder: Path, size: int) -> float:
    """Read the pictures with another library; return pictures per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(OTHER)
        script.flush()
        done = subprocess.run(
            [python, script.name, kind, str(folder), str(size)], check=True, capture_output=True, text=True
        )
    return float(done.stdout)


if __name__ == "__main__":
    main()
