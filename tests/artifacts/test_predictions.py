from pathlib import Path

import pandas as pd

from reprocnn.artifacts.predictions import write_predictions

TABLE = pd.DataFrame({"index": [0, 3], "actual": ["NA", "007"], "predicted": ["007", "NA"], "confidence": [0.9, 0.625]})


def test_predictions_are_read_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a.csv", TABLE)
    read = pd.read_csv(tmp_path / "a.csv", dtype={"actual": str, "predicted": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(read, TABLE, check_dtype=False)
