import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn.artifacts import files
from reprocnn.artifacts.files import atomic_file, atomic_folder, content_md5, md5
from reprocnn.params import read_params


def test_a_writer_that_fails_leaves_no_new_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.json") as partial:
        partial.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_folder_replaces_the_old_one_and_the_rest_of_a_killed_process(tmp_path: Path) -> None:
    for name in ("split", "split.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale").write_text("")
    with atomic_folder(tmp_path / "split") as folder:
        (folder / "new").write_text("")
    assert [p.name for p in tmp_path.rglob("*")] == ["split", "new"]


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    # A limit on the file size makes the write fail in the same way as a full disk.
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


def test_md5_hashes_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"


def test_hashes_equal_those_of_dvc() -> None:
    """Compare files and folders with dvc.lock, which DVC wrote."""
    stages = read_params(ROOT / "dvc.lock")["stages"]
    outs = [out for stage in stages.values() for out in stage["outs"] if out["path"].startswith("reports/")]
    found = {out["path"]: out["md5"] for out in outs if (ROOT / out["path"]).exists()}
    assert "reports/figures" in found
    for name, expected in found.items():
        assert content_md5(ROOT / name) == expected, name


def test_ignored_names_equal_those_of_dvcignore() -> None:
    lines = (ROOT / ".dvcignore").read_text().splitlines()
    assert tuple(line for line in lines if not line.startswith(("#", "/"))) == files._IGNORED
