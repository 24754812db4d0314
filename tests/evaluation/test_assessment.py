import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from made_files import made_files
from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.artifacts.model_card import ModelCard
from reprocnn.evaluation.assessment import Assessment, assess, copied_in_training
from reprocnn.models.build import build
from reprocnn.params import EvaluateParams, ModelParams


def _assess(robustness: bool, copied: list[int]) -> tuple[Assessment, NDArray[np.int64]]:
    """Assess a new model on 12 images of noise, of which those at `copied` are copies."""
    model = build(ModelParams(model="mlp"), (8, 8, 1), 3, 0)
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype(np.uint8)
    card, labels = ModelCard("data", "mlp", tuple("abc"), (8, 8, 1)), np.arange(12) % 3
    files, params = made_files(images), EvaluateParams(robustness=robustness)
    copies = pd.DataFrame({"first": [f"train#{i}" for i in copied], "second": [files.file[i] for i in copied]})
    return assess(model, images, labels, files, copies, card=card, params=params), labels


@pytest.mark.parametrize("robustness", [True, False])
def test_robustness_is_measured_on_request(robustness: bool) -> None:
    found, _ = _assess(robustness, [])
    assert ("robust_accuracy" in found.scores.others) == robustness
    assert len(found.robustness) == (19 if robustness else 0)
    assert (found.scores.n_copies, found.scores.accuracy_without_copies) == (None, None)


def test_the_accuracy_is_measured_without_copies_too() -> None:
    found, labels = _assess(robustness=False, copied=[0, 1, 5])
    right = found.predictions["predicted"].to_numpy() == np.array(list("abc"))[labels]
    assert found.scores.n_copies == 3
    assert found.scores.accuracy_without_copies == pytest.approx(np.delete(right, [0, 1, 5]).mean(), abs=1e-6)
    all_copied, _ = _assess(robustness=False, copied=list(range(12)))
    assert (all_copied.scores.n_copies, all_copied.scores.accuracy_without_copies) == (12, None)


def test_explained_images_have_the_names_of_their_files() -> None:
    rows = _assess(robustness=False, copied=[])[0].explanations.rows
    assert rows["file"].tolist() == [f"made#{index}" for index in rows["index"]]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["t0.png", "t1.png", "b,.png", "c.png"], [False, True, False, False]),
        (["a.png", "b,.png", "c.png", "1"], [True, False, True, True]),
        ([], []),
    ],
)
def test_an_image_is_copied_if_its_copy_is_in_the_other_split(own: list[str], expected: list[bool]) -> None:
    pairs = [("1", "NA"), ("a.png", "t1.png"), ("b,.png", "c.png"), ("c.png", "t1.png")]
    files = ImageFiles(own, *([""] * len(own) for _ in range(3)))
    assert copied_in_training(files, pd.DataFrame(pairs, columns=["first", "second"])).tolist() == expected
