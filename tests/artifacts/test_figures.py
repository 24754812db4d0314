import io
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image

from reprocnn.artifacts.figures import png, write_figures, write_text


def _figure() -> Figure:
    figure = Figure((2, 1), dpi=100)
    figure.subplots().plot([1, 2])
    return figure


def test_the_same_figure_gives_the_same_bytes_with_any_matplotlibrc() -> None:
    content = png(_figure())
    rcParams.update({"savefig.facecolor": "red", "savefig.dpi": 50})
    try:
        assert png(_figure()) == content
    finally:
        rcParams.update({"savefig.facecolor": "auto", "savefig.dpi": "figure"})
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (200, 100)
        assert "Software" not in image.info


def test_figures_replace_the_old_folder(tmp_path: Path) -> None:
    write_figures(tmp_path / "figures", {"old": b"1"})
    write_figures(tmp_path / "figures", {"a": b"2", "b": b"3"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "figures").iterdir()} == {"a.png": b"2", "b.png": b"3"}


def test_a_report_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "report.html", "قطة")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "قطة"
