from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.explanations import Explanations, read_explanations, write_explanations
from reprocnn.artifacts.tables import write_csv
from reprocnn.errors import UserError

ROWS = pd.DataFrame(
    {
        "kind": ["mistake", "hit"],
        "index": [3, 0],
        "file": ["007", "NA"],
        "actual": ["007", "NA"],
        "predicted": ["NA", "NA"],
        "second": ["007", "007"],
        "confidence": [0.6, 1.0],
        "second_confidence": [0.4, 0.0],
        "explained": ["007", "NA"],
        "probability": [0.4, 1.0],
    }
)


@pytest.mark.parametrize("n", [0, 2])
def test_explanations_are_read_back_with_images_and_maps(tmp_path: Path, n: int) -> None:
    images = np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3)
    maps = np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2)
    write_explanations(tmp_path / "explanations", Explanations(ROWS[:n], images, maps))
    read = read_explanations(tmp_path / "explanations")
    pd.testing.assert_frame_equal(read.rows, ROWS[:n], check_dtype=False)
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.maps, maps)
    assert (read.images.dtype, read.maps.dtype) == (np.uint8, np.uint8)


def test_explanations_without_a_column_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "explanations.csv", ROWS.drop(columns="explained"))
    with pytest.raises(UserError, match=r"expected the columns kind, .*\n  fix: dvc repro --force evaluate"):
        read_explanations(tmp_path)
