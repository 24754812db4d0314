import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from checkouts import ROOT
from reprocnn import backend
from reprocnn.training.cross_validation import predict_held_out


def test_each_image_is_predicted_by_a_net_that_did_not_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A net that has seen an image of noise knows its label; one that hasn't is right by chance alone."""
    backend.prepare(0)
    random = np.random.default_rng(0)
    digits = np.round(load_digits().images[:500] * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    images = np.concatenate([digits, random.integers(0, 256, (100, 8, 8, 1)).astype(np.uint8)])
    labels = np.concatenate([load_digits().target[:500], random.integers(0, 10, 100)])
    labels[-1] = 10  # a class with fewer images than folds
    rows, calls = np.arange(10, 600), list[int]()
    found = predict_held_out(images, rows, labels[rows], 11, folds=2, done=lambda: calls.append(1))
    right = found.argmax(axis=1) == labels[rows]
    assert len(calls) == 2
    assert capsys.readouterr().out == ""
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert right[:490].mean() > 0.85
    assert right[490:].mean() < 0.3


FOLDS_OF_SEVERAL_SIZES = """
import logging
from io import StringIO
import numpy as np
from reprocnn import backend
from reprocnn.evaluation import predictions
from reprocnn.training.cross_validation import predict_held_out

predictions.rows_per_chunk = lambda *_, **__: 4
backend.prepare(0)
said = StringIO()
logging.getLogger("tensorflow").addHandler(logging.StreamHandler(said))
images = np.random.default_rng(0).integers(0, 256, (28, 8, 8, 1)).astype(np.uint8)
predict_held_out(images, np.arange(28), np.arange(28) % 2, 2)  # folds of 7: chunks of 4 and 3
print("@" + said.getvalue())
"""


@pytest.mark.slow
def test_tensorflow_does_not_warn_that_each_fold_compiles_a_net() -> None:
    """In a process of its own: TensorFlow counts what it compiled for other tests, too."""
    command = [sys.executable, "-c", FOLDS_OF_SEVERAL_SIZES]
    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.partition("@")[2].strip() == ""
