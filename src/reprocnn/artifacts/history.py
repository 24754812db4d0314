"""The history of a training, a row per epoch."""

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from reprocnn.artifacts.files import unexpected, write_bytes

HISTORY = Path("reports/history.csv")


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training. Losses are in nats, accuracies 0-1.

    With label smoothing and class weights, train_loss is the loss with them; validation_loss is always the plain one.
    """

    epoch: int
    """Its number, from 1."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    """At the end of the epoch."""


_COLUMNS = [field.name for field in fields(Epoch)]


def best_epoch(history: list[Epoch]) -> Epoch:
    """The first epoch of the highest validation accuracy."""
    return max(history, key=lambda epoch: epoch.validation_accuracy)


def write_history(path: Path, history: list[Epoch]) -> None:
    """Write a history as CSV; numbers have all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(astuple, history))
    write_bytes(path, text.getvalue().encode())


def read_history(path: Path) -> list[Epoch]:
    """Read a history, to the last bit of each number.

    Raises:
        UserError: the file is not what `write_history` writes.
    """
    columns, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines() or [""])
    if columns != _COLUMNS or not rows:
        found = ", ".join(columns) or "nothing"
        raise unexpected(path, f"a line per epoch with {', '.join(_COLUMNS)}", f"{len(rows)} with {found}", "train")
    try:
        return [Epoch(int(number), *map(float, values)) for number, *values in rows]
    except (TypeError, ValueError) as error:  # too few or too many values; one that is no number
        raise unexpected(path, "a number for each column", str(error), "train") from None
