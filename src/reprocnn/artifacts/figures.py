"""The figures and the report."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.files import atomic_file

if TYPE_CHECKING:  # the import takes a second
    from matplotlib.figure import Figure

FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure as PNG, without the version of matplotlib in it, whatever the user's matplotlibrc says."""
    from matplotlib import style

    with atomic_file(path) as partial, style.context("default"):
        figure.savefig(partial, format="png", metadata={"Software": None})
