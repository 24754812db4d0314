from pathlib import Path

import pytest

from reprocnn import cli
from reprocnn.catalog import MODELS
from reprocnn.commands import models


def test_every_model_is_listed_with_size_cost_and_options(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["models", "--image", "28x28x1"])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines[3:] if not line.startswith(" ")}
    assert set(rows) == set(MODELS)
    assert rows["simple_cnn"][1:3] == ["4", "121,930"]
    assert rows["lenet"][1:4] == ["5", "61,706", "0.83"]
    (place,) = (i for i, line in enumerate(lines) if line.startswith("vgg"))
    assert [line.split()[:2] for line in lines[place + 1 : place + 4]] == [
        [f"depth={d}", str(d - 1)] for d in (11, 13, 19)
    ]
    assert lines[place + 4].split("options: ")[1] == "padding, pooling, dropout, batch_norm, depth"


def test_a_model_that_is_too_deep_for_the_images_is_reported(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "MODELS", {name: MODELS[name] for name in ("lenet", "resnet")})
    cli.main(["models", "--image", "8x8x1"])
    printed = capsys.readouterr().out
    assert "model=lenet is too deep for images of 8x8 pixels" in printed
    assert "resnet          20" in printed


@pytest.mark.parametrize("size", ["8x8", "ax8x1", "32x32x2", "2x32x3", "512x512x3"])
def test_an_invalid_image_shape_is_refused(here: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["models", "--image", size])
    assert (
        f"argument --image: expected height x width x channels, 4x4x1 to 256x256x3, found '{size}'"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("classes", ["0", "-1", "1", "ten"])
def test_an_invalid_number_of_classes_is_refused(here: Path, classes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["models", "--classes", classes])
    assert "argument --classes: expected a whole number of at least 2, found" in capsys.readouterr().err
