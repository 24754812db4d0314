"""Who knows whom: each room of src/reprocnn imports only what its kind may know, and stays as small as it should."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn import params

SRC = ROOT / "src" / "reprocnn"
FILES = sorted([*SRC.rglob("*.py"), *(ROOT / "stages").glob("*.py")])
SCHEMA = {"catalog", "errors", "params"}
SCIENCE = {"data", "models", "training", "evaluation", "reporting"}
FOUNDATIONS = SCHEMA | {"artifacts", "backend", "environment"}
KNOWS = {
    "catalog": set(),
    "errors": set(),
    "environment": set(),
    "params": {"catalog", "errors"},
    "backend": {"environment"},
    "artifacts": {"backend", "errors", "params"},
    **dict.fromkeys(SCIENCE, FOUNDATIONS | SCIENCE),
    "run": FOUNDATIONS | SCIENCE,
    "ledger": FOUNDATIONS | {"run"},
    "commands": FOUNDATIONS | SCIENCE | {"run", "ledger", "cli"},
    "stages": FOUNDATIONS | SCIENCE | {"run"},
}
"""Room -> rooms that it may import, beside itself."""


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
def test_a_room_knows_only_what_its_kind_may_know(file: Path) -> None:
    room = _room(file)
    if room == "__init__":
        return
    for name in _imported(file):
        if name.startswith("reprocnn."):
            assert name.split(".")[1] in KNOWS[room] | {room}, f"{room} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_only_the_ledger_and_commands_know_mlflow_and_git_and_no_science_the_environment(file: Path) -> None:
    room, text = _room(file), file.read_text()
    outside = {name.split(".")[0] for name in _imported(file)} & {"mlflow", "dvc"}
    if room not in {"ledger", "commands"}:
        assert not outside, f"{room} imports {outside}"
        assert '"git"' not in text
    if room in SCIENCE | SCHEMA | {"artifacts", "stages"}:
        assert "os.environ" not in text
        assert "getenv" not in text


def test_nothing_sets_the_environment_after_the_start() -> None:
    """While a thread sets a variable, no other may start a process."""
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
    # The lists of the start; the starts of commands and of stages; oneDNN's limit, before the first operation.
    assert found == {"environment.py", "cli.py", "run/harness.py", "backend.py"}


def test_the_schema_is_fields_and_nothing_else() -> None:
    """So that no value of params.yaml reaches an out except as a param that DVC tracks."""
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


def test_no_function_is_long() -> None:
    """Beyond its docstring."""
    for name, node in _functions():
        docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0  # type: ignore[operator]
        assert node.end_lineno - node.lineno + 1 - docstring <= 35, name  # type: ignore[operator]


def test_no_function_takes_many_parameters_by_their_place() -> None:
    for name, node in _functions():
        places = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in {"self", "cls"}]
        assert len(places) <= 5, name
