"""What the last run made."""

from reprocnn.artifacts.figures import FIGURES, REPORT
from reprocnn.artifacts.files import read_json
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.scores import METRICS
from reprocnn.errors import UserError


def summary() -> None:
    """Print the result in the workspace and where to look."""
    if not (METRICS.exists() and REPORT.exists()):
        raise UserError(f"{REPORT} is missing: nothing was run here", "dvc repro")
    metrics, card = read_json(METRICS), read_json(MODEL_CARD)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    tta = ""
    if "tta_accuracy" in metrics:
        tta = f"  {metrics['tta_accuracy']:.2%} with predictions averaged over changed images (tta)\n"
    print(
        f"\n{card['model']} on {card['dataset']}: test accuracy {metrics['accuracy']:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%}, {metrics['n']} images)\n{tta}"
        f"  report   {REPORT}   figures {FIGURES}/\n"
        f"  metrics  {METRICS}   model {MODEL}\n"
        "  MLflow   make ui   (it first adds the experiments that DVC took from its cache)"
    )
