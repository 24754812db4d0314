from pathlib import Path

import pandas as pd

from reprocnn.artifacts.predictions import write_predictions

TABLE = pd.DataFrame(
    {
        "index": [0, 3],
        "actual": ["NA", "007"],
        "predicted": ["007", "NA"],
        "confidence": [0.9, 0.625],
        "image": ["0000000000000012", "12345678e0000001"],  # digits are text, not numbers
    }
)


def test_predictions_are_read_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.csv", TABLE)
    read = pd.read_csv(tmp_path / "a.csv", dtype={"actual": str, "predicted": str, "image": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(read, TABLE, check_dtype=False)
