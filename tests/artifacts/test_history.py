from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from reprocnn.artifacts.history import Epoch, best_epoch, read_history, write_history
from reprocnn.errors import UserError

HISTORY = [Epoch(1, 1 / 3, 0.1, 1e-17, 0.5, 1e-05), Epoch(2, 2 / 3, 0.2, 3.0, 0.5, 0.001)]


def test_a_history_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    write_history(tmp_path / "a.csv", HISTORY)
    assert read_history(tmp_path / "a.csv") == HISTORY


def test_the_file_is_what_pandas_writes(tmp_path: Path) -> None:
    """`dvc plots` and users read it as a table."""
    write_history(tmp_path / "a.csv", HISTORY)
    text = pd.DataFrame(HISTORY).to_csv(index=False, lineterminator="\n")
    assert (tmp_path / "a.csv").read_bytes() == text.encode()
    assert text.split("\n")[0] == ",".join(field.name for field in fields(Epoch))


def test_the_best_epoch_is_the_first_with_the_highest_validation_accuracy() -> None:
    assert best_epoch(HISTORY) == HISTORY[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "found 0 rows and no columns"),
        ("epoch,train_loss\n1,0.5\n", "found 1 rows and the columns epoch, train_loss"),
        ("{head}\n", "found 0 rows and the columns epoch, train_loss,"),
        ("{head}\n1,2,3\n", "expected a number in each column"),
        ("{head}\n1,2,3,4,x,6\n", "could not convert string to float: 'x'"),
    ],
)
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, text: str, found: str) -> None:
    head = ",".join(field.name for field in fields(Epoch))
    (tmp_path / "a.csv").write_text(text.replace("{head}", head))
    with pytest.raises(UserError, match=found) as error:
        read_history(tmp_path / "a.csv")
    assert error.value.fix == "dvc repro --force train"
