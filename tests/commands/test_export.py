import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checkouts import ROOT
from reprocnn import cli
from reprocnn.artifacts.files import atomic_folder, md5
from reprocnn.artifacts.model import MODEL, ONNX_MODEL, write_model
from reprocnn.artifacts.split import TRAIN, VALIDATION
from reprocnn.artifacts.statistics import STATISTICS, Normalization, Statistics, write_statistics
from reprocnn.data.normalization import normalize
from reprocnn.export import formats
from reprocnn.export.difference import predictions
from reprocnn.export.formats import FORMATS, Predict, Source
from reprocnn.export.onnx_file import export_onnx
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.info import ModelInfo
from reprocnn.models.build import build
from reprocnn.params import ModelParams

SHAPE = (4, 4, 1)


@pytest.fixture
def workspace(here: Path) -> Path:
    """The working directory, with a tiny model and its data."""
    normalization = Normalization("standardize", (0.5,), (0.25,))
    random = np.random.default_rng(0)
    for split, n in ((TRAIN, 20), (VALIDATION, 10)):
        pixels = random.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
        with atomic_folder(split) as folder:
            np.save(folder / "images.npy", normalize(pixels, normalization))
            np.save(folder / "labels.npy", np.eye(2, dtype=np.float32)[np.arange(n) % 2])
    write_statistics(STATISTICS, Statistics("pets", ("cat", "dog"), SHAPE, normalization))
    model = build(ModelParams(model="mlp"), SHAPE, 2, 0, normalization)
    write_model(MODEL, model)
    info = ModelInfo("pets", "mlp", ("cat", "dog"), SHAPE, None, md5(MODEL))
    images = [pixels.astype(np.float32)]
    export_onnx(ONNX_MODEL, model, info, images, predictions(model, images))
    return here


def _contents(folder: Path) -> dict[Path, bytes]:
    """The content of each file, without the lock files."""
    return {f: f.read_bytes() for f in folder.rglob("*") if f.is_file() and ".dvc" not in f.relative_to(folder).parts}


def _rows(printed: str) -> dict[str, list[str]]:
    """The table: file -> cells."""
    return {line.split()[0]: re.split(r"  +", line)[1:] for line in printed.splitlines() if line.startswith("models/")}


def test_a_saved_model_is_written_and_compared(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cli.main(["export", "--format", "tf_saved_model"])
    printed, errors = capfd.readouterr()
    assert errors == ""
    assert "converting models/model.keras to tf_saved_model; comparing on 10 validation images\n" in printed
    rows = _rows(printed)
    assert list(rows) == ["models/model.keras", "models/model.onnx", "models/saved_model"]
    for cells in rows.values():
        size, single, batch, accuracy, *_ = cells
        assert re.fullmatch(r"\d+\.\d\d MB", size)
        assert all(re.fullmatch(r"\d+\.\d+ ms", time) for time in (single, batch))
        assert re.fullmatch(r"\d+\.00%", accuracy)
    assert [len(cells) for cells in rows.values()] == [4, 6, 6]
    assert rows["models/saved_model"][4] == "+0.00"
    assert float(rows["models/saved_model"][5]) <= 1e-4
    assert {file.name for file in Path("models/saved_model").iterdir()} <= FORMATS["tf_saved_model"].contents


def test_an_earlier_export_is_replaced(workspace: Path) -> None:
    for _ in range(2):
        cli.main(["export", "--format", "tf_saved_model", "--output", "saved"])
    stale = workspace / "saved/variables/stale"
    stale.touch()
    cli.main(["export", "--format", "tf_saved_model", "--output", "saved"])
    assert not stale.exists()
    assert [file.name for file in workspace.iterdir() if file.name.startswith("saved")] == ["saved"]


def test_what_a_link_points_to_is_replaced(workspace: Path) -> None:
    (workspace / "disk").mkdir()
    for name, target in (("onnx_int8", "disk/small.onnx"), ("tf_saved_model", "disk/saved")):
        link = workspace / f"link-{name}.onnx"
        link.symlink_to(target)
        for _ in range(2):  # at first the link points to nothing, then to an earlier export
            cli.main(["export", "--format", name, "--output", str(link)])
            assert link.is_symlink()
            assert (workspace / target).exists()
    assert sorted(file.name for file in (workspace / "disk").iterdir()) == ["saved", "small.onnx"]


@pytest.mark.parametrize(
    ("name", "target", "problem"),
    [
        ("onnx_int8", "params.yaml", r"ends with \.onnx, found 'out\.onnx', a symbolic link to .*/params\.yaml\n"),
        ("onnx_int8", "models/model.onnx", r"out\.onnx is the ONNX file that train writes\n"),
        ("onnx_int8", "models", r"found a folder, a symbolic link to .*models\n"),
        ("onnx_int8", "out.onnx", r"out\.onnx: expected a file or folder, found a symbolic link to itself\n"),
        ("tf_saved_model", "models", r"out\.onnx: expected a new or empty folder or an earlier export, found other"),
        ("tf_saved_model", "out.onnx", r"found a symbolic link to itself\n"),
    ],
)
def test_a_link_to_something_else_is_refused_before_any_work(
    workspace: Path, name: str, target: str, problem: str
) -> None:
    (workspace / "out.onnx").symlink_to(target)
    before = _contents(workspace)
    with pytest.raises(SystemExit, match=problem):
        cli.main(["export", "--format", name, "--output", "out.onnx"])
    assert _contents(workspace) == before
    assert (workspace / "out.onnx").is_symlink()


def test_a_second_export_to_the_same_output_waits_for_the_first(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = FORMATS["onnx_int8"]
    (workspace / "link.onnx").symlink_to("small.onnx")
    command = [sys.executable, "-m", "reprocnn", "export", "--format", "onnx_int8", "--output", "link.onnx"]
    started: list[subprocess.Popen[bytes]] = []

    def write(path: Path, source: Source) -> None:
        second = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, stdout=subprocess.PIPE)
        started.append(second)
        assert second.stdout
        message = f"another process (ID {os.getpid()}) exports to {workspace}/link.onnx; waiting"
        assert second.stdout.readline().decode().startswith(message)
        assert not Path("small.onnx").exists()
        chosen.write(path, source)

    monkeypatch.setitem(FORMATS, "onnx_int8", replace(chosen, write=write))  # type: ignore[arg-type]
    cli.main(["export", "--format", "onnx_int8", "--output", "small.onnx"])
    with started[0] as second:
        assert second.wait(120) == 0
    assert Classifier(Path("small.onnx")).info.keras_md5 == md5(MODEL)
    assert not list(workspace.glob("*.partial"))


def test_the_output_is_relative_to_the_users_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "sub").mkdir()
    monkeypatch.chdir(workspace / "sub")
    cli.main(["export", "--format", "onnx_int8", "--output", "new/small.onnx"])
    small = Classifier(workspace / "sub/new/small.onnx")
    assert small.info.keras_md5 == md5(MODEL)
    printed, errors = capfd.readouterr()
    assert errors == ""
    assert f"{workspace / 'sub/new/small.onnx'}  " in printed


def test_a_wrong_conversion_is_refused_and_nothing_is_kept(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = FORMATS["tf_saved_model"]

    def load_wrong(path: Path) -> Predict:
        predict = chosen.load(path)
        return lambda images: np.float32(0.99) * predict(images)

    monkeypatch.setitem(FORMATS, "tf_saved_model", replace(chosen, load=load_wrong))  # type: ignore[arg-type]
    with pytest.raises(SystemExit, match=r"models/saved_model: expected the probabilities .* up to 0\.00\d+\n  fix: "):
        cli.main(["export", "--format", "tf_saved_model"])
    assert sorted(file.name for file in Path("models").iterdir()) == ["model.keras", "model.onnx"]


@pytest.mark.parametrize("missing", [MODEL, ONNX_MODEL, VALIDATION, TRAIN, STATISTICS])
def test_a_missing_input_is_reported(workspace: Path, missing: Path) -> None:
    missing.rename(workspace / "elsewhere")
    with pytest.raises(SystemExit, match=rf"error: {missing} is missing\n  fix: dvc repro.* dvc checkout"):
        cli.main(["export", "--format", "onnx_int8"])


def test_a_missing_package_is_reported_before_any_work(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="make setup EXTRA=--extra=litert"):
        cli.main(["export", "--format", "litert"])


@pytest.mark.parametrize(
    ("name", "output", "problem"),
    [
        ("tf_saved_model", "models", "models: expected a new or empty folder or an earlier export, found other files"),
        ("tf_saved_model", "params.yaml", "params.yaml: expected a new or empty folder"),
        ("onnx_int8", "params.yaml", "expected a file whose name ends with .onnx, found 'params.yaml'"),
        ("onnx_int8", "models", "expected a file whose name ends with .onnx, found a folder"),
        ("onnx_int8", "models/model.onnx", "models/model.onnx is the ONNX file that train writes"),
    ],
)
def test_an_output_that_is_something_else_is_refused(workspace: Path, name: str, output: str, problem: str) -> None:
    before = _contents(workspace)
    with pytest.raises(SystemExit, match=re.escape(problem)):
        cli.main(["export", "--format", name, "--output", output])
    assert _contents(workspace) == before


def test_an_unknown_format_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--format", "coreml"])
    assert "invalid choice: 'coreml' (choose from" in capsys.readouterr().err
