"""Write the figures as PNG files, the report as HTML, and the description of the model as Markdown."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.files import atomic_folder, write_bytes

if TYPE_CHECKING:  # the import takes a second
    from matplotlib.figure import Figure

FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
DESCRIPTION = Path("reports/model_card.md")


def png(figure: "Figure") -> bytes:
    """Render a figure as PNG. The bytes don't depend on the user's matplotlibrc and have no matplotlib version."""
    from matplotlib import style

    content = io.BytesIO()
    with style.context("default"):
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def write_figures(path: Path, pictures: Mapping[str, bytes]) -> None:
    """Write a folder of PNG files.

    Args:
        path: the folder; it is replaced.
        pictures: file name without suffix -> PNG.
    """
    with atomic_folder(path) as folder:
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)


def write_text(path: Path, text: str) -> None:
    """Write the report or the description as UTF-8."""
    write_bytes(path, text.encode())
