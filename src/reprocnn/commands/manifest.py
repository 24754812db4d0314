"""Write a manifest, which stands for a folder of many images as the dependency of the pipeline."""

import csv
import os
from pathlib import Path

from reprocnn.artifacts.files import atomic_file
from reprocnn.data.manifest import COLUMNS, MANIFEST, hash_files, is_manifest, list_files
from reprocnn.data.progress import progress
from reprocnn.errors import UserError


def write_manifest(folder: str, output: str | None = None) -> None:
    """Hash the files in a folder and write their manifest.

    Args:
        folder: the folder of images.
        output: the file to write; None: beside the folder, with its name and `.manifest.csv`.

    Raises:
        UserError: the folder does not exist or has no files, a file can't be read, or the output has another suffix or
            is in the folder.
    """
    path = Path(folder)
    file = Path(output) if output else path.with_name(path.name + MANIFEST)
    if not path.is_dir():
        found = "is a file, which DVC hashes quickly" if path.exists() else "does not exist"
        raise UserError(f"{path} {found}", "name a folder of images")
    if not is_manifest(file):
        raise UserError(f"--output: {file} does not end with {MANIFEST}", f"--output {file.stem}{MANIFEST}")
    if file.resolve().is_relative_to(path.resolve()):
        raise UserError(f"{file} is in the folder that it lists", "write it to another folder")
    names = list_files(path)
    if not names:
        raise UserError(f"{path} has no files", "put images into it")
    top = Path(os.path.relpath(path, file.parent)).as_posix() + "/"
    total = 0
    with atomic_file(file) as partial, partial.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([COLUMNS, (top, "", "")])
        with progress(len(names), "hashing", unit="file") as bar:
            for name, (size, sha256) in zip(names, hash_files(path, names), strict=True):
                writer.writerow((top + name, size, sha256))
                total += size
                bar.update()
    print(f"{_shown(file)}: {len(names)} files, {total / 1e6:.1f} MB")
    print(f"next: dvc exp run -S dataset=folder -S folder={_shown(file)}")


def _shown(file: Path) -> str:
    """Return the path relative to the checkout, if it is in it."""
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
