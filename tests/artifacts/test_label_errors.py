from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.label_errors import LabelErrors, read_label_errors, write_label_errors
from reprocnn.errors import UserError


@pytest.mark.parametrize("n", [0, 2])
def test_label_errors_come_back_as_they_were(tmp_path: Path, n: int) -> None:
    rows = pd.DataFrame(
        {
            "index": [5, 1],
            "file": ['a, "b"\n.png', "<i>ü.png"],
            "label": ["nan", "007"],
            "suggested": ["NA", "null"],
            "score": [0.9, 0.6],
            "probability": [0.8, 0.5],
        }
    ).head(n)
    images = np.arange(64 * n, dtype=np.uint8).reshape(n, 8, 8, 1)
    write_label_errors(tmp_path / "found", LabelErrors(rows, images))
    found = read_label_errors(tmp_path / "found")
    assert found.rows.to_dict("records") == rows.to_dict("records")
    np.testing.assert_array_equal(found.images, images)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "label_errors.csv").write_text("index,file\n1,a.png\n")
    with pytest.raises(UserError, match="label_errors.csv"):
        read_label_errors(tmp_path)
