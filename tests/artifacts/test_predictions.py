from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.predictions import (
    Mistakes,
    read_mistakes,
    write_mistakes,
    write_predictions,
)
from reprocnn.artifacts.tables import write_csv
from reprocnn.errors import UserError

TABLE = pd.DataFrame({"index": [0, 3], "actual": ["NA", "007"], "predicted": ["007", "NA"], "confidence": [0.9, 0.625]})


def test_predictions_are_read_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.csv", TABLE)
    read = pd.read_csv(tmp_path / "a.csv", dtype={"actual": str, "predicted": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(read, TABLE, check_dtype=False)


@pytest.mark.parametrize("n", [0, 2])
def test_mistakes_are_read_back_with_their_images(tmp_path: Path, n: int) -> None:
    images = np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2, 1)
    write_mistakes(tmp_path / "mistakes", Mistakes(TABLE[:n], images))
    rows, read = read_mistakes(tmp_path / "mistakes")
    assert rows["predicted"].tolist() == ["007", "NA"][:n]
    assert (read.dtype, read.tolist()) == (np.uint8, images.tolist())


def test_mistakes_without_a_column_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "mistakes.csv", TABLE.drop(columns="index"))
    with pytest.raises(UserError, match="expected the columns index, actual, predicted, confidence, found actual"):
        read_mistakes(tmp_path)
