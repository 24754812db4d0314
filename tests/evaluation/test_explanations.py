import numpy as np
import pytest

from reprocnn.evaluation.explanations import explain, hits, mistakes, near_misses
from reprocnn.evaluation.predictions import predict
from reprocnn.models.build import build
from reprocnn.params import ModelParams


def test_mistakes_are_wrong_and_most_confident_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert mistakes(probabilities, np.array([1, 0, 1, 1])).tolist() == [0, 1, 2]
    assert mistakes(probabilities, np.array([1, 0, 1, 1]), n=1).tolist() == [0]


def test_near_misses_have_the_smallest_margin_and_hits_the_highest_confidence_of_different_classes() -> None:
    confidence = np.array([0.51, 0.99, 0.98, 0.97, 0.6, 0.9, 0.95, 0.55])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probabilities = np.where(labels[:, None] == [0, 1], confidence[:, None], 1 - confidence[:, None])
    assert near_misses(probabilities, labels).tolist() == [0, 7, 4, 5]
    assert hits(probabilities, labels).tolist() == [1, 6, 2, 3]  # the best of each class, then the others
    assert hits(probabilities, labels, n=2).tolist() == [1, 6]


def test_a_margin_is_the_distance_to_the_second_class() -> None:
    probabilities = np.array([[0.5, 0.45, 0.05], [0.45, 0.3, 0.25], [0.9, 0.1, 0]])
    assert near_misses(probabilities, np.zeros(3, int)).tolist() == [0]


@pytest.mark.parametrize("right", [True, False])
def test_a_single_image_is_explained(right: bool) -> None:
    model = build(ModelParams(model="deep_cnn"), (8, 8, 1), 3, 0)
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1)).astype(np.uint8)
    probabilities = predict(model, image)
    predicted = int(probabilities.argmax())
    labels = np.array([predicted if right else (predicted + 1) % 3])
    rows, images, maps = explain(model, image, labels, probabilities, list("abc"))
    assert rows["kind"].tolist() == (["hit"] if right else ["mistake"] * 2)
    assert rows["explained"].tolist() == list(dict.fromkeys(["abc"[predicted], "abc"[labels[0]]]))
    assert images.shape == (len(rows), 8, 8, 1)
    assert (maps.shape, maps.dtype) == ((len(rows), 8, 8), np.uint8)


def test_the_table_describes_the_maps() -> None:
    model = build(ModelParams(model="mlp"), (8, 8, 1), 4, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1)).astype(np.uint8)
    probabilities, labels = predict(model, pixels), np.arange(200) % 4
    rows, images, maps = explain(model, pixels, labels, probabilities, list("abcd"))
    np.testing.assert_array_equal(images, pixels[rows["index"]])
    per_kind = rows.drop_duplicates(["kind", "index"]).groupby("kind").size().to_dict()
    assert per_kind == {"mistake": 8, "near miss": 8, "hit": 8}
    assert (rows["kind"] == "mistake").sum() == 16  # two maps each
    order = np.argsort(-probabilities[rows["index"]], axis=1)
    assert rows["predicted"].tolist() == ["abcd"[i] for i in order[:, 0]]
    assert rows["second"].tolist() == ["abcd"[i] for i in order[:, 1]]
    assert rows["actual"].tolist() == ["abcd"[i] for i in labels[rows["index"]]]
    for row in rows.itertuples():
        assert row.probability == pytest.approx(probabilities[row.index, "abcd".index(row.explained)], abs=1e-6)
        assert row.confidence >= row.second_confidence
    assert maps.max() == 255
