"""Write and read the training history, which has one row per epoch."""

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from reprocnn.artifacts.files import unexpected, write_bytes

HISTORY = Path("reports/history.csv")


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch. Losses are in nats, accuracies 0-1.

    train_loss includes label smoothing and class weights where they are used; validation_loss never does.
    """

    epoch: int
    """Number of the epoch, counted from 1."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    """Learning rate at the end of the epoch."""


_COLUMNS = [field.name for field in fields(Epoch)]


def best_epoch(history: list[Epoch]) -> Epoch:
    """Return the epoch with the highest validation accuracy; the first one if several are equal."""
    return max(history, key=lambda epoch: epoch.validation_accuracy)


def write_history(path: Path, history: list[Epoch]) -> None:
    """Write a history as CSV, with numbers in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(astuple, history))
    write_bytes(path, text.getvalue().encode())


def read_history(path: Path) -> list[Epoch]:
    """Read a history. Each number equals the written one exactly.

    Raises:
        UserError: the file is not a training history.
    """
    return parse_history(path, path.read_text(encoding="utf-8"))


def parse_history(path: Path, text: str) -> list[Epoch]:
    """Parse a history.

    Args:
        path: the file that the text comes from; named in the error.
        text: its content.

    Raises:
        UserError: the text is not a training history.
    """
    columns, *rows = csv.reader(text.splitlines() or [""])
    if columns != _COLUMNS or not rows:
        found = f"the columns {', '.join(columns)}" if columns else "no columns"
        expected = f"one row per epoch with the columns {', '.join(_COLUMNS)}"
        raise unexpected(path, expected, f"{len(rows)} rows and {found}", "train")
    try:
        return [Epoch(int(number), *map(float, values)) for number, *values in rows]
    except (TypeError, ValueError) as error:  # a wrong number of values, or a value that is not a number
        raise unexpected(path, "a number in each column", str(error), "train") from None
