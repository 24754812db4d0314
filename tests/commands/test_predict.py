import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from checkouts import ROOT
from reprocnn import cli
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.inference import decoding
from reprocnn.inference.classifier import Classifier
from tiny_model import COLOURS, INFO, tiny_info, write_tiny_model


@pytest.fixture
def pictures(here: Path) -> Path:
    """A checkout with the colour model and a picture of each colour."""
    write_tiny_model(ONNX_MODEL)
    for name, colour in COLOURS.items():
        Image.new("RGB", (6, 6), colour).save(f"{name}.png")
    return here


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_white_of_the_command_overrides_that_of_the_model(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save("scan.tif")
    shades = {"dark": (20,), "bright": (230,)}
    for white in (None, 65535):
        write_tiny_model(ONNX_MODEL, shades, tiny_info(shades, white=white))
        cli.main(["predict", "scan.tif", "--json", "--white", "1023"])
        assert _rows(capsys.readouterr().out)[0]["class"] == "bright"
    cli.main(["predict", "scan.tif", "--json"])
    assert _rows(capsys.readouterr().out)[0]["class"] == "dark"


@pytest.mark.parametrize("given", [[], ["--white", "255"]])
def test_an_unknown_or_a_wrong_white_names_the_option_of_the_command(
    pictures: Path, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save("scan.tif")
    with pytest.raises(SystemExit):
        cli.main(["predict", "scan.tif", *given])
    error = capsys.readouterr().err
    assert "white=255" in error if given else "doesn't say which value is white" in error
    assert "\n  fix: set white (`--white` of the command" in error
    assert "-S" not in error


def test_text_has_the_classes_with_their_probabilities(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["predict", "red.png", "--top", "2"])
    assert capsys.readouterr().out == "red.png: red 98.8%, green 0.6%\n"


def test_json_has_a_line_per_picture(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["predict", "red.png", "blue.png", "--json", "--top", "1", "--min-confidence", "0.99"])
    first, second = _rows(capsys.readouterr().out)
    assert list(first) == ["file", "class", "confidence", "unsure", "top"]
    assert (first["file"], first["class"], first["unsure"]) == ("red.png", "red", True)
    assert first["top"] == [{"class": "red", "probability": first["confidence"]}]
    assert second["class"] == "blue"


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["PYTHONIOENCODING", "LC_ALL"],
)
def test_json_has_escapes_where_the_terminal_takes_only_ascii(here: Path, environment: dict[str, str]) -> None:
    write_tiny_model(ONNX_MODEL, {"猫 \N{CAT FACE}": (255, 0, 0), 'd"ö\\g': (0, 0, 255)})
    red, broken = "rötlich.png", "brökèn \N{CAT FACE}.png"
    Image.new("RGB", (6, 6), (255, 0, 0)).save(red)
    Path(broken).write_bytes(b"no image")
    command = [sys.executable, "-m", "reprocnn", "predict", red, broken, "--json"]
    clean = {name: value for name, value in os.environ.items() if name not in {"LC_ALL", "PYTHONUTF8"}}
    own = clean | environment | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=own, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    (answer,) = _rows(done.stdout.decode("ascii"))
    assert os.fsencode(str(answer["file"])).decode() == red
    assert [row["class"] for row in answer["top"]] == ["猫 \N{CAT FACE}", 'd"ö\\g']  # type: ignore[attr-defined]
    (error,) = _rows(done.stderr.decode("ascii"))
    assert os.fsencode(str(error["file"])).decode() == broken


def test_csv_has_a_header_and_a_row_per_picture(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["predict", "green.png", "--csv", "--top", "2"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(row) == ["file", "class", "confidence", "unsure", "class_2", "probability_2"]
    assert (row["file"], row["class"], row["unsure"], row["class_2"]) == ("green.png", "green", "false", "red")


def test_more_classes_than_the_model_has_are_not_columns(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["predict", "green.png", "--csv", "--top", "9"])
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert len(header) == len(row) == 4 + 2 * 2


def test_a_registered_model_of_the_own_store_needs_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SystemExit, match="is not a checkout of this project"):
        cli.main(["predict", "red.png", "--model", "models:/colours@best"])
    assert not list(tmp_path.iterdir())


def test_an_unsure_answer_is_marked(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (6, 6)).save("black.png")
    cli.main(["predict", "black.png", "--min-confidence", "0.5", "--top", "1"])
    assert capsys.readouterr().out == "black.png: unsure: red 33.3%\n"


def test_calibrated_probabilities_have_the_temperature_of_the_model(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["predict", "red.png", "--top", "2", "--calibrated"])  # the temperature is 2
    assert capsys.readouterr().out == "red.png: red 86.5%, green 6.8%\n"
    cli.main(["predict", "red.png", "--calibrated", "--json", "--min-confidence", "0.9"])
    (row,) = _rows(capsys.readouterr().out)
    assert (row["class"], row["confidence"], row["unsure"]) == ("red", pytest.approx(0.8649, abs=1e-4), True)


def test_a_model_without_a_temperature_has_to_be_trained_again(pictures: Path) -> None:
    write_tiny_model(ONNX_MODEL, info=replace(INFO, temperature=None))
    cli.main(["predict", "red.png"])
    with pytest.raises(
        SystemExit, match=r"--calibrated: the model has no temperature.*\n  fix: train again: dvc repro"
    ):
        cli.main(["predict", "red.png", "--calibrated"])


def test_the_others_are_answered_and_the_status_is_1(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(b"no image")
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "broken.png", "red.png", "missing.png", "--json"])
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert [row["file"] for row in _rows(printed.out)] == ["red.png"]
    broken, missing = _rows(printed.err)
    assert list(broken) == ["file", "error"]
    assert str(broken["error"]).startswith("not an image that Pillow can read; ")
    assert str(missing["error"]).startswith("no such file; ")
    with pytest.raises(SystemExit):
        cli.main(["predict", "missing.png"])
    assert capsys.readouterr().err == "error: missing.png: no such file\n  fix: check its name\n"


def test_a_corrupt_file_in_an_archive_and_a_name_that_is_not_utf8(
    pictures: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with zipfile.ZipFile("two.zip", "w") as archive:
        for name in ("red.png", "blue.png"):
            archive.write(name)
    content = bytearray(Path("two.zip").read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255  # in the first picture
    Path("two.zip").write_bytes(content)
    shutil.copy("green.png", b"\xff.png")
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "two.zip", os.fsdecode(b"\xff.png"), "--json"])
    assert ended.value.code == 1
    printed = capfdbinary.readouterr()
    assert [row["class"] for row in _rows(printed.out.decode())] == ["blue", "green"]
    assert b'{"file": "two.zip/red.png", "error": "corrupt in the archive' in printed.err


@pytest.mark.parametrize("owner", ["reading", "reading an archive", "decoding"])
def test_a_picture_for_which_memory_is_short_is_named_and_the_others_are_answered(
    pictures: Path, owner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("large.zip", "red.zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.write("red.png", f"{name}.png")
    shutil.copy("red.png", "large.png")
    large, other = ("large.png", "red.png") if owner != "reading an archive" else ("large.zip", "red.zip")
    Image.new("RGB", (7, 7), COLOURS["red"]).save("large.png")

    def short(function: Callable[..., Any], is_large: Callable[..., bool]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            if is_large(*given):
                raise MemoryError
            return function(*given, **options)

        return call

    if owner == "reading":
        monkeypatch.setattr(Path, "read_bytes", short(Path.read_bytes, lambda path: path.name == "large.png"))
    elif owner == "decoding":
        fit = decoding.ImageOps.exif_transpose
        monkeypatch.setattr(decoding.ImageOps, "exif_transpose", short(fit, lambda image: image.size == (7, 7)))
    else:
        read = zipfile.ZipExtFile.read
        monkeypatch.setattr(zipfile.ZipExtFile, "read", short(read, lambda file, *_: file.name == "large.zip.png"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", large, other, "--json"])
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert [row["class"] for row in _rows(printed.out)] == ["red"]
    (error,) = _rows(printed.err)
    assert str(error["file"]).startswith(large)
    assert error["error"] == "not enough memory to read it; reduce its size, or close other programs"


def test_memory_that_is_short_for_the_model_is_explained_in_two_lines(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Classifier, "probabilities", fail)
    with pytest.raises(SystemExit, match="not enough memory\n  fix: close other programs"):
        cli.main(["predict", "red.png"])


def test_standard_input(pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(Path("blue.png").read_bytes())))
    cli.main(["predict", "-", "--json"])
    assert _rows(capsys.readouterr().out)[0]["class"] == "blue"


def test_paths_are_relative_to_the_users_folder(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "photos").mkdir()
    (pictures / "red.png").rename(pictures / "photos" / "red.png")
    monkeypatch.chdir(pictures / "photos")
    cli.main(["predict", "red.png", "../photos", "--json"])
    assert [row["file"] for row in _rows(capsys.readouterr().out)] == ["red.png", "../photos/red.png"]


def test_a_model_file_needs_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (6, 6), COLOURS["red"]).save("red.png")
    write_tiny_model(tmp_path / "other.onnx")
    cli.main(["predict", "red.png", "--model", "other.onnx", "--json"])
    assert _rows(capsys.readouterr().out)[0]["class"] == "red"
    with pytest.raises(SystemExit, match=r"is not a checkout of this project.*\n"):
        cli.main(["predict", "red.png"])


def test_a_model_for_images_that_are_not_square_is_refused(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_model(ONNX_MODEL, info=tiny_info(size=(4, 6)))
    problem = r"model\.onnx: the model takes images of 4x6 pixels, but pictures are cropped to squares\n  fix: crop and"
    with pytest.raises(SystemExit, match=problem):
        cli.main(["predict", "."])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m.keras"], r"m\.keras is a Keras model, expected an ONNX file\n  fix: use .*m\.onnx"),
        (["--model", "missing.onnx"], r"the model .*missing\.onnx does not exist\n  fix: check its name"),
        (["--model", "red.png"], r"red\.png: not a valid ONNX file\n  fix: use the models/model\.onnx"),
        (["--rev", "nothing"], r"no experiment or revision is called 'nothing'\n  fix: "),
        (["empty"], r"no pictures in .*empty\n  fix: name pictures, or folders"),
    ],
)
def test_a_mistake_is_explained_in_two_lines(pictures: Path, arguments: list[str], message: str) -> None:
    Path("empty").mkdir()
    pictures_given = [] if arguments == ["empty"] else ["red.png"]
    with pytest.raises(SystemExit, match=message):
        cli.main(["predict", *pictures_given, *arguments])


def test_without_a_model_the_pipeline_has_to_run(pictures: Path) -> None:
    ONNX_MODEL.unlink()
    with pytest.raises(
        SystemExit, match=r"the model models/model\.onnx does not exist\n  fix: dvc checkout, or dvc repro"
    ):
        cli.main(["predict", "red.png"])


@pytest.mark.parametrize(
    "arguments",
    [
        "--top 0",
        "--min-confidence 2",
        "--json --csv",
        "--rev a --run b",
        "--rev=",
        "--run=",
        "--white 0",
        "--white inf",
    ],
)
def test_wrong_arguments_are_refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "a.png", *arguments.split()])
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err
