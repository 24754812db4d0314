import numpy as np
import pytest

from reprocnn.evaluation import metrics

LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.15, 0.8, 0.05], [0.1, 0.6, 0.3], [0.4, 0.35, 0.25]])


def test_overall_metrics_equal_those_computed_by_hand() -> None:
    scores = metrics.overall(PROBABILITIES, LABELS, top_k=2)
    assert scores.accuracy == 0.5
    assert scores.others["loss"] == pytest.approx(-np.log([0.7, 0.15, 0.6, 0.25]).mean(), abs=1e-6)
    assert scores.others["top_k_accuracy"] == 0.75
    assert scores.n == 4
    # precision: 1/2, 1/2, 0; recall: 1/2, 1, 0
    assert scores.others["macro_precision"] == pytest.approx(1 / 3, abs=1e-6)
    assert scores.others["macro_recall"] == 0.5
    assert scores.others["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3, abs=1e-6)


def test_accuracy_is_the_fraction_of_correct_predictions() -> None:
    assert metrics.accuracy(PROBABILITIES, LABELS) == 0.5
    assert metrics.accuracy(np.eye(3), np.array([0, 1, 0])) == 0.666667


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662
    probabilities = np.eye(2)[np.repeat([0, 1], [81, 182])]
    scores = metrics.overall(probabilities, np.zeros(263, np.int64), top_k=5)
    assert scores.accuracy_low == pytest.approx(0.2553, abs=5e-5)
    assert scores.accuracy_high == pytest.approx(0.3662, abs=5e-5)


def test_top_k_accuracy_is_left_out_for_k_or_fewer_classes() -> None:
    assert "top_k_accuracy" not in metrics.overall(PROBABILITIES, LABELS, top_k=3).others


def test_a_mistake_with_probability_1_gives_a_finite_loss() -> None:
    assert metrics.overall(np.array([[1.0, 0.0]]), np.array([1]), 5).others["loss"] == pytest.approx(16.118096)


def test_per_class_and_confusion_keep_classes_that_were_never_predicted() -> None:
    names = ["a", "b", "c"]
    table = metrics.per_class(PROBABILITIES, LABELS, names)
    assert table["class"].tolist() == names
    assert table["recall"].tolist() == [0.5, 1.0, 0.0]
    assert table["n"].tolist() == [2, 1, 1]
    for name in ("precision", "recall", "f1"):
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        measured = low.notna()
        assert measured.tolist() == ([True, True, False] if name == "precision" else [True] * 3)
        assert table[name][measured].between(low[measured], high[measured]).all()
    assert metrics.confusion(PROBABILITIES, LABELS).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_test_time_augmentation_has_its_own_accuracy() -> None:
    assert metrics.overall(PROBABILITIES, LABELS, top_k=2).tta_accuracy is None
    scores = metrics.overall(PROBABILITIES, LABELS, 2, augmented=np.eye(3)[LABELS])
    assert (scores.accuracy, scores.tta_accuracy) == (0.5, 1.0)


def test_a_class_without_test_images_does_not_lower_the_macro_metrics() -> None:
    probabilities = np.eye(4)[[0, 3, 1, 1]]
    labels = np.array([0, 0, 1, 1])  # no image of classes 2 and 3; one image is predicted as 3
    scores = metrics.overall(probabilities, labels, top_k=2)
    assert scores.others["macro_precision"] == 1
    assert scores.others["macro_recall"] == 0.75  # the image predicted as 3 lowers the recall of class 0
    assert scores.others["macro_f1"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    table = metrics.per_class(probabilities, labels, list("abcd"))
    assert table["n"].tolist() == [2, 2, 0, 0]
    assert table.loc[:1, ["precision", "recall"]].to_numpy().tolist() == [[1, 0.5], [1, 1]]
    assert table.loc[2:, ["precision", "recall", "f1"]].isna().all(axis=None)
    assert metrics.confusion(probabilities, labels)[2:].sum() == 0


@pytest.mark.parametrize(("classes", "present"), [(3, 1), (3, 2), (10, 2), (1000, 500)])
@pytest.mark.parametrize("right", [True, False])
def test_any_number_of_classes_may_be_absent(classes: int, present: int, right: bool) -> None:
    labels = np.repeat(np.arange(present), 2)
    probabilities = np.eye(classes)[labels if right else (labels + 1) % classes]
    scores = metrics.overall(probabilities, labels, top_k=2)
    assert scores.others["macro_recall"] == scores.others["macro_f1"] == scores.accuracy == right
    assert 0 <= scores.accuracy_low <= scores.accuracy <= scores.accuracy_high <= 1
    assert str(scores.others["loss"]) == "0.0" or not right  # not -0.0
    metrics.per_class(probabilities, labels, list(map(str, range(classes))))


def test_absent_classes_are_named() -> None:
    labels = np.array([0, 2])
    assert metrics.absent_classes_note(labels, ["a", "b", "c"]) == (
        "no test images of 1 of 3 classes, left out of the macro metrics: 'b'"
    )
    assert metrics.absent_classes_note(labels, list("abcdefghi")).endswith("'b', 'd', 'e', 'f', 'g' and 2 more")
    assert metrics.absent_classes_note(np.array([1, 0]), ["a", "b"]) == ""


def test_the_interval_of_f1_covers_the_true_f1_in_about_95_of_100_samples() -> None:
    random, covered = np.random.default_rng(0), 0
    # P(predicted, actual) of a class: TP 0.4, FP 0.1, FN 0.2, so F1 = 0.8 / 1.1
    for _ in range(300):
        cell = random.choice(4, size=200, p=[0.4, 0.1, 0.2, 0.3])
        labels, predicted = np.isin(cell, (1, 3)).astype(np.int64), np.isin(cell, (2, 3)).astype(np.int64)
        row = metrics.per_class(np.eye(2)[predicted], labels, ["a", "b"]).iloc[0]
        covered += row["f1_low"] <= 0.8 / 1.1 <= row["f1_high"]
    assert 0.92 <= covered / 300 <= 0.98
