"""What the last run made."""

from reprocnn import paths
from reprocnn.errors import UserError
from reprocnn.files import read_json


def summary() -> None:
    """Print the result in the workspace and where to look."""
    if not (paths.METRICS.exists() and paths.REPORT.exists()):
        raise UserError(f"{paths.REPORT} is missing: nothing was run here", "dvc repro")
    metrics, card = read_json(paths.METRICS), read_json(paths.MODEL_CARD)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    tta = ""
    if "tta_accuracy" in metrics:
        tta = f"  {metrics['tta_accuracy']:.2%} with predictions averaged over changed images (tta)\n"
    print(
        f"\n{card['model']} on {card['dataset']}: test accuracy {metrics['accuracy']:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%}, {metrics['n']} images)\n{tta}"
        f"  report   {paths.REPORT}   figures {paths.FIGURES}/\n"
        f"  metrics  {paths.METRICS}   model {paths.MODEL}\n"
        "  MLflow   make ui   (it first adds the experiments that DVC took from its cache)"
    )
