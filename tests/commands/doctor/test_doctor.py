import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

from checkouts import ROOT, Checkout
from reprocnn import cli
from reprocnn.artifacts.dataset import DATASET, DatasetCard, write_dataset
from reprocnn.artifacts.files import write_bytes, write_json
from reprocnn.artifacts.model import MODEL
from reprocnn.commands.doctor import checkout, doctor, machine, runs, storage
from reprocnn.commands.doctor.findings import Finding
from reprocnn.ledger.git import git as run_git
from reprocnn.ledger.origin import run_name
from reprocnn.run import locks
from reprocnn.run.identity import cpu_name, environment, this_process
from reprocnn.run.state import checkpoints as checkpoints_folder

TINY = """\
stages:
  copy:
    cmd: cp params.yaml copied
    deps: [params.yaml]
    outs: [copied]
  plot:
    cmd: mkdir -p data/raw && cp copied data/raw/train
    deps: [copied]
    outs: [data/raw/train]
"""
"""A dvc.yaml whose stages run within a second."""


@pytest.fixture(scope="module")
def built(make_checkout: Callable[[], Checkout]) -> Checkout:
    """A checkout in which a tiny pipeline has run; tests must not change it."""
    made = make_checkout()
    (made.folder / "dvc.yaml").write_text(TINY)
    (made.folder / "dvc.lock").unlink()
    made.run("dvc", "repro")
    made.commit("built")
    return made


@pytest.fixture
def own(built: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A copy of `built` as the working directory, which tests may change."""
    copy = object.__new__(Checkout)
    copy.folder = tmp_path / "own"
    shutil.copytree(built.folder, copy.folder)
    monkeypatch.chdir(copy.folder)
    return copy


Fill = Callable[[Path], None]

STORE = """\
from reprocnn.ledger import store
client, experiment = store.connect()
first = client.create_run(experiment, run_name="first")
client.set_terminated(first.info.run_id)
client.create_run(experiment, run_name="second", tags={"process": "elsewhere 1 1"})
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with a finished run and a running one."""
    folder = tmp_path_factory.mktemp("template")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    command = [sys.executable, "-c", STORE]  # in its own process: MLflow keeps files of a store open
    subprocess.run(command, cwd=folder, env=own | {"PYTHONPATH": str(ROOT / "src")}, check=True, capture_output=True)
    return folder / "mlflow.db"


@pytest.fixture
def fill(template: Path) -> Fill:
    """Return a function that copies that store to a folder, as if it had been made there."""

    def run(folder: Path) -> None:
        shutil.copy(template, folder)
        (folder / "mlartifacts").mkdir()
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
            place = ((folder / "mlartifacts").as_uri(),)
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'reprocnn'", place)

    return run


@pytest.fixture
def git(here: Path) -> Callable[..., None]:
    def run(*arguments: str) -> None:
        name = ["-c", "user.email=test@example.org", "-c", "user.name=test"]
        subprocess.run(["git", *name, *arguments], check=True, capture_output=True)

    return run


def _one(findings: Iterable[Finding], subject: str = "") -> Finding:
    """Return the only finding, or the only one about a subject."""
    found = [finding for finding in findings if subject in {"", finding.subject}]
    assert len(found) == 1, found
    return found[0]


def _edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


# All checks


def test_in_a_correct_checkout_nothing_is_wrong_and_nothing_changes(own: Checkout, fill: Fill) -> None:
    fill(own.folder)
    shutil.rmtree(own.folder / ".dvc/tmp")
    before = _hashes(own.folder)
    code = "import sys; from reprocnn import cli; cli.main(['doctor']); assert 'tensorflow' not in sys.modules"
    printed = own.run("python", "-c", code, PYTHONPATH="src")
    assert "nothing is wrong" in printed
    subjects = [line.split()[1] for line in printed.splitlines() if line.startswith(("ok", "note", "wrong"))]
    assert subjects == [
        *("python", "git", "params.yaml", "dvc.lock", "queue", "cache", "disk"),
        *("MLflow", "artifacts", "runs", "checkpoints", "cpu", "threads", "gpu"),
    ]
    assert len(printed.splitlines()) <= 24, "more than a screen"
    assert _hashes(own.folder) == before


def _hashes(folder: Path) -> dict[str, str]:
    """Return the md5 of each file that doctor must not change, path -> md5."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return {
        name: hashlib.md5(path.read_bytes()).hexdigest()
        for path, name in names.items()
        if not name.startswith((".dvc/tmp/", ".git/"))
    }


def test_in_an_empty_folder_every_check_reports_and_the_status_is_1(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "params.yaml").unlink()
    (here / ".dvc").rmdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor"])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "wrong  params.yaml  params.yaml is missing\n" + " " * 20 + "fix: git checkout" in printed
    assert " or: git clone" in printed
    assert "can't be checked" not in printed
    assert printed.rstrip().splitlines()[-1].startswith("wrong: ")
    assert not list(here.iterdir())


def test_a_check_that_fails_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> Iterable[Finding]:
        yield Finding("ok", "one", "seen")
        raise ValueError("broken")

    monkeypatch.setattr(doctor, "_CHECKS", {"one": fails, "two": lambda: [Finding("note", "two", "seen too")]})
    with pytest.raises(SystemExit):
        doctor.run_checks()
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["ok one seen", "wrong one can't be checked: ValueError: broken"]
    assert lines[3:] == ["note two seen too", "", "wrong: 1"]


def test_a_note_does_not_change_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_CHECKS", {"one": lambda: [Finding("note", "one", "seen", "this\nor that")]})
    doctor.run_checks()
    assert capsys.readouterr().out.splitlines()[1:3] == [f"{'':20}fix: this", f"{'':20} or: or that"]


# Git


def test_git_repository_and_commit(here: Path, git: Callable[..., None]) -> None:
    found = _one(checkout.check_git())
    assert (found.state, found.fix.split(" && ")[0]) == ("wrong", "git init")
    assert "is not a Git repository" in found.text
    git("init", "-b", "main")
    found = _one(checkout.check_git())
    assert (found.state, found.text) == ("wrong", "there is no commit, and DVC needs one")
    assert found.fix.startswith("git add -A && git commit")
    (here / "dvc.yaml").touch()
    git("add", "-A")
    git("commit", "-m", "start")
    assert _one(checkout.check_git()).text == run_name()
    Path("new").touch()
    assert _one(checkout.check_git()) == Finding("ok", "git", f"{run_name()}; uncommitted files: 1")


def test_a_folder_of_another_repository_has_to_be_tracked_by_it(
    here: Path, git: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", "-b", "main")
    git("commit", "--allow-empty", "-m", "start")
    write_bytes(here / "inner" / "dvc.yaml", b"")
    monkeypatch.chdir(here / "inner")
    found = _one(checkout.check_git())
    assert (found.state, f"does not track {here / 'inner'}" in found.text) == ("wrong", True)
    git("add", "-A")
    assert _one(checkout.check_git()).state == "ok"


def test_a_lock_file_of_dvc_that_was_being_written_when_dvc_was_killed(here: Path) -> None:
    for name in ("dvc.yaml", "dvc.lock"):
        write_bytes(here / name, b"")
    write_bytes(here / ".dvc/tmp/rwlock", b"")
    found = _one(checkout.check_pipeline())
    assert (found.state, found.fix) == ("wrong", "rm .dvc/tmp/rwlock  # if no dvc runs")


def test_a_dvc_lock_that_was_being_written_when_dvc_was_killed(here: Path, git: Callable[..., None]) -> None:
    """Cut off anywhere, also where the rest is valid YAML that DVC refuses."""
    git("init", "-b", "main")
    write_bytes(here / ".dvc/config", b"")
    stage = "{cmd: 'true', deps: [{path: params.yaml, hash: md5, md5: 0123456789abcdef0123456789abcdef, size: 1}]}"
    stages = {name: YAML(typ="safe").load(stage) for name in ("train", "evaluate", "plot")}
    pipeline = {name: {"cmd": "true", "deps": ["params.yaml"]} for name in stages}
    YAML().dump({"stages": pipeline}, Path("dvc.yaml"))
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    whole = Path("dvc.lock").read_text()
    for end in ("", "schema:", "stages:", "size:", "- path", "deps:", "cmd: 'tr"):
        Path("dvc.lock").write_text(whole[: whole.rindex(end) + len(end)] if end else "")
        found = _one(checkout.check_pipeline())
        assert (found.state, found.fix) == ("wrong", "git checkout HEAD -- dvc.lock && dvc repro"), (end, found)


def test_an_index_that_git_or_dvc_was_writing_when_it_was_killed(here: Path, git: Callable[..., None]) -> None:
    git("init", "-b", "main")
    write_bytes(here / "dvc.yaml", b"")
    git("add", "-A")
    git("commit", "-m", "start")
    Path(".git/index.lock").touch()
    found = _one(checkout.check_git())
    assert (found.state, found.fix) == ("wrong", "rm .git/index.lock  # if no git and no dvc runs")


def test_a_head_that_a_killed_experiment_left_detached(here: Path, git: Callable[..., None]) -> None:
    write_bytes(here / "dvc.yaml", b"")
    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "start")
    git("checkout", run_git("rev-parse", "HEAD"))  # as DVC does for an experiment
    found = _one(checkout.check_git())
    assert (found.state, found.fix) == ("wrong", "git switch main")
    git("switch", "main")
    assert _one(checkout.check_git()).state == "ok"


def test_names_that_are_not_utf_8(here: Path) -> None:
    _edit("params.yaml", "folder: data/README.md", "folder: pets")
    folder = os.fsencode(here / "pets")
    (here / "pets").mkdir()
    try:
        Path(os.fsdecode(folder + b"/caf\xe9.png")).touch()
    except OSError:  # a file system that only allows UTF-8 can't have such a name
        return
    found = _one(checkout.check_params())
    assert (found.state, r"caf\xe9.png' is not UTF-8" in found.text) == ("wrong", True)


def test_a_git_error_is_shown_with_the_fix_that_git_names(
    here: Path, git: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = _one(checkout.check_git())
    assert (found.state, "dubious ownership" in found.text) == ("wrong", True)
    assert found.fix == f"git config --global --add safe.directory {here}"


def test_git_is_not_installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    found = _one(checkout.check_git())
    assert (found.state, found.text) == ("wrong", "git is not installed")


# params.yaml


def test_params(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = _one(checkout.check_params())
    assert (found.state, found.fix) == ("wrong", "set `folder: data/README.md`, or create it")
    assert "data/README.md does not exist" in found.text
    write_bytes(here / "data/README.md", b"")
    assert _one(checkout.check_params()) == Finding("ok", "params.yaml", "deep_cnn on digits, epochs: 10")
    _edit("params.yaml", "epochs: 10", "epochs: many")
    monkeypatch.setattr(doctor, "_CHECKS", {"params.yaml": checkout.check_params})
    with pytest.raises(SystemExit):
        doctor.run_checks()
    printed = capsys.readouterr().out
    assert "wrong  params.yaml  epochs: found 'many' (str), allowed: a whole number" in printed
    assert "fix: for example `-S epochs=10`" in printed


# dvc.lock and stages


def test_dvc_lock_that_is_up_to_date_or_not(own: Checkout) -> None:
    assert _one(checkout.check_pipeline()).state == "ok"
    _edit("params.yaml", "epochs: 10", "epochs: 11")
    found = _one(checkout.check_pipeline())
    assert (found.state, found.text) == ("wrong", "not up to date: copy")
    assert found.fix.startswith("dvc repro")
    own.run("git", "checkout", "params.yaml")
    Path("copied").unlink()
    assert _one(checkout.check_pipeline()).text == "not up to date: copy, plot"
    shutil.rmtree("data")
    assert _one(checkout.check_pipeline()) == Finding(
        "note", "dvc.lock", "the pipeline has not run here yet", "dvc repro"
    )


def test_what_dvc_needs_is_missing_or_broken(own: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(Path("dvc.lock"), b"<<<<<<< HEAD\na: [\n")
    found = _one(checkout.check_pipeline())
    assert (found.state, found.fix) == ("wrong", "git checkout HEAD -- dvc.lock && dvc repro")
    assert "dvc.lock is not YAML" in found.text
    Path("dvc.lock").unlink()
    found = _one(checkout.check_pipeline())
    assert (found.state, found.text) == ("wrong", f"there is no dvc.lock in {own.folder}")
    assert found.fix.splitlines() == ["git checkout HEAD -- dvc.lock", "dvc repro  # creates it"]
    shutil.rmtree(".dvc")
    assert _one(checkout.check_pipeline()).fix == "git checkout HEAD -- .dvc"


def test_errors_of_dvc_are_shown(
    own: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(".git")
    Path(".dvc/tmp/exps/celery").mkdir(parents=True)
    checks = {"dvc.lock": checkout.check_pipeline, "queue": checkout.check_queue, "cache": storage.check_storage}
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    with pytest.raises(SystemExit):
        doctor.run_checks()
    printed = capsys.readouterr().out
    reason = f"fails: {own.folder} is not a git repository"
    assert f"wrong  dvc.lock     `dvc status --json` {reason}" in printed
    assert f"note   queue        unknown: `dvc queue status` {reason}" in printed
    assert f"note   cache        unknown: `dvc version` {reason}" in printed
    assert "ok     disk" in printed
    assert printed.rstrip().endswith("wrong: 1")


def test_a_running_stage(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".dvc/config", "dvc.yaml", "dvc.lock"):
        write_bytes(here / name, b"")
    with locks.exclusive(Path(".dvc/tmp/stage.lock"), "runs"):
        parent = SimpleNamespace(cmdline=lambda: ["python", "/somewhere/bin/other", "repro"])
        monkeypatch.setattr("psutil.Process.parents", lambda _: [parent])
        found = _one(checkout.check_pipeline())
        assert (found.state, found.fix) == ("wrong", f"kill {os.getpid()}")
        assert "without a dvc process" in found.text
        parent.cmdline = lambda: ["python", "/somewhere/bin/dvc", "repro"]
        found = _one(checkout.check_pipeline())
        assert (found.state, found.fix) == ("note", "")
        assert f"a stage is running (process {os.getpid()})" in found.text
    assert not locks.holder(Path(".dvc/tmp/stage.lock"))


# The queue


def test_a_queue_without_a_worker(own: Checkout) -> None:
    assert _one(checkout.check_queue()) == Finding("ok", "queue", "not used yet")
    own.run("dvc", "exp", "run", "--queue", "-S", "epochs=3")
    found = _one(checkout.check_queue())
    assert found == Finding("wrong", "queue", "1 queued; workers: 0", "dvc queue start")


@pytest.mark.parametrize(
    ("states", "workers", "fix"),
    [
        (("Running", "Queued", "Success"), "1 active, 0 idle", ""),
        (("Queued",), "0 active, 1 idle", ""),
        (("Success", "Failed"), "0 active, 0 idle", ""),
        ((), "0 active, 0 idle", ""),
        (("Running", "Success"), "0 active, 0 idle", "dvc queue kill exp-0  # then queue exp-0 again"),
        (
            ("Running", "Running", "Queued"),
            "0 active, 0 idle",
            "dvc queue kill exp-0 exp-1 && dvc queue start  # then queue exp-0 exp-1 again",
        ),
    ],
)
def test_queues(here: Path, monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...], workers: str, fix: str) -> None:
    (here / ".dvc/tmp/exps/celery").mkdir(parents=True)
    lines = [f"2c8723{i}  exp-{i}      05:57 AM   {state}" for i, state in enumerate(states)]
    table = ["Task     Name        Created    Status", *lines] if lines else ["No experiment tasks in the queue."]
    output = "\n".join([*table, "", f"Worker status: {workers}", ""])
    monkeypatch.setattr(checkout, "run_dvc", lambda *_: output)
    found = _one(checkout.check_queue())
    assert (found.state, found.fix) == ("wrong" if fix else "ok", fix)
    for state in states:
        assert f"{states.count(state)} {state.lower()}" in found.text
    assert states or found.text == "empty; workers: 0"


# Cache and disk


def _storage(monkeypatch: pytest.MonkeyPatch, works: str, configured: str) -> Callable[[], list[Finding]]:
    outputs = {"version": f"Platform: x\nCache types: {works}\nCaches: local\n", "config": f"{configured}\n"}
    monkeypatch.setattr(storage, "run_dvc", lambda command, *_: outputs[command])
    return lambda: list(storage.check_storage())


@pytest.mark.parametrize(
    ("works", "configured", "link"),
    [
        ("hardlink, symlink", "reflink,hardlink,symlink,copy", "hardlink"),
        ("reflink, hardlink, symlink", "reflink,hardlink,symlink,copy", "reflink"),
        ("hardlink, symlink", "reflink, symlink", "symlink"),
        ("hardlink, symlink", "", "copy"),  # DVC's own default is reflink,copy
        ("", "reflink,hardlink,symlink,copy", "copy"),
    ],
)
def test_link_types(here: Path, monkeypatch: pytest.MonkeyPatch, works: str, configured: str, link: str) -> None:
    found = _one(_storage(monkeypatch, works, configured)(), "cache")
    assert found.text.startswith(f"{link}: ")
    assert (found.state, bool(found.fix)) == (("note", True) if link == "copy" else ("ok", False))


def test_copies_are_reported_with_their_size_and_a_fix(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"train": {"outs": [{"size": 3_000_000}, {"size": 400_000}]}, "evaluate": {"outs": [{}]}, "plot": {}}
    write_json(here / "dvc.lock", {"schema": "2.0", "stages": stages})  # JSON is valid YAML
    found = _one(_storage(monkeypatch, "hardlink, symlink", "copy")(), "cache")
    assert found.text.endswith("3.4 MB more for the outputs of dvc.lock")
    assert found.fix == "dvc config --local cache.type 'hardlink,symlink,copy' && dvc checkout --relink"
    found = _one(_storage(monkeypatch, "", "hardlink,copy")(), "cache")
    assert found.fix.startswith("dvc cache dir --local FOLDER")


def test_the_link_types_that_work_come_from_dvc(own: Checkout) -> None:
    assert _one(storage.check_storage(), "cache").text.split(":")[0] in {"reflink", "hardlink", "symlink"}
    shutil.rmtree(".dvc/cache")
    assert _one(storage.check_storage(), "cache") == Finding("ok", "cache", "none yet; the first run creates it")


def _free(monkeypatch: pytest.MonkeyPatch, n: float) -> None:
    usage = namedtuple("usage", ["free"])(n)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_the_disk_is_too_small_for_the_data_set(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = _storage(monkeypatch, "hardlink", "hardlink,copy")
    _edit("params.yaml", "dataset: digits ", "dataset: cifar10 ")
    needed = 60_000 * 32 * 32 * 3 * 5 + 170_498_071
    _free(monkeypatch, needed + 1)
    assert _one(linked(), "disk") == Finding("ok", "disk", "1.1 GB free; cifar10 needs about 1.1 GB")
    _free(monkeypatch, needed - 1)
    found = _one(linked(), "disk")
    assert (found.state, found.fix.split("  #")[0]) == ("wrong", "dvc gc --all-commits --all-experiments")
    write_dataset(DATASET, DatasetCard("cifar10", ("cat", "dog"), (32, 32, 3), 50_000, 10_000))
    assert _one(linked(), "disk") == Finding("ok", "disk", "1.1 GB free; cifar10 is already downloaded")
    write_dataset(DATASET, DatasetCard("digits", ("0", "1"), (8, 8, 1), 1437, 360))
    _free(monkeypatch, needed + 1)
    assert _one(_storage(monkeypatch, "", "copy")(), "disk").state == "wrong"
    write_json(DATASET, {"dataset": "cifar10"})  # written by another version
    assert "is already downloaded" not in _one(linked(), "disk").text


def test_the_space_that_the_users_images_need(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = _storage(monkeypatch, "hardlink", "hardlink")
    _edit("params.yaml", "dataset: digits ", "dataset: folder ")
    _edit("params.yaml", "folder: data/README.md", "folder: data/images")
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        write_bytes(here / "data/images" / name, b"")
    needed = 3 * 32 * 32 * 3 * 5
    for free, state in ((needed + 1, "ok"), (needed - 1, "wrong")):
        _free(monkeypatch, free)
        assert _one(look(), "disk").state == state
    _edit("params.yaml", "color_mode: rgb ", "color_mode: grayscale ")
    assert _one(look(), "disk").state == "ok"
    _edit("params.yaml", "folder: data/images", "folder: data/images.zip")
    assert "the size of an archive's images is unknown" in _one(look(), "disk").text
    (here / "params.yaml").unlink()
    assert _one(look(), "disk").text == "0.0 MB free"


# MLflow


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables that doctor sets."""
    for name, value in runs.QUICK.items():
        monkeypatch.setenv(name, value)


def _sql(command: str, value: str) -> None:
    with closing(sqlite3.connect("mlflow.db")) as connection, connection:
        connection.execute(command, (value,))


def test_doctor_creates_no_store(here: Path) -> None:
    uri = f"sqlite:///{here}/mlflow.db"
    assert _one(runs.check_store()) == Finding("ok", "MLflow", f"no runs yet; they go to {uri}")
    (here / "mlflow.db").touch()
    assert _one(runs.check_store()).state == "ok"
    assert (here / "mlflow.db").read_bytes() == b""
    write_bytes(MODEL, b"a model")
    found = _one(runs.check_store())
    assert found == Finding(
        "note", "MLflow", f"the result in the workspace has no run in {uri}", "python -m reprocnn sync"
    )


def test_a_store_with_and_without_the_files_of_its_runs(here: Path, fill: Fill) -> None:
    fill(here)
    assert list(runs.check_store()) == [
        Finding("ok", "MLflow", f"sqlite:///{here}/mlflow.db, which `make ui` shows"),
        Finding("ok", "artifacts", str(here / "mlartifacts")),
        Finding("ok", "runs", "running: 1; stuck: none"),
    ]
    shutil.rmtree(here / "mlartifacts")
    found = _one(runs.check_store(), "artifacts")
    assert (found.state, found.fix.split("  #")[0]) == ("wrong", "python -m reprocnn sync")
    assert found.text == f"{here}/mlartifacts does not exist: the files of the runs are lost"
    _sql("UPDATE runs SET status = ?", "RUNNING")  # the first training has no files yet
    assert _one(runs.check_store(), "artifacts").state == "ok"


def test_a_run_whose_process_has_ended(here: Path, fill: Fill) -> None:
    fill(here)
    host, number, start = this_process().split()
    mark = "UPDATE tags SET value = ? WHERE key = 'process'"
    for process in (f"{host} {number} {start}", f"another-{host} {number} 1"):
        _sql(mark, process)
        assert _one(runs.check_store(), "runs") == Finding("ok", "runs", "running: 1; stuck: none")
    _sql(mark, f"{host} {number} 1")  # a later process has the same number
    found = _one(runs.check_store(), "runs")
    assert (found.state, found.text) == ("wrong", "marked as running, but the process has ended: second")
    assert found.fix.startswith("python -m reprocnn sync")
    _sql("DELETE FROM tags WHERE key = ?", "process")
    assert _one(runs.check_store(), "runs").state == "ok"


def test_a_checkout_that_was_moved_or_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill) -> None:
    old, new = tmp_path / "a" / "old", tmp_path / "it's new"
    (old / ".dvc").mkdir(parents=True)
    fill(old)
    shutil.copytree(old, new)
    monkeypatch.chdir(new)
    found = _one(runs.check_store(), "artifacts")
    assert (found.state, found.text) == ("wrong", f"stored in {old}/mlartifacts: this checkout was moved or copied")
    aside, *others = found.fix.splitlines()
    assert not others, "a link would mix the files of two checkouts"
    shutil.rmtree(old.parent)
    link, again = _one(runs.check_store(), "artifacts").fix.splitlines()
    assert again == aside
    subprocess.run(link, shell=True, check=True)
    assert _one(runs.check_store(), "artifacts").state == "ok"
    old.unlink()
    assert " && python -m reprocnn sync" in aside
    subprocess.run(aside.partition(" && python -m")[0], shell=True, check=True)
    assert _one(runs.check_store()).text.startswith("no runs yet")
    assert (new / "mlartifacts/old/mlflow.db").exists()


def test_artifacts_outside_the_checkout(here: Path, fill: Fill) -> None:
    fill(here)
    place = "UPDATE experiments SET artifact_location = ?"
    _sql(place, f"file://{here}/.dvc/tmp/exps/tmp1/mlartifacts")
    found = _one(runs.check_store(), "artifacts")
    assert found.state == "wrong"
    assert found.text.startswith("stored in the temporary folder of an experiment")
    assert found.fix.startswith("mkdir -p mlartifacts/old && mv mlflow.db* mlartifacts/old && python -m reprocnn sync")
    (here / "my choice").mkdir()
    _sql(place, (here / "my choice").as_uri())
    assert _one(runs.check_store(), "artifacts") == Finding("ok", "artifacts", f"{here}/my choice")
    _sql(place, "s3://bucket/runs")
    assert _one(runs.check_store(), "artifacts") == Finding("ok", "artifacts", "s3://bucket/runs")


def test_a_store_that_cant_be_read(here: Path) -> None:
    (here / "mlflow.db").write_text("no database at all")
    found = _one(runs.check_store())
    text = f"sqlite:///{here}/mlflow.db: the file is damaged (file is not a database)"
    assert (found.state, found.text) == ("wrong", text)
    assert found.fix.startswith("mkdir -p mlartifacts/old && mv mlflow.db* mlartifacts/old")
    assert (here / "mlflow.db").read_text() == "no database at all"


def test_a_sqlite_file_that_the_user_named(here: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill) -> None:
    (here / "shared").mkdir()
    fill(here / "shared")  # with artifacts beside it, as another checkout has them
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///shared/mlflow.db")
    assert [finding.state for finding in runs.check_store()] == ["ok", "ok", "ok"]
    (here / "broken.db").write_text("no database at all")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///broken.db")
    found = _one(runs.check_store())
    assert found.state == "wrong"
    assert "mv " not in found.fix


def test_a_store_of_another_mlflow_version(here: Path, fill: Fill) -> None:
    fill(here)
    _sql("UPDATE alembic_version SET version_num = ?", "451aebb31d03")
    found = _one(runs.check_store())
    assert (found.state, found.text) == (
        "wrong",
        f"sqlite:///{here}/mlflow.db: its database schema is of another MLflow version",
    )
    assert found.fix.startswith(f"mlflow db upgrade sqlite:///{here}/mlflow.db")


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_down_and_runs_in_two_places(here: Path, monkeypatch: pytest.MonkeyPatch, fill: Fill) -> None:
    fill(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:word@127.0.0.1:9")
    start = time.monotonic()
    down, elsewhere = runs.check_store()
    assert time.monotonic() - start < 10
    assert down.state == "wrong"
    assert down.text == "http://***@127.0.0.1:9: nothing listens there (connection refused)"
    assert down.fix.startswith("start the server")
    assert (elsewhere.state, elsewhere.fix.split("  #")[0]) == ("note", "unset MLFLOW_TRACKING_URI")
    assert "older runs are in mlflow.db" in elsewhere.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert [finding.state for finding in runs.check_store()] == ["ok", "ok", "ok"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (here / "mlflow.db").write_text("no database at all")  # not in use, so not reported
    assert _one(runs.check_store()).text.startswith("http://127.0.0.1:9")


@pytest.mark.usefixtures("quick")
def test_a_server_that_does_not_answer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        found = _one(runs.check_store())
    assert time.monotonic() - start < 10
    assert (found.state, found.text.rpartition(": ")[2]) == ("wrong", "no answer in time (timed out)")


def test_doctor_creates_no_file_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    assert _one(runs.check_store()) == Finding("ok", "MLflow", f"no runs yet; they go to file://{here}/mlruns")
    assert not (here / "mlruns").exists()


def test_only_the_main_thread_changes_the_environment(
    here: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch, environment_changes: list[str]
) -> None:
    """Otherwise starting a process in another thread can fail with `OSError: Bad address`."""
    fill(here)
    monkeypatch.setattr(doctor, "_CHECKS", {"MLflow": runs.check_store})
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cli.main(["doctor"])
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{here}/mlflow.db"
    assert environment_changes == []


# Checkpoints


def test_leftover_checkpoints(here: Path) -> None:
    assert _one(checkout.check_checkpoints()) == Finding("ok", "checkpoints", "none left")
    root = checkpoints_folder()
    write_bytes(root / "abc" / "state.npz", bytes(2_000_000))
    with locks.exclusive(root / "abc.lock", "trains"):
        assert _one(checkout.check_checkpoints()).text == "none left"
    three_hours_ago = time.time() - 3 * 3600
    os.utime(root / "abc", (three_hours_ago, three_hours_ago))
    found = _one(checkout.check_checkpoints())
    assert (found.state, found.text) == ("note", "1 from interrupted trainings, 2.0 MB, 3 hours old")
    assert "it resumes from the checkpoint" in found.fix.splitlines()[0]
    assert found.fix.splitlines()[1] == "rm -r .dvc/tmp/reprocnn/checkpoints/abc"


# The machine


@pytest.fixture
def ours(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as the checkout whose code is running, with a uv.lock."""
    monkeypatch.setattr(machine, "_SOURCE", here / "src")
    monkeypatch.setattr(machine.shutil, "which", lambda _: machine.sys.executable)
    shutil.copy(ROOT / "uv.lock", here)
    return here


def test_packages_as_in_uv_lock(ours: Path) -> None:
    found = _one(machine.check_python())
    assert found.state == "ok"
    assert found.text.endswith("packages as in uv.lock")


def test_a_package_of_another_version(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = machine.version
    monkeypatch.setattr(machine, "version", lambda name: "1.0" if name == "tqdm" else installed(name))
    found = _one(machine.check_python())
    assert (found.state, found.fix) == ("wrong", "rm -f .venv/ready* && make setup")
    assert found.text.startswith("packages differ from uv.lock: tqdm 1.0, expected 4.")


def test_the_code_of_another_checkout(here: Path) -> None:
    found = _one(machine.check_python())
    assert (found.state, found.fix) == ("wrong", "rm -rf .venv && make setup && source .venv/bin/activate")
    assert f"runs the code in {ROOT / 'src'}, not in this checkout" in found.text
    write_bytes(here / ".venv/bin/python", b"")
    assert _one(machine.check_python()).fix == "source .venv/bin/activate"


def test_the_stages_use_another_python(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for found, shown in (("/usr/bin/python", "/usr/bin/python"), (None, "not found")):
        monkeypatch.setattr(machine.shutil, "which", lambda _, found=found: found)
        finding = _one(machine.check_python())
        assert (finding.state, finding.fix) == ("wrong", "source .venv/bin/activate")
        assert f"the `python` of the stages is {shown}" in finding.text


def test_cpu_and_threads(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPU_MAX", here / "cpu.max")
    cpu, threads = machine.check_cpu()
    assert cpu_name() in cpu.text
    cores = environment([], 0)["threads"]
    assert f"{cores} of {os.cpu_count()} cores" in cpu.text
    assert threads.text == f"{cores}, one per core: results repeat on a CPU like this one with the same number of cores"
    _edit("params.yaml", "threads: 0", "threads: 3")
    _edit("params.yaml", "portable: false", "portable: true")
    assert list(machine.check_cpu())[1].text == "3, pinned: results repeat on any x86 CPU with AVX2"
    for limit, state, fix in (
        ("250000 100000", "note", "`threads: 2` in params.yaml"),
        ("300000 100000", "ok", ""),
        ("max 100000", "ok", ""),
    ):
        (here / "cpu.max").write_text(f"{limit}\n")
        threads = list(machine.check_cpu())[1]
        assert (threads.state, threads.fix) == (state, fix)


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return a function that puts a fake nvidia-smi on PATH; it prints a text and exits with a status. A GPU exists."""
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setattr(machine, "_GPU_DEVICES", tmp_path / "gpus")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def make(text: str, status: int = 0) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return make


def test_a_gpu_that_is_not_used(nvidia: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _: None)
    nvidia("NVIDIA H100 80GB HBM3")
    found = _one(machine.check_gpu())
    assert (found.state, found.fix) == ("note", "make setup EXTRA=--extra=cuda")
    assert found.text.startswith("NVIDIA H100 80GB HBM3; TensorFlow does not use it")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _: "found")
    assert _one(machine.check_gpu()).state == "ok"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = _one(machine.check_gpu())
    assert (found.state, found.fix) == ("note", "unset CUDA_VISIBLE_DEVICES")
    nvidia("Driver/library version mismatch", 18)
    found = _one(machine.check_gpu())
    assert (found.state, found.text) == (
        "wrong",
        "NVIDIA device 0000:01:00.0; its driver does not answer: Driver/library version mismatch",
    )


def test_no_gpu(nvidia: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_GPU_DEVICES", tmp_path / "none")
    nvidia("No devices were found", 6)
    assert _one(machine.check_gpu()) == Finding("ok", "gpu", "none; TensorFlow uses the CPU")
