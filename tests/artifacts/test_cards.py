"""Every card: the content of its file, that it is read back equal, and the errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reprocnn.artifacts.dataset import DatasetCard, read_dataset, write_dataset
from reprocnn.artifacts.model_card import ModelCard, read_model_card, write_model_card
from reprocnn.artifacts.statistics import Normalization, Statistics, read_statistics, write_statistics
from reprocnn.artifacts.training import TrainingSummary, read_training, write_training
from reprocnn.errors import UserError

NAMES = ("cat", "007")
NORMALIZATION = Normalization("standardize", (0.1, 1 / 3), (0.25, 1.0))
SUMMARY = TrainingSummary(
    validation_loss=1 / 3,
    validation_accuracy=0.5,
    best_epoch=2,
    best_validation_accuracy=1.0,
    parameters=10,
    onnx_difference=1e-6,
    mflops=0.002,
)
CARDS = [
    (write_dataset, read_dataset, DatasetCard("mine", NAMES, (8, 9, 1), 3, 2)),
    (write_statistics, read_statistics, Statistics("mine", NAMES, (8, 9, 2), NORMALIZATION)),
    (write_model_card, read_model_card, ModelCard("mine", "mlp", NAMES, (8, 9, 1), None, 1.25, 0.8, 0.05)),
    (write_training, read_training, SUMMARY),
]
KEYS = [
    ["dataset", "class_names", "image_shape", "n_train", "n_test", "skipped", "white"],
    ["dataset", "class_names", "image_shape", "normalization", "white"],
    [
        *("dataset", "model", "class_names", "image_shape", "white"),
        *("temperature", "threshold_99", "conformal_quantile_90"),
    ],
    [
        *("validation_loss", "validation_accuracy", "best_epoch"),
        *("best_validation_accuracy", "parameters", "onnx_difference", "mflops"),
    ],
]


@pytest.mark.parametrize(("card", "keys"), list(zip(CARDS, KEYS, strict=True)))
def test_a_card_is_plain_json_and_read_back_equal(tmp_path: Path, card: Any, keys: list[str]) -> None:
    write, read, value = card
    write(tmp_path / "a.json", value)
    assert read(tmp_path / "a.json") == value
    assert list(json.loads((tmp_path / "a.json").read_text())) == keys


def test_a_model_card_of_an_older_version_has_the_temperature_1(tmp_path: Path) -> None:
    card = {"dataset": "mine", "model": "mlp", "class_names": NAMES, "image_shape": (8, 9, 1), "white": None}
    (tmp_path / "a.json").write_text(json.dumps(card))
    read = read_model_card(tmp_path / "a.json")
    assert (read.temperature, read.threshold_99, read.conformal_quantile_90) == (1, None, 1)


def test_statistics_have_the_normalisation_as_a_nested_object(tmp_path: Path) -> None:
    write_statistics(tmp_path / "a.json", CARDS[1][2])  # type: ignore[arg-type]
    assert json.loads((tmp_path / "a.json").read_text())["normalization"] == {
        "kind": "standardize",
        "mean": [0.1, 1 / 3],
        "std": [0.25, 1.0],
    }


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda values: {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_without("n_test"), "no `n_test`"),
        (lambda values: values | {"normalization": {}}, "also `normalization`"),
        (lambda values: values | {"n_train": "3"}, "'3' for `n_train`"),
        (lambda values: values | {"image_shape": [8, 8]}, "no `image_shape.2`"),
        (lambda values: values | {"class_names": ["a", 7]}, "7 for `class_names.1`"),
        (
            lambda values: list(values),
            "['dataset', 'class_names', 'image_shape', 'n_train', 'n_test', 'skipped', 'white']",
        ),
    ],
)
def test_a_file_of_another_version_raises_a_two_line_error(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], found: str
) -> None:
    path = tmp_path / "dataset.json"
    write_dataset(path, CARDS[0][2])  # type: ignore[arg-type]
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError) as error:
        read_dataset(path)
    assert str(error.value) == (
        f"error: {path}: expected the keys dataset, class_names, image_shape, n_train, n_test, skipped, white, "
        f"found {found}\n"
        "  fix: dvc repro --force download"
    )


@pytest.mark.parametrize("text", ["", "{", '{"dataset": "a"'])
def test_a_truncated_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"found no JSON\n  fix: dvc repro --force train"):
        read_model_card(tmp_path / "a.json")


def test_a_file_that_does_not_exist_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_training(tmp_path / "a.json")
