from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.confidence import read_coverage, read_reliability, write_coverage, write_reliability
from reprocnn.errors import UserError
from reprocnn.evaluation import confidence

PROBABILITIES, LABELS = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]), np.array([0, 1, 1])


def test_both_tables_are_read_back(tmp_path: Path) -> None:
    reliability = confidence.reliability(PROBABILITIES, PROBABILITIES**2, LABELS)
    coverage = confidence.coverage(PROBABILITIES, LABELS)
    write_reliability(tmp_path / "a.csv", reliability)
    write_coverage(tmp_path / "b.csv", coverage)
    pd.testing.assert_frame_equal(read_reliability(tmp_path / "a.csv"), reliability)
    pd.testing.assert_frame_equal(read_coverage(tmp_path / "b.csv"), coverage)


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("class,n\na,1\n")
    for read in (read_reliability, read_coverage):
        with pytest.raises(UserError, match=r"expected the columns .*accuracy.*\n  fix: dvc repro --force evaluate"):
            read(tmp_path / "a.csv")
