import subprocess
import sys
from pathlib import Path

from reprocnn.run.identity import environment, is_gone, key, stage_hashes, this_process


def test_stage_hashes_include_the_file_of_the_model(here: Path) -> None:
    (here / "dvc.yaml").write_text("stages: {train: {deps: ['${model}.py', params.yaml]}}")
    (here / "deep_cnn.py").write_text("abc")
    hashes = stage_hashes("train")
    assert list(hashes) == ["deep_cnn.py", "params.yaml"]
    assert hashes["deep_cnn.py"] == "900150983cd24fb0d6963f7d28e17f72"


def test_the_environment_is_repeatable_and_names_what_results_depend_on() -> None:
    found = environment([], 3)
    assert found == environment([], 3)
    assert found["threads"] == "3"
    assert int(environment([], 0)["threads"]) >= 1
    assert found["gpu"] == "none"
    assert environment(["A", "B"], 0)["gpu"] == "A, B"
    for name in ("cpu", "instructions", "platform", "version.python", "version.tensorflow", "version.mlflow"):
        assert found[name], name


def test_a_process_is_gone_if_it_ended_or_its_id_was_reused() -> None:
    this = this_process()
    host, number, start = this.split()
    assert not is_gone(this)
    assert is_gone(f"{host} {number} {int(start) - 3600}")
    assert not is_gone(f"elsewhere {number} 1")  # unknown for other hosts
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert is_gone(f"{host} {ended.pid} {start}")


def test_the_key_depends_on_every_part() -> None:
    base = {"params": {"epochs": 3}, "read": {"a": "md5"}, "machine": {"cpu": "x"}}
    assert key(**base) == key(**dict(reversed(base.items())))
    for name, value in (("params", {"epochs": 4}), ("read", {"a": "other"}), ("machine", {"cpu": "y"})):
        assert key(**base | {name: value}) != key(**base)
