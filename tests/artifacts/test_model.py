import subprocess
import sys
from pathlib import Path

import numpy as np

from reprocnn.artifacts.model import load_model, write_model
from reprocnn.backend import keras
from reprocnn.models.build import build
from reprocnn.params import ModelParams


def test_a_saved_model_has_the_same_bytes_and_loads_without_this_project(tmp_path: Path) -> None:
    made = []
    for name in ("a.keras", "b.keras"):
        keras.utils.set_random_seed(1)
        model = build(ModelParams(model="simple_cnn"), (12, 12, 1), 3, 0)
        model.compile(optimizer=keras.optimizers.Adam(name="adam"), loss="categorical_crossentropy")
        model.fit(np.ones((4, 12, 12, 1)), np.eye(3)[[0, 1, 2, 0]], verbose=0, shuffle=False)
        write_model(tmp_path / name, model)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.keras", "b.keras"]
    image = np.random.default_rng(0).random((1, 12, 12, 1), np.float32)
    code = (
        "import sys, keras, numpy as np; m = keras.models.load_model('a.keras');"
        "x = np.random.default_rng(0).random((1, 12, 12, 1), np.float32);"
        "assert not any(n.startswith('reprocnn') for n in sys.modules);"
        "print(repr(m.predict(x, verbose=0).tolist()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    np.testing.assert_allclose(eval(done.stdout), model.predict(image, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(
        load_model(tmp_path / "a.keras").predict_on_batch(image), model.predict_on_batch(image)
    )
