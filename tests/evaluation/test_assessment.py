import numpy as np
import pytest

from made_files import made_files
from reprocnn.artifacts.model_card import ModelCard
from reprocnn.evaluation.assessment import assess
from reprocnn.models.build import build
from reprocnn.params import EvaluateParams, ModelParams


@pytest.mark.parametrize("robustness", [True, False])
def test_robustness_is_measured_on_request(robustness: bool) -> None:
    model = build(ModelParams(model="mlp"), (8, 8, 1), 3, 0)
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype(np.uint8)
    card = ModelCard("data", "mlp", tuple("abc"), (8, 8, 1))
    found = assess(
        model, images, np.arange(12) % 3, made_files(images), card=card, params=EvaluateParams(robustness=robustness)
    )
    assert ("robust_accuracy" in found.scores.others) == robustness
    assert len(found.robustness) == (19 if robustness else 0)
    assert len(found.predictions) == found.scores.n == 12
