"""Import rules between the packages ("rooms") of src/reprocnn, and limits on the size of functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn import params

SRC = ROOT / "src" / "reprocnn"
FILES = sorted([*SRC.rglob("*.py"), *(ROOT / "stages").glob("*.py")])
SCHEMA = {"catalog", "errors", "params"}
SCIENCE = {"data", "models", "training", "evaluation", "reporting", "export", "inference"}
FOUNDATIONS = SCHEMA | {"artifacts", "backend", "environment", "masking"}
KNOWS = {
    "catalog": set(),
    "errors": set(),
    "environment": set(),
    "masking": set(),
    "params": {"catalog", "errors", "masking"},
    "backend": {"environment"},
    "artifacts": {"backend", "errors", "params"},
    **dict.fromkeys(SCIENCE, FOUNDATIONS | SCIENCE),
    "inference": set(),  # a logged MLflow model contains it
    "run": FOUNDATIONS | SCIENCE,
    "ledger": FOUNDATIONS | {"run"},
    "commands": FOUNDATIONS | SCIENCE | {"run", "ledger", "serving", "cli"},
    "serving": {"errors", "inference", "reporting"},
    "notebook": FOUNDATIONS | SCIENCE | {"run", "ledger"},
    "stages": FOUNDATIONS | SCIENCE | {"run"},
}
"""Room -> other rooms that it may import."""
MLFLOW_FILE = SRC / "inference" / "mlflow_model.py"
"""The one file outside of ledger and commands that imports MLflow: MLflow runs it."""


def _room(file: Path) -> str:
    parts = file.relative_to(SRC if SRC in file.parents else ROOT).with_suffix("").parts
    return "commands" if parts[0] in {"cli", "__main__"} else parts[0]


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{a.name}" for a in node.names) if node.module == "reprocnn" else [node.module])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_room_imports_only_the_rooms_it_may(file: Path) -> None:
    room = _room(file)
    if room == "__init__":
        return
    for name in _imported(file):
        if name.startswith("reprocnn."):
            assert name.split(".")[1] in KNOWS[room] | {room}, f"{room} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_only_ledger_and_commands_use_mlflow_and_git_and_science_reads_no_environment(file: Path) -> None:
    room, text = _room(file), file.read_text()
    outside = {name.split(".")[0] for name in _imported(file)} & {"mlflow", "dvc"}
    if room not in {"ledger", "commands"}:
        assert outside == ({"mlflow"} if file == MLFLOW_FILE else set()), f"{room} imports {outside}"
        assert '"git"' not in text
    if room in SCIENCE | SCHEMA | {"artifacts", "serving", "stages"} and file != SRC / "inference/classifier.py":
        assert "os.environ" not in text
        assert "getenv" not in text


def test_inference_imports_no_other_module_of_this_project() -> None:
    """A logged MLflow model contains a copy of the folder under another name, without the file that MLflow runs."""
    for file in (SRC / "inference").glob("*.py"):
        names = list(_imported(file))
        assert not [name for name in names if name.startswith("reprocnn")], file
        assert MLFLOW_FILE.stem not in names, file


def test_no_code_sets_environment_variables_after_start_up() -> None:
    """It is not safe to set a variable while another thread starts a process."""
    setting = (
        "os.environ[",
        "os.environ.update",
        "os.environ |=",
        "os.environ.setdefault",
        "putenv",
        "set_tracking_uri",
    )
    found = {
        file.relative_to(SRC).as_posix() for file in SRC.rglob("*.py") if any(s in file.read_text() for s in setting)
    }
    # The list itself; the entry points of commands and stages; oneDNN's limit, set before the first operation; ONNX
    # Runtime's telemetry, which is read at its import.
    assert found == {"environment.py", "cli.py", "run/harness.py", "backend.py", "inference/classifier.py"}


def test_the_sections_have_fields_and_no_methods() -> None:
    """A method could bring a value into an output that DVC does not track as a param."""
    sections = [
        value for value in vars(params).values() if isinstance(value, type) and issubclass(value, params.Section)
    ]
    for section in sections:
        own = {name for name, value in vars(section).items() if callable(value) or isinstance(value, property)}
        assert not {name for name in own if not name.startswith("_")}, section


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield f"{file.relative_to(ROOT)}: {node.name}", node


def test_no_function_is_longer_than_35_lines() -> None:
    """The docstring is not counted."""
    for name, node in _functions():
        docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0  # type: ignore[operator]
        assert node.end_lineno - node.lineno + 1 - docstring <= 35, name  # type: ignore[operator]


def test_no_function_has_more_than_five_positional_parameters() -> None:
    for name, node in _functions():
        positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in {"self", "cls"}]
        assert len(positional) <= 5, name
