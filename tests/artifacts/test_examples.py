from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.examples import Examples, read_examples, write_examples
from reprocnn.artifacts.tables import write_csv
from reprocnn.errors import UserError

TABLE = pd.DataFrame({"index": [0, 3], "actual": ["NA", "007"], "predicted": ["007", "NA"], "confidence": [0.9, 0.625]})
TABLE["file"] = ["007", "NA"]
TABLE["image"] = ["0000000000000012", "12345678e0000001"]  # digits are text, not numbers


@pytest.mark.parametrize("n", [0, 2])
def test_examples_are_read_back_with_their_images(tmp_path: Path, n: int) -> None:
    images = np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2, 1)
    write_examples(tmp_path / "examples", Examples(TABLE[:n], images))
    rows, read = read_examples(tmp_path / "examples")
    assert rows["image"].tolist() == TABLE["image"].tolist()[:n]
    assert rows["predicted"].tolist() == ["007", "NA"][:n]
    assert (read.dtype, read.tolist()) == (np.uint8, images.tolist())


def test_examples_without_a_column_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "examples.csv", TABLE.drop(columns="index"))
    with pytest.raises(UserError, match="the columns index, actual, predicted, confidence, file, found actual"):
        read_examples(tmp_path)
