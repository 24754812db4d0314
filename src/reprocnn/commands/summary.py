"""Print a summary of the result in the workspace."""

from reprocnn.artifacts.figures import FIGURES, REPORT
from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.scores import METRICS, read_scores, without_copies
from reprocnn.errors import UserError


def print_summary() -> None:
    """Print the test accuracy of the result in the workspace, and where its files are.

    Raises:
        UserError: the workspace has no metrics or no report.
    """
    if not (METRICS.exists() and REPORT.exists()):
        raise UserError(f"{REPORT} is missing: the pipeline has not run here", "dvc repro")
    scores, card = read_scores(METRICS), read_model_card(MODEL_CARD)
    low, high = scores.accuracy_low, scores.accuracy_high
    tta = ""
    if scores.tta_accuracy is not None:
        tta = f"  {scores.tta_accuracy:.2%} with test-time augmentation (tta)\n"
    print(
        f"\n{card.model} on {card.dataset}: test accuracy {scores.accuracy:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%}, {scores.n} images{without_copies(scores)})\n{tta}"
        f"  report   {REPORT}   figures {FIGURES}/\n"
        f"  metrics  {METRICS}   model {MODEL}, {ONNX_MODEL}\n"
        "  predict  python -m reprocnn predict IMAGE\n"
        "  MLflow   make ui   (first adds the experiments that DVC restored from its cache)"
    )
