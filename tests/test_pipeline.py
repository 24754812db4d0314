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
from pathlib import Path
from string import Template

import pytest

from conftest import ROOT, Checkout, ran, runs_of
from reprocnn import params
from reprocnn.catalog import MODELS
from reprocnn.params import read_params

SRC = ROOT / "src" / "reprocnn"
STAGES = ("download", "preprocess", "train", "evaluate", "plot")
DEFINITIONS = read_params(ROOT / "dvc.yaml")["stages"]
# Files that can't affect outputs; dvc.yaml says why.
EXEMPT = {
    *(SRC / name for name in ("catalog.py", "errors.py", "params.py")),
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
            assert not node.level, f"{file}: relative imports are not followed here"
            assert node.module
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
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
    """For train, add the module of its model, which it imports by name."""
    deps = {d for d in _names(DEFINITIONS[stage]["deps"]) if d.startswith(("src/", "stages/"))}
    assert f"stages/{stage}.py" in deps
    own = SRC / "models" / f"{model}.py"
    code = {Template(d).substitute(model=model) for d in deps if d.startswith("src/")}
    used = set()
    scripts = _imports(ROOT / "stages" / f"{stage}.py") | _imports(ROOT / "stages" / "_stage.py")
    for file in _reached(scripts | ({own} if model else set())):
        if file.name == "__init__.py" and not ast.parse(file.read_text()).body[1:]:
            continue  # only a docstring
        covering = [d for d in code if file == ROOT / d or (ROOT / d) in file.parents]
        assert covering, f"{stage} imports {file.relative_to(ROOT)}, which is not among its deps"
        used |= set(covering)
    assert used == code, f"{stage} does not import {code - used}"


def test_init_files_have_only_a_docstring() -> None:
    for file in SRC.rglob("__init__.py"):
        assert len(ast.parse(file.read_text()).body) == 1, file


@pytest.mark.parametrize("stage", STAGES)
def test_data_deps_and_outs_are_exactly_the_paths_that_a_stage_imports(stage: str) -> None:
    named = {path.as_posix() for path in _artifacts(ROOT / "stages" / f"{stage}.py")}
    code = ("src/", "stages/", "${")
    deps = {d for d in _names(DEFINITIONS[stage]["deps"]) if not d.startswith(code)}
    assert named == deps | _outs(stage)
    earlier = {out for s in STAGES[: STAGES.index(stage)] for out in _outs(s)}
    assert deps <= earlier


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_exactly_the_section_that_a_stage_loads(stage: str) -> None:
    source = (ROOT / "stages" / f"{stage}.py").read_text()
    sections = re.findall(r"load_params\((\w+)\)", source)
    fields = {name for s in sections for name in getattr(params, s).model_fields}
    assert set(DEFINITIONS[stage].get("params", [])) == fields


def test_every_param_is_read_somewhere() -> None:
    sources = "\n".join(p.read_text() for p in [*SRC.rglob("*.py"), *(ROOT / "stages").glob("*.py")])
    for name in params.Params.model_fields:
        read = re.search(rf"\b(params|recipe)\.{name}\b", sources)
        assert read or name in params.ModelParams.model_fields, name


def test_the_readme_has_no_placeholder_and_its_links_exist() -> None:
    text = (ROOT / "README.md").read_text()
    assert "@@" not in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_stage_has_a_description_and_every_path_belongs_to_a_stage() -> None:
    assert tuple(DEFINITIONS) == STAGES
    assert all(DEFINITIONS[stage]["desc"] for stage in STAGES)
    values = [value for module in ARTIFACTS.values() for value in vars(module).values()]
    known = {value.as_posix() for value in values if isinstance(value, Path)}
    assert known == {out for stage in STAGES for out in _outs(stage)}


def test_every_stage_is_in_the_run_cache() -> None:
    """DVC does not cache the run of a stage with an uncached output that is neither a metric nor a plot."""
    for stage in STAGES:
        assert all(isinstance(out, str) for out in DEFINITIONS[stage]["outs"]), stage


def test_only_evaluate_reads_the_test_split() -> None:
    readers = [s for s in STAGES if "data/raw/test" in _names(DEFINITIONS[s]["deps"])]
    assert readers == ["evaluate"]


# Through dvc itself


def _delete_run(checkout: Checkout, run_id: str) -> None:
    code = f"from reprocnn.ledger import store; store.connect()[0].delete_run('{run_id}')"
    checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src"))


def test_repro_makes_every_output_and_one_run(checkout: Checkout) -> None:
    for stage in STAGES:
        for out in _outs(stage):
            assert (checkout.folder / out).exists(), out
    assert checkout.run("git", "status", "--porcelain") == ""
    assert "up to date" in checkout.run("dvc", "status")
    (run,) = runs_of(checkout)
    assert run["status"] == "FINISHED"
    assert str(run["name"]).startswith("main@")
    assert "figures" in run["files"]  # type: ignore[operator]


def test_a_second_repro_runs_nothing(checkout: Checkout) -> None:
    assert ran(checkout.run("dvc", "repro")) == []


def test_caches_of_python_and_editors_are_ignored(checkout: Checkout) -> None:
    (checkout.folder / "src/reprocnn/models/__pycache__").mkdir(exist_ok=True)
    (checkout.folder / "src/reprocnn/models/__pycache__/x.pyc").write_text("")
    (checkout.folder / "src/reprocnn/models/mlp.py~").write_text("")
    assert ran(checkout.run("dvc", "repro")) == []


def _add_comment(checkout: Checkout, *names: str) -> None:
    """Append a comment to files, which changes their hash but not what they do."""
    for name in names:
        with (checkout.folder / name).open("a") as file:
            file.write("# a note\n")


def test_editing_a_figure_or_its_writer_only_plots(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/reporting/figures.py", "test accuracy", "accuracy")
    assert ran(checkout.run("dvc", "repro")) == ["plot"]
    _add_comment(checkout, "src/reprocnn/artifacts/figures.py")
    assert ran(checkout.run("dvc", "repro")) == ["plot"]
    assert len(runs_of(checkout)) == 1


def test_editing_the_downloader_only_downloads(checkout: Checkout) -> None:
    _add_comment(checkout, "src/reprocnn/data/fetch.py")
    other = checkout.folder / "src/reprocnn/data/other.py"
    other.write_text('"""Another source."""\n')
    assert ran(checkout.run("dvc", "repro")) == ["download"]
    other.unlink()
    checkout.run("git", "checkout", ".")


def test_editing_code_that_cannot_affect_outputs_runs_nothing(checkout: Checkout) -> None:
    """Edit the code that only observes or checks, edit another model, and add a new one."""
    src = checkout.folder / "src/reprocnn"
    for room in ("ledger", "run", "commands"):
        _add_comment(checkout, *(file.relative_to(checkout.folder).as_posix() for file in (src / room).rglob("*.py")))
    _add_comment(
        checkout, *(f"src/reprocnn/{name}.py" for name in ("catalog", "cli", "errors", "params", "models/resnet"))
    )
    (src / "models/tiny.py").write_text((src / "models/mlp.py").read_text().replace("(128, 64)", "(4,)"))
    row = '    "tiny": Model(options=("dropout",), source="a test", accuracy=""),\n'
    checkout.edit("src/reprocnn/catalog.py", '    "mlp": ', f'{row}    "mlp": ')
    assert ran(checkout.run("dvc", "repro")) == []
    printed = checkout.run("dvc", "exp", "run", "-n", "tiny", "-S", "model=tiny")
    assert ran(printed) == ["train", "evaluate", "plot"]
    (run,) = [run for run in runs_of(checkout) if run["name"] == "tiny"]
    assert run["metrics"]["parameters"] == 64 * 4 + 4 + 4 * 10 + 10  # type: ignore[index]
    (src / "models/tiny.py").unlink()
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")
    checkout.run("dvc", "exp", "remove", "tiny")
    _delete_run(checkout, str(run["id"]))


def test_without_the_ledger_the_pipeline_makes_the_same_bytes_and_resumes(checkout: Checkout, tmp_path: Path) -> None:
    """Checkpoint and journal do not need the ledger."""
    checkout.run("git", "clone", "-q", str(checkout.folder), str(tmp_path / "clone"))
    clone = Checkout.of(tmp_path / "clone")
    clone.set_user()
    clone.edit("params.yaml", "epochs: 1 ", "epochs: 3 ")
    assert set(ran(clone.run("dvc", "repro"))) == set(STAGES)
    clone.commit("with the ledger")
    shutil.rmtree(clone.folder / "src/reprocnn/ledger")
    assert set(ran(clone.run("dvc", "repro", "--force"))) == set(STAGES)
    killer = [sys.executable, str(ROOT / "tests/killer.py"), "train", "save", "2"]
    subprocess.run(killer, cwd=clone.folder, env=clone.environment(), stdout=subprocess.DEVNULL)
    printed = clone.run("dvc", "repro", "--force", "--downstream", "train")
    assert "resuming at epoch 2 of 3" in printed
    changed = clone.run("git", "status", "--porcelain").split()
    assert [name for name in changed if not name.startswith(("D", "src/reprocnn/ledger"))] == []
    assert len(logged_params(clone)) == 1


def logged_params(clone: Checkout) -> list[Path]:
    return list((clone.folder / "mlartifacts").glob("*/*/params.yaml"))


def test_editing_a_layer_or_the_fit_retrains(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/models/layers.py", '"softmax"', '"sigmoid"')
    assert ran(checkout.run("dvc", "repro")) == ["train", "evaluate", "plot"]
    checkout.run("git", "checkout", "src/reprocnn/models/layers.py")
    _add_comment(checkout, "src/reprocnn/training/fit.py")
    assert "train" in ran(checkout.run("dvc", "repro"))
    checkout.edit("src/reprocnn/models/mlp.py", "(128, 64)", "(32, 16)")
    assert ran(checkout.run("dvc", "repro")) == ["train", "evaluate", "plot"]
    checkout.commit("a smaller net")


def test_the_data_stages_and_plot_do_not_import_tensorflow(checkout: Checkout) -> None:
    for stage in ("download", "preprocess", "plot"):
        code = (
            "import runpy, sys; sys.path.insert(0, 'stages')\n"
            f"runpy.run_path('stages/{stage}.py', run_name='__main__')\n"
            "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
        )
        checkout.run("python", "-c", code)
    assert "up to date" in checkout.run("dvc", "status")  # the stages wrote the same bytes


def test_an_experiment_is_one_run_with_its_name(checkout: Checkout) -> None:
    before = len(runs_of(checkout))
    printed = checkout.run("dvc", "exp", "run", "-n", "two", "-S", "epochs=2", "-S", "learning_rate=1e-3")
    assert ran(printed)[0] == "train"
    runs = runs_of(checkout)
    assert len(runs) == before + 1
    (run,) = [r for r in runs if r["name"] == "two"]
    assert run["tags"]["dvc.exp.name"] == "two"  # type: ignore[index]
    head = checkout.run("git", "rev-parse", "HEAD").strip()
    assert run["tags"]["dvc.exp.baseline_rev"] == head  # type: ignore[index]
    assert run["params"]["epochs"] == "2"  # type: ignore[index]
    assert "two" in checkout.run("dvc", "exp", "show", "--csv")
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")
    checkout.run("dvc", "exp", "apply", "two")
    assert "up to date" in checkout.run("dvc", "status")
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")


def test_a_repeated_experiment_is_restored_and_gets_a_run(checkout: Checkout) -> None:
    settings = ("-S", "epochs=2", "-S", "learning_rate=1e-3")
    printed = checkout.run("dvc", "exp", "run", "-n", "again", *settings)
    assert ran(printed) == []  # the run cache has the result
    for stage in ("train", "evaluate", "plot"):
        assert f"Stage '{stage}' is cached - skipping run" in printed
    assert re.search(r"again +\w{7} +no run", checkout.reprocnn("runs"))
    code = "from reprocnn.commands import sync; sync.make_absent()"  # as `make ui` does first
    printed = checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src"))
    assert re.search(r"again +\w{7} +run \w+  added run, params", printed)
    assert "two " not in printed
    assert re.search(r"again +\w{7} +run \w+  whole", checkout.reprocnn("runs"))
    first, second = (next(r for r in runs_of(checkout) if r["name"] == name) for name in ("two", "again"))
    assert first["id"] != second["id"]
    assert first["epochs"] == second["epochs"]
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")
    checkout.run("dvc", "exp", "remove", "again")
    _delete_run(checkout, str(second["id"]))


def test_a_renamed_or_saved_result_keeps_its_run(checkout: Checkout) -> None:
    """Rename an experiment, and save a result of `dvc repro` as an experiment."""
    before = {str(r["id"]): str(r["name"]) for r in runs_of(checkout)}
    checkout.run("dvc", "exp", "rename", "two", "deux")
    checkout.run("dvc", "exp", "save", "-n", "kept")
    assert re.search(r"deux +\w{7} +run \w+  lacks experiment", checkout.reprocnn("runs"))
    checkout.reprocnn("sync")
    after = {str(r["id"]): str(r["name"]) for r in runs_of(checkout)}
    assert after.keys() == before.keys()
    two = next(number for number, name in before.items() if name == "two")
    assert after[two] == "deux"
    assert sorted(after.values()).count("kept") == 1
    lines = checkout.reprocnn("runs")
    workspace, kept = (re.findall(rf"{name}.* run (\w+)  whole", lines)[0] for name in ("workspace", "kept "))
    assert workspace == kept
    assert "added" not in checkout.reprocnn("sync")
    checkout.run("dvc", "exp", "remove", "kept")
    checkout.run("dvc", "exp", "rename", "deux", "two")
    checkout.reprocnn("sync")


def test_a_lost_store_is_recreated_from_dvcs_files(checkout: Checkout) -> None:
    """Recreate the runs with the journals and without, as for a colleague who pulled the experiment."""
    before = {str(r["name"]): r for r in runs_of(checkout)}
    for journals in (True, False):
        for path in checkout.folder.glob("mlflow.db*"):
            path.unlink()
        if not journals:
            shutil.rmtree(checkout.folder / ".dvc/tmp/reprocnn")
        assert re.search(r"two +\w{7} +no run", checkout.reprocnn("runs"))
        printed = checkout.reprocnn("sync")
        assert re.search(r"two +\w{7} +run \w+  added run, params, ", printed)
        assert len(runs_of(checkout)) == len({str(r["tags"]["model.md5"]) for r in runs_of(checkout)})  # type: ignore[index]
        again = checkout.reprocnn("sync")
        assert "added" not in again
        assert re.search(r"two +\w{7} +run \w+  whole", checkout.reprocnn("runs", "two"))
        (run,) = [r for r in runs_of(checkout) if r["name"] == "two"]
        for part in ("params", "epochs", "status"):
            assert run[part] == before["two"][part]
        same = {k for k in before["two"]["metrics"] if not k.startswith("system/")}  # type: ignore[attr-defined]
        lost = set() if journals else {"epoch_seconds"}
        assert set(run["metrics"]) == same - lost  # type: ignore[call-overload]
        assert sorted(run["files"]) == sorted(before["two"]["files"])  # type: ignore[call-overload]
        tags = run["tags"]
        assert "system metrics" in tags["restored"]  # type: ignore[index]
        assert ("epoch times" in tags["restored"]) is not journals  # type: ignore[index]
        for tag in ("cpu", "version.tensorflow", "model.md5", "dvc.exp.name"):
            assert tags[tag] == before["two"]["tags"][tag]  # type: ignore[index]
        model = checkout.folder / "mlartifacts" / "models"
        assert list(model.rglob("*.keras"))


def test_reproduce_checks_out_the_experiment_of_a_run(checkout: Checkout, tmp_path: Path) -> None:
    (run,) = [r for r in runs_of(checkout) if r["name"] == "two"]
    printed = checkout.reprocnn("reproduce", str(run["id"])[:12], "--folder", str(tmp_path / "there"))
    reference = checkout.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/two").strip()
    commit = checkout.run("git", "rev-parse", reference)
    assert f"a DVC experiment, commit {commit[:7]}" in printed
    assert (tmp_path / "there" / "params.yaml").read_text().count("epochs: 2 ") == 1
    printed = checkout.reprocnn("reproduce", "zzz", fails=True)
    assert "0 runs" in printed
    assert "Traceback" not in printed


def test_verify_repeats_an_experiment_and_names_differences(checkout: Checkout) -> None:
    before = checkout.run("git", "status", "--porcelain"), len(runs_of(checkout))
    printed = checkout.reprocnn("verify", "two")
    assert "every out is equal, byte for byte" in printed
    assert re.search(r"train +models/model.keras +\w{12} +equal", printed)
    assert before == (checkout.run("git", "status", "--porcelain"), len(runs_of(checkout)))
    lock = (checkout.folder / "dvc.lock").read_text()
    checkout.edit("dvc.lock", re.findall(r"models/model.keras\n.*\n +md5: (\w+)", lock)[0], "f0" * 16)
    _add_comment(checkout, "src/reprocnn/models/mlp.py")
    checkout.commit("a lock that is wrong")
    printed = checkout.reprocnn("verify", fails=True)
    assert "differing: models/model.keras" in printed
    assert "dvc.lock is older than the code: src/reprocnn/models/mlp.py changed after train ran" in printed
    checkout.run("git", "reset", "-q", "--hard", "HEAD~1")
    printed = checkout.reprocnn("verify", "nothing", fails=True)
    assert "no experiment or revision is called 'nothing'" in printed


def test_metrics_and_plots_can_be_compared(checkout: Checkout) -> None:
    assert "accuracy" in checkout.run("dvc", "metrics", "diff", "HEAD", "two")
    assert "two" in checkout.run("dvc", "exp", "show", "--only-changed", "--no-pager")
    checkout.run("dvc", "plots", "show", "-o", "plots_show")
    page = (checkout.folder / "plots_show" / "index.html").read_text()
    for part in ("validation_accuracy", "validation_loss", "predicted"):
        assert part in page
    drawn = json.loads(checkout.run("dvc", "plots", "diff", "HEAD", "two", "--json"))["data"]
    for name, column in (
        ("accuracy", "validation_accuracy"),
        ("loss", "train_loss"),
        ("confusion matrix", "predicted"),
    ):
        (plot,) = drawn[name]
        assert plot["revisions"] == ["HEAD", "two"]
        assert column in json.dumps(plot["content"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("batch_size=-1", "batch_size: found -1"),  # the file keeps its size: Git must still see the change
        ("epochs=abc", "epochs: found 'abc'"),
        ("model=resnext", "src/reprocnn/models/resnext.py"),  # DVC's own error: the model's file is a dep
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
    checkout.run("git", "checkout", "--", "params.yaml", "dvc.lock", "reports")  # the commands in the README
    checkout.run("dvc", "checkout")
    assert "up to date" in checkout.run("dvc", "status")
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""


def test_an_unknown_key_is_rejected_by_the_next_stage(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/reporting/figures.py", "most confident", "worst")
    printed = checkout.run("dvc", "exp", "run", "-S", "+zzz=1", fails=True)
    assert "unknown key `zzz`" in printed
    checkout.run("git", "checkout", ".")
    checkout.run("dvc", "checkout")


def test_without_git_make_run_says_what_to_do(checkout: Checkout, tmp_path: Path) -> None:
    shutil.copy(checkout.folder / "Makefile", tmp_path)
    no_git = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    printed = checkout.run("make", "-C", str(tmp_path), "-o", "setup", "run", fails=True, **no_git)
    assert "git init && git add -A && git commit" in printed


def test_the_wrong_python_gives_a_one_line_error(checkout: Checkout, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "other", with_pip=False)
    path = f"{tmp_path / 'other' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    printed = checkout.run("python", "stages/train.py", fails=True, PATH=path)
    assert len(printed.splitlines()) == 1
    assert "source .venv/bin/activate" in printed


def test_two_queued_experiments_at_once_without_a_store(checkout: Checkout) -> None:
    for name in checkout.folder.glob("mlflow.db*"):
        name.unlink()
    checkout.run("dvc", "exp", "run", "--queue", "-S", "learning_rate=0.002,0.0005")
    checkout.run("dvc", "queue", "start", "-j", "2")
    for _ in range(120):
        time.sleep(1)
        status = checkout.run("dvc", "queue", "status")
        if "Queued" not in status and "Running" not in status:
            break
    assert status.count("Success") == 2, status
    runs = runs_of(checkout)
    assert sorted(r["params"]["learning_rate"] for r in runs) == ["0.0005", "0.002"]  # type: ignore[index]
    for run in runs:
        assert run["status"] == "FINISHED"
        assert "test_accuracy" in run["metrics"]  # type: ignore[operator]
        assert "report.html" in run["files"]  # type: ignore[operator]


def test_a_temp_run_uses_its_own_code_and_keeps_its_artifacts(checkout: Checkout) -> None:
    checkout.edit("src/reprocnn/models/mlp.py", "(32, 16)", "(8, 8)")
    checkout.run("dvc", "exp", "run", "--queue", "-n", "small")
    checkout.edit("src/reprocnn/models/mlp.py", "(8, 8)", "(this is not python")
    checkout.run("dvc", "exp", "run", "--run-all")
    (run,) = [r for r in runs_of(checkout) if r["name"] == "small"]
    assert run["metrics"]["parameters"] == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10  # type: ignore[index]
    folder = Path(str(run["uri"]).removeprefix("file://"))
    assert checkout.folder in folder.parents
    assert ".dvc" not in folder.relative_to(checkout.folder).parts
    assert (folder / "figures" / "curves.png").is_file()
    checkout.run("git", "checkout", ".")


def test_a_fresh_clone_reproduces_the_result_and_gets_a_complete_run(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("dvc", "checkout")
    checkout.run("git", "clone", "-q", str(checkout.folder), str(tmp_path / "clone"))
    clone = Checkout.of(tmp_path / "clone")
    assert set(ran(clone.run("dvc", "repro"))) == set(STAGES)
    assert clone.run("git", "status", "--porcelain") == ""  # the same bytes, including reports and dvc.lock
    (run,) = runs_of(clone)
    assert "test_accuracy" in run["metrics"]  # type: ignore[operator]
    assert "figures" in run["files"]  # type: ignore[operator]


def test_variables_of_the_shell_do_not_affect_the_stages(checkout: Checkout) -> None:
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
    assert re.search(r"workspace +run \w+  whole", checkout.reprocnn("runs"))


def test_a_killed_experiment_causes_a_warning_with_the_recovery_command(checkout: Checkout) -> None:
    """`kill -9` of `dvc exp run` leaves HEAD detached, also in the next run."""
    command = ["dvc", "exp", "run", "--force", "download"]
    with subprocess.Popen(command, cwd=checkout.folder, env=checkout.environment(), start_new_session=True) as process:
        while "main" in (checkout.folder / ".git/HEAD").read_text():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    time.sleep(3)  # times of Git and of processes are in whole seconds; a user also takes longer
    printed = checkout.run("dvc", "exp", "run", "--force", "download")
    assert "left HEAD detached from branch main" in printed
    assert "after this run: git switch main" in printed
    checkout.run("git", "commit", "-q", "--allow-empty", "-m", "on no branch")
    head = checkout.run("git", "rev-parse", "HEAD").strip()
    (command,) = re.findall(r"fix: (git switch .*)", checkout.reprocnn("doctor", fails=True))
    checkout.run("sh", "-c", command)
    assert checkout.run("git", "rev-parse", "main").strip() == head
    assert "git switch" not in checkout.run("dvc", "exp", "run", "--force", "download")


def test_a_project_in_a_subfolder_of_a_repository(checkout: Checkout, tmp_path: Path) -> None:
    project = tmp_path / "big" / "apps" / "digits"
    shutil.copytree(checkout.folder, project, ignore=shutil.ignore_patterns(".git", "mlflow*", "mlartifacts", "exps"))
    inner = Checkout.of(project)
    inner.run("git", "init", "-q", "-b", "main", str(tmp_path / "big"))
    inner.set_user()
    inner.commit("start")
    printed = inner.run("dvc", "exp", "run", "-n", "inner", "-S", "epochs=2", "-S", "learning_rate=1e-3")
    assert "'train' is cached" in printed
    assert re.search(r"inner +\w{7} +run \w+  added run", inner.reprocnn("sync"))
    (found,) = re.findall(r"inner +\w{7} +run (\w+)  whole", inner.reprocnn("runs"))
    assert re.search(r"ok +git +main@", inner.reprocnn("doctor", fails=None))
    there = tmp_path / "there"
    assert f"cd {there}/apps/digits\n" in inner.reprocnn("reproduce", found, "--folder", str(there))
    assert "epochs: 2 " in (there / "apps" / "digits" / "params.yaml").read_text()
