import numpy as np

from made_files import made_files
from reprocnn.evaluation import predictions
from reprocnn.models.build import build
from reprocnn.params import ModelParams


def test_predict_passes_raw_pixels_in_batches_of_any_size(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    model = build(ModelParams(model="mlp"), (6, 6, 1), 3, 0)
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 6, 1)).astype(np.uint8)
    expected = model.predict_on_batch(images.astype(np.float32))
    monkeypatch.setattr("reprocnn.artifacts.split.CHUNK_BYTES", 3 * 6 * 6 * 4)
    np.testing.assert_allclose(predictions.predict(model, images), expected, rtol=1e-4)


def test_the_table_has_names_and_confidences() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    table = predictions.table(probabilities, np.array([0, 1, 0, 1]), ["NA", "dog"], made_files(images))
    assert table["predicted"].tolist() == ["NA", "NA", "dog", "dog"]
    assert table["confidence"].tolist() == [0.9, 0.6, 0.8, 0.7]


def test_predictions_of_flipped_and_shifted_images_are_averaged() -> None:
    model = build(ModelParams(model="mlp"), (6, 6, 1), 3, 0)
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 6, 1)).astype(np.uint8)

    def both_ways(moved: np.ndarray) -> np.ndarray:
        return (predictions.predict(model, moved) + predictions.predict(model, moved[:, :, ::-1])) / 2

    flipped = predictions.predict_augmented(model, images, ("flip",))
    np.testing.assert_allclose(flipped, both_ways(images))
    np.testing.assert_allclose(flipped, predictions.predict_augmented(model, images[:, :, ::-1], ("flip",)))
    # Shifted by a pixel to the lower right; reflection makes the first row and column copies of the second
    lower_right = images[:, [1, 0, 1, 2, 3, 4]][:, :, [1, 0, 1, 2, 3, 4]]
    upper_left = images[:, [1, 2, 3, 4, 5, 4]][:, :, [1, 2, 3, 4, 5, 4]]
    shifted = predictions.predict_augmented(model, images, ("flip", "shift"))
    expected = flipped / 2 + (both_ways(lower_right) + both_ways(upper_left)) / 4
    np.testing.assert_allclose(shifted, expected)
    np.testing.assert_allclose(shifted.sum(axis=1), 1, rtol=1e-5)


def test_an_image_has_the_same_hash_in_another_split_and_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 2, 1)).astype(np.uint8)

    def hashes(of: np.ndarray) -> list[str]:
        table = predictions.table(np.ones((len(of), 2)) / 2, np.zeros(len(of), int), ["a", "b"], made_files(of))
        found: list[str] = table["image"].tolist()
        return found

    here = hashes(images)
    assert len(set(here)) == 3
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in here)
    assert hashes(images[[2, 0, 2]]) == [here[2], here[0], here[2]]
    assert hashes(images[:, :, ::-1])[0] != here[0]
    assert hashes(images.reshape(3, 2, 4, 1))[0] != here[0], "the same pixels in another shape are another image"
