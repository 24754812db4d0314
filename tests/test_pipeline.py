"""Test that dvc.yaml agrees with the code, and that the pipeline works as a user expects, through `dvc` itself."""

import ast
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from checkouts import ROOT, Checkout, stages_run
from reprocnn import params
from reprocnn.artifacts.files import md5
from reprocnn.catalog import DATA_SETS, MODELS
from reprocnn.params import read_params

SRC = ROOT / "src" / "reprocnn"
STAGES = ("download", "preprocess", "train", "evaluate", "plot")
DEFINITIONS = read_params(ROOT / "dvc.yaml")["stages"]
INPUTS = {"data/exclude.csv", "data/relabel.csv"}
"""Files of the user that download reads."""
# Files that can't affect outputs; dvc.yaml says why.
EXEMPT = {
    SRC / "__init__.py",  # imports nothing until a user calls `reprocnn.load`
    *(SRC / name for name in ("catalog.py", "errors.py", "masking.py", "params.py")),
    *(SRC / "run").glob("*.py"),
}
ARTIFACTS = {
    f"reprocnn.artifacts.{file.stem}": importlib.import_module(f"reprocnn.artifacts.{file.stem}")
    for file in (SRC / "artifacts").glob("*.py")
}


def _module_files(name: str) -> list[Path]:
    """Return the files that `import name` runs: the module and its parent packages."""
    parts = name.split(".")
    found = []
    for end in range(1, len(parts) + 1):
        path = SRC.parent.joinpath(*parts[:end])
        found += [p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()]
    return found


def _imports(file: Path) -> set[Path]:
    """Return the files of reprocnn that a file imports, inside functions too, except for type checking."""
    names = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.module
            # Within a package: `from .module import name`.
            module = f"reprocnn.{file.parent.name}.{node.module}" if node.level == 1 else node.module
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {f for name in names if name.split(".")[0] == "reprocnn" for f in _module_files(name)}


def _reached(first: set[Path]) -> set[Path]:
    """Return these files of reprocnn and all that they import, directly or not, except through the exempt ones."""
    reached: set[Path] = set()
    todo = set(first)
    while todo:
        file = todo.pop()
        if file not in reached and file not in EXEMPT:
            reached.add(file)
            todo |= _imports(file)
    return reached


def _artifacts(script: Path) -> set[Path]:
    """Return the paths of artifacts that a stage imports."""
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    values = [getattr(ARTIFACTS[n.module], a.name) for n in nodes if n.module in ARTIFACTS for a in n.names]
    return {value for value in values if isinstance(value, Path)}


def _names(entries: list[object]) -> set[str]:
    return {next(iter(e)) if isinstance(e, dict) else str(e) for e in entries}


def _outs(stage: str) -> set[str]:
    return {name for kind in ("outs", "metrics", "plots") for name in _names(DEFINITIONS[stage].get(kind, []))}


@pytest.mark.parametrize(
    ("stage", "model"), [*((stage, "") for stage in STAGES if stage != "train"), *(("train", name) for name in MODELS)]
)
def test_deps_are_exactly_the_code_that_a_stage_imports(stage: str, model: str) -> None:
    """Add the modules that are imported by name: for train that of its model, for download those of the data sets."""
    deps = {d for d in _names(DEFINITIONS[stage]["deps"]) if d.startswith(("src/", "stages/"))}
    assert f"stages/{stage}.py" in deps
    own = SRC / "models" / f"{model}.py"
    code = {Template(d).substitute(model=model) for d in deps if d.startswith("src/")}
    used = set()
    scripts = _imports(ROOT / "stages" / f"{stage}.py") | _imports(ROOT / "stages" / "_stage.py")
    sources = {SRC / "data" / f"{name}.py" for name in DATA_SETS} if stage == "download" else set()
    for file in _reached(scripts | sources | ({own} if model else set())):
        if file.name == "__init__.py" and not ast.parse(file.read_text()).body[1:]:
            continue  # only a docstring
        covering = [d for d in code if file == ROOT / d or (ROOT / d) in file.parents]
        assert covering, f"{stage} imports {file.relative_to(ROOT)}, which is not among its deps"
        used |= set(covering)
    assert used == code, f"{stage} does not import {code - used}"


def test_init_files_have_only_a_docstring() -> None:
    """Except that of the whole package, which imports nothing until a user asks for it."""
    for file in set(SRC.rglob("__init__.py")) - {SRC / "__init__.py"}:
        assert len(ast.parse(file.read_text()).body) == 1, file


@pytest.mark.parametrize("stage", STAGES)
def test_data_deps_and_outs_are_exactly_the_paths_that_a_stage_imports(stage: str) -> None:
    named = {path.as_posix() for path in _artifacts(ROOT / "stages" / f"{stage}.py")}
    code = ("src/", "stages/", "${")
    deps = {d for d in _names(DEFINITIONS[stage]["deps"]) if not d.startswith(code)}
    assert named == deps | _outs(stage)
    earlier = {out for s in STAGES[: STAGES.index(stage)] for out in _outs(s)}
    assert deps <= earlier | (INPUTS if stage == "download" else set())


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_exactly_the_section_that_a_stage_loads(stage: str) -> None:
    source = (ROOT / "stages" / f"{stage}.py").read_text()
    sections = re.findall(r"load_params\((\w+)\)", source)
    fields = {name for s in sections for name in getattr(params, s).model_fields}
    # A whole file stands for all of its keys.
    listed = DEFINITIONS[stage].get("params", [])
    assert (set(params.Params.model_fields) if listed == [{"params.yaml": None}] else set(listed)) == fields


def test_every_param_is_read_somewhere() -> None:
    sources = "\n".join(p.read_text() for p in [*SRC.rglob("*.py"), *(ROOT / "stages").glob("*.py")])
    for name in params.Params.model_fields:
        read = re.search(rf"\b(params|recipe)\.{name}\b", sources)
        assert read or name in params.ModelParams.model_fields, name


def test_every_stage_has_a_description_and_every_path_a_stage() -> None:
    assert tuple(DEFINITIONS) == STAGES
    assert all(DEFINITIONS[stage]["desc"] for stage in STAGES)
    values = [value for module in ARTIFACTS.values() for value in vars(module).values()]
    known = {value.as_posix() for value in values if isinstance(value, Path)}
    assert known == {out for stage in STAGES for out in _outs(stage)} | INPUTS


def test_every_stage_is_in_the_run_cache() -> None:
    """DVC does not cache the run of a stage with an uncached output that is neither a metric nor a plot."""
    for stage in STAGES:
        assert all(isinstance(out, str) for out in DEFINITIONS[stage]["outs"]), stage


def test_only_evaluate_reads_the_test_split() -> None:
    readers = [s for s in STAGES if "data/raw/test" in _names(DEFINITIONS[s]["deps"])]
    assert readers == ["evaluate"]


# Through dvc itself: each test has a checkout of its own, in which a short pipeline and the experiment `two` have run


def _only(checkout: Checkout, name: str) -> dict[str, Any]:
    """The one run of a name."""
    (run,) = [run for run in checkout.runs() if run["name"] == name]
    return run


def test_repro_makes_everything_and_then_has_nothing_to_do(checkout: Checkout) -> None:
    for stage in STAGES:
        for out in _outs(stage):
            assert (checkout.folder / out).exists(), out
    (checkout.folder / "src/reprocnn/models/__pycache__").mkdir(exist_ok=True)
    (checkout.folder / "src/reprocnn/models/__pycache__/x.pyc").write_text("")
    (checkout.folder / "src/reprocnn/models/mlp.py~").write_text("")
    assert stages_run(checkout.run("dvc", "repro")) == []
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    two, first = checkout.runs()
    assert two["name"] == "two"
    assert first["status"] == "FINISHED"
    assert str(first["name"]).startswith("main@")
    assert "figures" in first["files"]


def _add_comment(checkout: Checkout, *names: str) -> None:
    """Append a comment to files, which changes their hash but not what they do."""
    for name in names:
        with (checkout.folder / name).open("a") as file:
            file.write("# a note\n")


def _changed(checkout: Checkout) -> set[str]:
    """The stages that have a changed dependency."""
    return set(json.loads(checkout.run("dvc", "status", "--json")))


def test_a_change_of_code_reaches_the_stages_that_it_can_change(checkout: Checkout) -> None:
    src = checkout.folder / "src/reprocnn"
    for room in ("ledger", "run", "commands"):
        _add_comment(checkout, *(file.relative_to(checkout.folder).as_posix() for file in (src / room).rglob("*.py")))
    _add_comment(
        checkout,
        *(
            f"src/reprocnn/{name}.py"
            for name in ("catalog", "cli", "errors", "params", "models/resnet", "evaluation/comparison")
        ),
    )
    (src / "models/tiny.py").write_text((src / "models/mlp.py").read_text())
    assert _changed(checkout) == set(), "a file that can't change an out"
    for name, stages in {
        "reporting/figures": {"plot"},
        "artifacts/figures": {"plot"},
        "data/fetch": {"download"},
        "models/layers": {"train"},
        "models/mlp": {"train"},
        "training/fit": {"train"},
    }.items():
        _add_comment(checkout, f"src/reprocnn/{name}.py")
        assert _changed(checkout) == stages, name
        checkout.run("git", "checkout", f"src/reprocnn/{name}.py")


def test_a_changed_figure_is_drawn_again_in_the_run_that_is_there(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/reporting/figures.py", "test accuracy", "accuracy")
    assert stages_run(checkout.run("dvc", "repro")) == ["plot"]
    assert len(checkout.runs()) == 2


def test_predict_answers_about_the_test_images_what_evaluate_found(checkout: Checkout, tmp_path: Path) -> None:
    expected = pd.read_csv(checkout.folder / "reports/predictions.csv", dtype={"predicted": str})
    images = tmp_path / "images"
    images.mkdir()
    for number, image in enumerate(np.load(checkout.folder / "data/raw/test/images.npy")):
        Image.fromarray(image[..., 0]).save(images / f"{number:03}.png")
    printed = checkout.reprocnn("predict", str(images), "--json", "--rev", "HEAD")
    answers = [json.loads(line) for line in printed.splitlines()]
    assert [answer["class"] for answer in answers] == expected["predicted"].tolist()
    np.testing.assert_allclose([answer["confidence"] for answer in answers], expected["confidence"], atol=1e-4)


@pytest.mark.slow
def test_the_committed_result_comes_back_after_an_uncommitted_one(checkout: Checkout) -> None:
    """DVC has added the new dvc.lock to Git's index."""
    checkout.edit("params.yaml", "learning_rate: 0.001", "learning_rate: 0.002")
    assert "train" in stages_run(checkout.run("dvc", "repro", REPROCNN_FRESH="1"))
    checkout.restore()
    assert "up to date" in checkout.run("dvc", "status")
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    assert stages_run(checkout.run("dvc", "repro", "--force", "--single-item", "plot")) == ["plot"]
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    assert "validation_accuracy" in checkout.run("dvc", "metrics", "show")


@pytest.mark.slow
def test_an_experiment_is_shared_and_deleted(checkout: Checkout, tmp_path: Path) -> None:
    """As docs/training.md says."""
    checkout.run("git", "init", "-q", "--bare", str(tmp_path / "origin"))
    checkout.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    checkout.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    checkout.commit("a remote")
    checkout.run("dvc", "exp", "run", "-n", "shared", "-S", "epochs=2")
    branch = checkout.run("git", "symbolic-ref", "--short", "HEAD").strip()
    checkout.run("git", "push", "-q", "origin", branch)
    checkout.run("dvc", "exp", "push", "origin", "shared")
    checkout.restore()
    checkout.run("dvc", "push")

    colleague = Checkout(tmp_path / "colleague")
    checkout.run("git", "clone", "-q", "-b", branch, str(tmp_path / "origin"), str(colleague.folder))
    colleague.set_user()
    colleague.run("dvc", "exp", "pull", "origin", "shared")
    assert "added run, params" in colleague.reprocnn("sync", "--rev", "shared")
    assert "test_accuracy" in _only(colleague, "shared")["metrics"]
    colleague.run("dvc", "exp", "apply", "shared")
    assert "up to date" in colleague.run("dvc", "status")

    model = md5(checkout.folder / "models/model.keras")
    run = _only(checkout, "shared")
    checkout.run("dvc", "exp", "remove", "shared")
    checkout.run("dvc", "gc", "--force", "--workspace", "--all-branches", "--all-tags", "--all-experiments")
    assert md5(checkout.folder / "models/model.keras") == model
    store = "sqlite:///mlflow.db"
    checkout.run("mlflow", "runs", "delete", "--run-id", run["id"], MLFLOW_TRACKING_URI=store)
    checkout.run("mlflow", "gc", "--tracking-uri", store, "--backend-store-uri", store)
    assert not [other for other in checkout.runs() if other["id"] == run["id"]]
    assert not Path(run["uri"].removeprefix("file://")).exists()


@pytest.mark.slow
def test_a_changed_model_is_trained_and_evaluated_again(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/models/mlp.py", "(128, 64)", "(32, 16)")
    assert stages_run(checkout.run("dvc", "repro")) == ["train", "evaluate", "plot"]


@pytest.mark.slow
def test_without_the_ledger_the_pipeline_makes_the_same_bytes_and_resumes(checkout: Checkout) -> None:
    """What records a run can't change it: checkpoint and journal don't depend on it."""
    checkout.edit("params.yaml", "epochs: 1 ", "epochs: 3 ")
    checkout.run("dvc", "repro")
    checkout.commit("with the ledger")
    shutil.rmtree(checkout.folder / "src/reprocnn/ledger")
    before = _run_folders(checkout)
    assert set(stages_run(checkout.run("dvc", "repro", "--force"))) == set(STAGES)
    killer = [sys.executable, str(ROOT / "tests/killer.py"), "train", "save", "2"]
    subprocess.run(killer, cwd=checkout.folder, env=checkout.environment(), stdout=subprocess.DEVNULL)
    printed = checkout.run("dvc", "repro", "--force", "--downstream", "train")
    assert "resuming at epoch 2 of 3" in printed
    changed = checkout.run("git", "status", "--porcelain").split()
    assert [name for name in changed if not name.startswith(("D", "src/reprocnn/ledger"))] == []
    assert _run_folders(checkout) == before


def _run_folders(checkout: Checkout) -> list[Path]:
    return sorted((checkout.folder / "mlartifacts").glob("*/*/params.yaml"))


def test_the_data_stages_and_plot_do_not_import_tensorflow(checkout: Checkout) -> None:
    stages = ("download", "preprocess", "plot")
    code = (
        "import runpy, sys; sys.path.insert(0, 'stages')\n"
        f"for stage in {stages}: runpy.run_path(f'stages/{{stage}}.py', run_name='__main__')\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    checkout.run("python", "-c", code)
    assert "up to date" in checkout.run("dvc", "status")  # and gave the same bytes


def test_an_experiment_is_one_run_with_its_name(checkout: Checkout) -> None:
    run = _only(checkout, "two")
    assert run["tags"]["dvc.exp.name"] == "two"
    assert run["tags"]["dvc.exp.baseline_rev"] == checkout.run("git", "rev-parse", "HEAD").strip()
    assert run["params"]["epochs"] == "2"
    assert run["epochs"] == [1, 2]
    assert "two" in checkout.run("dvc", "exp", "show", "--csv")
    checkout.run("dvc", "exp", "apply", "two")
    assert "up to date" in checkout.run("dvc", "status")


def _repeat(checkout: Checkout) -> None:
    """Run the experiment `two` again under another name."""
    printed = checkout.run("dvc", "exp", "run", "-n", "again", "-S", "epochs=2", "-S", "learning_rate=2e-3")
    assert stages_run(printed) == []
    for stage in ("train", "evaluate", "plot"):
        assert f"Stage '{stage}' is cached - skipping run" in printed
    assert re.search(r"again +\w{7} +no run", checkout.reprocnn("runs"))


def test_a_repeated_experiment_is_restored_from_dvcs_cache(checkout: Checkout) -> None:
    _repeat(checkout)
    assert "up to date" in checkout.run("dvc", "status")


@pytest.mark.slow
def test_a_restored_experiment_gets_its_run(checkout: Checkout) -> None:
    _repeat(checkout)
    code = "from reprocnn.commands import sync; sync.create_missing()"  # as `make ui` does before it opens
    printed = checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src"))
    assert re.search(r"again +\w{7} +run \w+  added run, params", printed)
    assert "two " not in printed
    assert re.search(r"again +\w{7} +run \w+  complete", checkout.reprocnn("runs", "again"))
    first, second = _only(checkout, "two"), _only(checkout, "again")
    assert first["id"] != second["id"]
    assert first["epochs"] == second["epochs"]


@pytest.mark.slow
def test_one_training_is_one_run_under_any_name(checkout: Checkout) -> None:
    """After `dvc exp rename`, and `dvc exp save` of what `dvc repro` made."""
    before = {str(r["id"]): str(r["name"]) for r in checkout.runs()}
    checkout.run("dvc", "exp", "rename", "two", "deux")
    checkout.run("dvc", "exp", "save", "-n", "kept")
    assert re.search(r"deux +\w{7} +run \w+  lacks experiment", checkout.reprocnn("runs"))
    checkout.reprocnn("sync")
    after = {str(r["id"]): str(r["name"]) for r in checkout.runs()}
    assert after.keys() == before.keys()
    two = next(number for number, name in before.items() if name == "two")
    assert after[two] == "deux"
    assert sorted(after.values()).count("kept") == 1
    lines = checkout.reprocnn("runs")
    workspace, kept = (re.findall(rf"{name}.* run (\w+)  complete", lines)[0] for name in ("workspace", "kept "))
    assert workspace == kept
    assert "added" not in checkout.reprocnn("sync")


@pytest.mark.slow
@pytest.mark.parametrize("journals", [True, False])
def test_a_store_that_was_lost_is_made_again_from_dvcs_files(checkout: Checkout, journals: bool) -> None:
    """With what the journals have, and without them, as a colleague who pulled the experiment has it."""
    before = _only(checkout, "two")
    for path in checkout.folder.glob("mlflow.db*"):
        path.unlink()
    if not journals:
        shutil.rmtree(checkout.folder / ".dvc/tmp/reprocnn")
    assert re.search(r"two +\w{7} +no run", checkout.reprocnn("runs"))
    assert re.search(r"two +\w{7} +run \w+  added run, params, ", checkout.reprocnn("sync"))
    assert len(checkout.runs()) == 2
    assert "added" not in checkout.reprocnn("sync")
    assert re.search(r"two +\w{7} +run \w+  complete", checkout.reprocnn("runs", "two"))
    run = _only(checkout, "two")
    for part in ("params", "epochs", "status"):
        assert run[part] == before[part]
    same = {name for name in before["metrics"] if not name.startswith("system/")}
    assert set(run["metrics"]) == same - (set() if journals else {"epoch_seconds"})
    assert sorted(run["files"]) == sorted(before["files"])
    tags = run["tags"]
    assert "system metrics" in tags["restored"]
    assert ("epoch times" in tags["restored"]) is not journals
    for tag in ("cpu", "version.tensorflow", "model.md5", "dvc.exp.name"):
        assert tags[tag] == before["tags"][tag]
    models = (checkout.folder / "mlartifacts/models").iterdir()
    made = [{path.name for path in folder.rglob("*")} for folder in models]
    for kind in ("model.keras", "model.onnx"):
        names = [found for found in made if kind in found]
        assert names
        assert all("input_example.json" in found for found in names)


def test_a_run_leads_to_its_experiment(checkout: Checkout, tmp_path: Path) -> None:
    run = _only(checkout, "two")
    printed = checkout.reprocnn("reproduce", str(run["id"])[:12], "--folder", str(tmp_path / "there"))
    reference = checkout.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/two").strip()
    commit = checkout.run("git", "rev-parse", reference)
    assert f"a DVC experiment, commit {commit[:7]}" in printed
    assert (tmp_path / "there" / "params.yaml").read_text().count("epochs: 2 ") == 1


@pytest.mark.slow
def test_verify_repeats_an_experiment(checkout: Checkout) -> None:
    before = checkout.run("git", "status", "--porcelain"), len(checkout.runs())
    printed = checkout.reprocnn("verify", "two")
    assert "every output is equal, byte for byte" in printed
    assert re.search(r"train +models/model.keras +\w{12} +equal", printed)
    assert before == (checkout.run("git", "status", "--porcelain"), len(checkout.runs()))


@pytest.mark.slow
def test_verify_names_what_differs(checkout: Checkout) -> None:
    lock = (checkout.folder / "dvc.lock").read_text()
    checkout.edit("dvc.lock", re.findall(r"models/model.keras\n.*\n +md5: (\w+)", lock)[0], "f0" * 16)
    _add_comment(checkout, "src/reprocnn/models/mlp.py")
    checkout.commit("a lock that is wrong")
    printed = checkout.reprocnn("verify", fails=True)
    assert "differing: models/model.keras" in printed
    assert "dvc.lock is older than the code: src/reprocnn/models/mlp.py changed after train ran" in printed


def test_verify_of_what_does_not_exist(checkout: Checkout) -> None:
    printed = checkout.reprocnn("verify", "nothing", fails=True)
    assert "no experiment or revision is called 'nothing'" in printed


def test_metrics_and_plots_can_be_compared(checkout: Checkout) -> None:
    assert "accuracy" in checkout.run("dvc", "metrics", "diff", "HEAD", "two")
    assert "two" in checkout.run("dvc", "exp", "show", "--only-changed", "--no-pager")
    checkout.run("dvc", "plots", "diff", "HEAD", "two")
    page = (checkout.folder / "dvc_plots" / "index.html").read_text()
    for part in ("validation_accuracy", "validation_loss", "predicted"):
        assert part in page
    drawn = json.loads(checkout.run("dvc", "plots", "diff", "HEAD", "two", "--json"))["data"]
    for name, column in (
        ("accuracy", "validation_accuracy"),
        ("loss", "train_loss"),
        ("reliability", "calibrated_accuracy"),
        ("confusion matrix", "predicted"),
        ("reports/robustness.csv", "rotation"),
    ):
        (plot,) = drawn[name]
        assert plot["revisions"] == ["HEAD", "two"]
        assert column in json.dumps(plot["content"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("batch_size=-1", "batch_size: found -1"),  # as long as 32: Git must not take the file for unchanged
        ("model=resnext", "src/reprocnn/models/resnext.py"),  # DVC's own: the model's file is a dep
        ("epoch=3", "Could not override 'epoch'"),
    ],
)
def test_an_invalid_experiment_is_rejected_and_the_result_can_be_restored(
    checkout: Checkout, setting: str, expected: str
) -> None:
    printed = checkout.run("dvc", "exp", "run", "-S", setting, fails=True)
    assert expected in printed
    assert "Traceback" not in printed
    if "found" in expected:  # rejected by a stage; DVC itself rejects the others
        assert " M params.yaml" in checkout.run("git", "status", "--porcelain")
    checkout.restore()
    assert "up to date" in checkout.run("dvc", "status")
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""


def test_an_unknown_key_is_rejected_by_the_next_stage(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/reporting/figures.py", "most confident", "worst")
    printed = checkout.run("dvc", "exp", "run", "-S", "+zzz=1", fails=True)
    assert "unknown key `zzz`" in printed


def test_without_git_make_run_says_what_to_do(finished: Checkout, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    no_git = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    printed = Checkout(tmp_path).run("make", "-o", "setup", "run", fails=True, **no_git)
    assert "git init && git add -A && git commit" in printed


def test_the_wrong_python_is_named_in_one_line(checkout: Checkout, tmp_path: Path) -> None:
    venv.create(tmp_path / "other", with_pip=False)
    path = f"{tmp_path / 'other' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    printed = checkout.run("python", "stages/train.py", fails=True, PATH=path)
    assert len(printed.splitlines()) == 1
    assert "source .venv/bin/activate" in printed


@pytest.mark.slow
def test_two_queued_experiments_at_once_on_a_fresh_store(checkout: Checkout) -> None:
    for name in checkout.folder.glob("mlflow.db*"):
        name.unlink()
    checkout.run("dvc", "exp", "run", "--queue", "-S", "learning_rate=0.003,0.0005")
    checkout.run("dvc", "queue", "start", "-j", "2")
    checkout.wait_for_queue(2)
    names = re.findall(r"^\w+ +(\S+-\S+) ", checkout.run("dvc", "queue", "status"), re.MULTILINE)
    assert len(names) == 2
    assert "test accuracy" in checkout.run("dvc", "queue", "logs", names[0])
    runs = checkout.runs()
    assert sorted(r["params"]["learning_rate"] for r in runs) == ["0.0005", "0.003"]
    for run in runs:
        assert run["status"] == "FINISHED"
        assert "test_accuracy" in run["metrics"]
        assert "report.html" in run["files"]


@pytest.mark.slow
def test_a_temp_run_uses_its_own_code_and_keeps_its_artifacts(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/models/mlp.py", "(128, 64)", "(8, 8)")
    checkout.run("dvc", "exp", "run", "--queue", "-n", "small")
    checkout.edit("src/reprocnn/models/mlp.py", "(8, 8)", "(this is not python")
    checkout.run("dvc", "exp", "run", "--run-all")
    run = _only(checkout, "small")
    assert run["metrics"]["parameters"] == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
    folder = Path(str(run["uri"]).removeprefix("file://"))
    assert checkout.folder in folder.parents
    assert ".dvc" not in folder.relative_to(checkout.folder).parts
    assert (folder / "figures" / "curves.png").is_file()


@pytest.mark.slow
def test_a_fresh_clone_has_a_whole_run_where_the_model_comes_out_as_committed(
    checkout: Checkout, tmp_path: Path
) -> None:
    clone = checkout.clone(tmp_path / "clone")
    assert set(stages_run(clone.run("dvc", "repro"))) == set(STAGES)
    assert clone.run("git", "status", "--porcelain") == ""  # the same bytes, reports and lock included
    (run,) = clone.runs()
    assert "test_accuracy" in run["metrics"]
    assert "figures" in run["files"]


@pytest.mark.slow
def test_what_a_shell_sets_does_not_reach_the_stages(checkout: Checkout) -> None:
    lock = (checkout.folder / "dvc.lock").read_text()
    shell = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TF_USE_LEGACY_KERAS": "1",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_BACKEND": "torch",
        "SCIPY_ARRAY_API": "1",
        "GIT_INDEX_FILE": "/nowhere/index",
        "PYTHONIOENCODING": "ascii",
    }
    for stage in STAGES:
        checkout.run("python", f"stages/{stage}.py", **shell)
    assert "up to date" in checkout.run("dvc", "status")
    assert (checkout.folder / "dvc.lock").read_text() == lock
    assert re.search(r"workspace +run \w+  complete", checkout.reprocnn("runs"))


def test_a_killed_experiment_causes_a_warning_with_the_recovery_command(checkout: Checkout) -> None:
    """`kill -9` of `dvc exp run` leaves HEAD detached, also in the next run."""
    command = ["dvc", "exp", "run", "--force", "download"]
    with subprocess.Popen(command, cwd=checkout.folder, env=checkout.environment(), start_new_session=True) as process:
        while "main" in (checkout.folder / ".git/HEAD").read_text():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    # The warning is for a HEAD that was detached before this dvc started; Git's times are whole seconds.
    detached = int(re.findall(r"HEAD@\{(\d+)\}", checkout.run("git", "reflog", "-1", "--date=unix", "HEAD"))[0])
    while time.time() < detached + 2:
        time.sleep(0.1)
    printed = checkout.run("dvc", "exp", "run", "--force", "download")
    assert "left HEAD detached from branch main" in printed
    assert "after this run: git switch main" in printed
    checkout.run("git", "commit", "-q", "--allow-empty", "-m", "on no branch")
    head = checkout.run("git", "rev-parse", "HEAD").strip()
    (command,) = re.findall(r"fix: (git switch .*)", checkout.reprocnn("doctor", fails=True))
    checkout.run("sh", "-c", command)
    assert checkout.run("git", "rev-parse", "main").strip() == head
    assert "git switch" not in checkout.run("dvc", "exp", "run", "--force", "download")


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_bigger_repository(checkout: Checkout, tmp_path: Path) -> None:
    project = tmp_path / "big" / "apps" / "digits"
    left_out = shutil.ignore_patterns(".git", "mlflow.db*", "mlartifacts", "exps")
    shutil.copytree(checkout.folder, project, ignore=left_out)
    inner = Checkout(project)
    inner.run("git", "init", "-q", "-b", "main", str(tmp_path / "big"))
    inner.set_user()
    inner.commit("start")
    printed = inner.run("dvc", "exp", "run", "-n", "inner", "-S", "epochs=2", "-S", "learning_rate=2e-3")
    assert "'train' is cached" in printed
    assert re.search(r"inner +\w{7} +run \w+  added run", inner.reprocnn("sync"))
    (found,) = re.findall(r"inner +\w{7} +run (\w+)  complete", inner.reprocnn("runs"))
    assert re.search(r"ok +git +main@", inner.reprocnn("doctor", fails=None))
    there = tmp_path / "there"
    assert f"cd {there}/apps/digits\n" in inner.reprocnn("reproduce", found, "--folder", str(there))
    assert "epochs: 2 " in (there / "apps" / "digits" / "params.yaml").read_text()
