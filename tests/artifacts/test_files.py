import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from reprocnn.artifacts.files import atomic_file, atomic_folder, md5
from reprocnn.artifacts.model import write_model
from reprocnn.artifacts.split import NpyWriter, rows_per_chunk
from reprocnn.artifacts.tables import read_csv, write_csv


def test_nothing_is_left_when_a_writer_fails(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.json") as partial:
        partial.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_folder_replaces_the_old_one_and_what_a_killed_process_left(tmp_path: Path) -> None:
    for name in ("split", "split.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale").write_text("")
    with atomic_folder(tmp_path / "split") as folder:
        (folder / "new").write_text("")
    assert [p.name for p in tmp_path.rglob("*")] == ["split", "new"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files makes the write itself fail, as a full disk does.
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "import numpy as np; from pathlib import Path\n"
        "from reprocnn.artifacts.files import atomic_folder, write_json\n"
        "from reprocnn.artifacts.split import NpyWriter\n"
        "def npy():\n"
        "    with atomic_folder(Path('split')) as f, NpyWriter(f / 'a.npy', (900, 9), np.uint8) as w:\n"
        "        w.append(np.zeros((900, 9), np.uint8))\n"
        "for write in (npy, lambda: write_json(Path('a.json'), ['x'] * 999)):\n"
        "    try: write()\n"
        "    except OSError: continue\n"
        "    raise SystemExit('the write did not fail')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("shape", "rows"), [((8, 8, 1), 4096), ((32, 32, 3), 4096), ((1024, 1024, 3), 5)])
def test_a_chunk_is_bounded_in_bytes(shape: tuple[int, ...], rows: int) -> None:
    assert rows_per_chunk(shape) == rows


def test_npy_writer_writes_what_numpy_reads(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    with NpyWriter(tmp_path / "a.npy", array.shape, np.float32) as writer:
        writer.append(array[:7])
        writer.append(array[7:])
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_npy_writer_refuses_other_rows_and_another_number(tmp_path: Path) -> None:
    with NpyWriter(tmp_path / "a.npy", (1, 2), np.float32) as writer:
        with pytest.raises(ValueError, match=r"Received: float64\[2\]"):
            writer.append(np.zeros((1, 2)))
        writer.append(np.zeros((1, 2), np.float32))
    with (
        pytest.raises(ValueError, match="Expected 2 rows. Received: 0"),
        NpyWriter(tmp_path / "b.npy", (2, 2), np.float32),
    ):
        pass


def test_csv_keeps_class_names_that_look_like_something_else(tmp_path: Path) -> None:
    table = pd.DataFrame({"class": ["007", "NA", "1.0", "a,b", 'say "x"', "ümlaut"], "n": range(6)})
    write_csv(tmp_path / "a.csv", table)
    back = read_csv(tmp_path / "a.csv", text=("class",))
    assert back["class"].tolist() == table["class"].tolist()


def test_csv_keeps_a_loss_that_is_no_number(tmp_path: Path) -> None:
    table = pd.DataFrame({"loss": [0.1, float("nan"), float("inf")], "n": [1, 2, 3]})
    write_csv(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "a.csv"), table)


def test_a_saved_model_has_the_same_bytes_and_loads_without_this_project(tmp_path: Path) -> None:
    from reprocnn.backend import keras
    from reprocnn.models.build import build
    from reprocnn.params import ModelParams

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


def test_md5_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"
