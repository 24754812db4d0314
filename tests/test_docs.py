"""README and docs: links, commands, names and messages exist, and the edits that extending.md tells to make work."""

import ast
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import mlflow.cli
import numpy as np
import pandas as pd
import pytest
from dvc.cli.parser import get_main_parser
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from checkouts import ROOT, Checkout
from reprocnn import cli
from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.artifacts.examples import EXAMPLES, Examples, write_examples
from reprocnn.artifacts.explanations import EXPLANATIONS, Explanations, write_explanations
from reprocnn.artifacts.figures import FIGURES, REPORT
from reprocnn.artifacts.files import read_json, write_bytes
from reprocnn.artifacts.history import HISTORY, read_history
from reprocnn.artifacts.label_errors import LABEL_ERRORS, LabelErrors, write_label_errors
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, read_model_card, write_model_card
from reprocnn.artifacts.predictions import PREDICTIONS, write_predictions
from reprocnn.artifacts.scores import METRICS, PER_CLASS, Scores, read_per_class, write_scores
from reprocnn.artifacts.training import TRAINING, read_training
from reprocnn.params import PARAMS, Params, check, read_params

README = ROOT / "README.md"
EXTENDING, TROUBLESHOOTING = ROOT / "docs/extending.md", ROOT / "docs/troubleshooting.md"
USING = ROOT / "docs/using.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
CONFIGURATION = ROOT / ".devcontainer/devcontainer.json"


def _blocks(text: str, language: str = "sh") -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _codes(text: str) -> list[str]:
    """The inline code of a page."""
    return re.findall(r"`([^`\n]+)`", _prose(text))


def _section(text: str, title: str) -> str:
    return re.split(r"^## ", text.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


# The pages


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = README.read_text()
    assert len(text.split()) <= 1500
    for page in DOCS:
        assert f"](docs/{page.name})" in text, page.name


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_begins_with_what_it_is_for(page: Path) -> None:
    heading, _, first, *_ = page.read_text().splitlines()
    assert re.match(r"# \w", heading)
    assert re.match(r"[A-Z]\w+ ", first)


def _anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [README, *DOCS, ROOT / "data/README.md", ROOT / "deploy/README.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", _prose(page.read_text())):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


@PAGES
def test_every_path_of_this_project_exists_or_is_generated(page: Path) -> None:
    rooms = r"(?:src|stages|tests|docs|presets|benchmarks|reports|models|data|\.dvc)/[\w./-]*"
    stages = read_params(ROOT / "dvc.yaml")["stages"].values()
    named = [out for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in named]
    generated = (
        "data/images",
        ".dvc/tmp",
        ".dvc/config.local",
        "models/",
        "reports/environment.json",
        "reports/audit.html",
        "reports/compare.html",
        "data/raw",
        "data/processed",
        *outs,
    )
    new = [edit["new"] for edit in _EDIT.finditer(EXTENDING.read_text()) if edit["new"]]
    for name in (code for code in _codes(page.read_text()) if re.fullmatch(rooms, code)):
        assert (ROOT / name).exists() or name.startswith(generated) or name in new, name


def test_the_tree_in_the_readme_is_that_of_the_project() -> None:
    (tree,) = _blocks(_section(README.read_text(), "The tree"), "")
    entries = re.findall(r"^( {0,2})([\w./]+)", tree, re.MULTILINE)
    for indent, name in entries:
        assert (ROOT / ("src/reprocnn" if indent else "") / name).exists(), name
    own = {path.name for path in (ROOT / "src/reprocnn").iterdir() if not path.name.startswith("_")}
    assert {name.rstrip("/") for indent, name in entries if indent} == own


def test_the_readme_shows_what_make_run_prints(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = _blocks(_section(README.read_text(), "What you will see"), "")
    accuracy, low, high = (float(number) / 100 for number in re.findall(r"([\d.]+)%", shown))
    model, data = re.findall(r"^(\w+) on (\w+):", shown)[0]
    n = int(re.findall(r"(\d+) images", shown)[0])
    write_scores(METRICS, Scores(accuracy=accuracy, accuracy_low=low, accuracy_high=high, n=n, others={}))
    write_model_card(MODEL_CARD, ModelCard(data, model, ("0", "1"), (8, 8, 1)))
    write_bytes(REPORT, b"<html>")
    cli.main(["summary"])
    assert capsys.readouterr().out.strip() == shown.strip()


# Commands


def _words(line: str) -> Iterator[list[str]]:
    """The commands of a line of a shell block, as words."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word not in {"&&", "&"}:
            words.append(word)
        elif words:
            yield words
            words = []


def _values(text: str) -> list[Any]:
    """The values of a setting: `0.1,0.2` is a grid, and text in quotes is one value."""
    yaml = YAML(typ="safe")
    return [yaml.load(text)] if text.startswith("'") else [yaml.load(value) for value in text.split(",")]


def _settings(command: list[str]) -> dict[str, list[Any]]:
    """The keys that a command sets with -S, and their values."""
    pairs = [word.split("=", 1) for option, word in pairwise(command) if option == "-S"]
    return {key: _values(text) for key, text in pairs}


def _set_params(path: Path, values: dict[str, Any]) -> None:
    YAML().dump(read_params(path) | values, path)


class Reader:
    """Types the commands of a page one after another, in a folder with params.yaml and presets/."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(ROOT / "presets", "presets")
        self._makefile = (ROOT / "Makefile").read_text()
        self._sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
        self._capsys = capsys

    def type(self, words: list[str]) -> None:
        """Check a command, and do to params.yaml what it does."""
        while words and (setting := re.match(r"([A-Z_]+)=", words[0])):
            assert f'"{setting[1]}"' in self._sources, words
            words = words[1:]
        known = {"make": self._make, "python": self._python, "dvc": self._dvc, "git": self._git, "mlflow": self._mlflow}
        if words and words[0] not in {"cd", "source", "rm", "export", "kill", "curl", "echo", "ray", "read", "ssh"}:
            known[words[0]](words)

    def _make(self, words: list[str]) -> None:
        for word in words[1:]:
            name, is_variable, _ = word.partition("=")
            expected = rf"\$\((?:or \$\()?{name}[,)]|if \$\({name}\)" if is_variable else rf"^{name}:"
            assert re.search(expected, self._makefile, re.MULTILINE), words

    def _python(self, words: list[str]) -> None:
        if words[1:3] == ["-m", "reprocnn"]:
            cli._parser().parse_args(words[3:])
            if words[3] == "preset":
                cli.main(words[3:])
        elif words[1] == "-c":
            compile(words[2], "docs", "exec")
        elif words[1:3] == ["-m", "pytest"]:
            assert (ROOT / words[3]).exists(), words
        else:
            script = (ROOT / words[1]).read_text()
            assert all(f'"{option}"' in script for option in words if option.startswith("--")), words

    def _dvc(self, words: list[str]) -> None:
        get_main_parser().parse_args(words[1:])
        if settings := _settings(words):
            values = [dict(zip(settings, chosen, strict=True)) for chosen in product(*settings.values())]
            for chosen in values:
                check(Params, read_params() | chosen, PARAMS)
            if "--queue" not in words:
                _set_params(PARAMS, values[-1])

    def _mlflow(self, words: list[str]) -> None:
        mlflow.cli.cli.commands[words[1]].make_context(words[1], words[2:])

    def _git(self, words: list[str]) -> None:
        if words[1] == "checkout" and "params.yaml" in words:
            shutil.copy(ROOT / "params.yaml", PARAMS)

    def name(self, words: list[str]) -> None:
        """Check a command that a text names, perhaps without what follows."""
        if words[0] == "-S":
            Params.model_validate(read_params() | {key: values[0] for key, values in _settings(words).items()})
        elif words[0] == "dvc" or words[:3] == ["python", "-m", "reprocnn"]:
            parse = get_main_parser().parse_args if words[0] == "dvc" else cli._parser().parse_args
            with pytest.raises(SystemExit) as ended:
                parse([*words[1 if words[0] == "dvc" else 3 :], "--help"])
            assert ended.value.code == 0, words
        else:
            self.type(words)


@pytest.fixture
def reader(here: Path, capsys: pytest.CaptureFixture[str]) -> Reader:
    return Reader(capsys)


@PAGES
def test_every_command_exists_and_its_values_are_valid(page: Path, reader: Reader) -> None:
    """The params of extending.md are those of its own tests."""
    for block in _blocks(page.read_text()):
        shutil.copy(ROOT / "params.yaml", PARAMS)
        for words in (words for line in block.splitlines() for words in _words(line)):
            if page == EXTENDING and "-S" in words:
                continue
            reader.type(words)


_SHOWN = re.compile(r"^```(?P<language>sh|python)\n(?P<code>.*?)^```\n(?:\n```\n(?P<output>.*?)^```$)?", re.M | re.S)


@pytest.mark.slow
def test_using_shows_what_its_examples_print(checkout: Checkout) -> None:
    """Another model gives other numbers, so numbers are not compared. Commands without output are in other tests."""
    for example in _SHOWN.finditer(USING.read_text()):
        code, expected = example["code"], example["output"]
        if example["language"] == "python":
            command = ["python", "-c", code]
        elif expected:
            command = ["bash", "-c", code]
        else:
            continue
        no_bar = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
        printed = checkout.run(*command, PYTHONPATH="src", fails=None, **no_bar)
        assert _mask_numbers(printed) == _mask_numbers(expected or ""), printed


def _mask_numbers(text: str) -> list[str]:
    """The lines of a text, in any order, because two streams are mixed; `#` instead of numbers and spaces."""
    return sorted(
        re.sub(r"\s+", " ", re.sub(r"[+-]?(?<!digit)\d[\d.e-]*", "#", line)).strip() for line in text.splitlines()
    )


@PAGES
def test_every_command_that_a_text_names_exists(page: Path, reader: Reader) -> None:
    begins = ("make ", "python -m ", "python benchmarks/", "dvc ", "-S ")
    for code in _codes(page.read_text()):
        if code.startswith(begins) and "..." not in code:
            for words in _words(code):
                reader.name(words)


def _literals() -> Iterator[str]:
    """Each text in the code, with a NUL where a value is filled in; and the Makefile."""
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    yield (ROOT / "Makefile").read_text()


def _is_message(quoted: str, literal: str) -> bool:
    """Whether a quotation, with `...` for what varies or with an example of it, is from a text in the code."""
    parts, fixed = quoted.split("..."), literal.split("\0")
    if _has(parts, literal) and re.search(".*".join(map(re.escape, parts)), literal):
        return True
    is_long = len("".join(fixed)) >= 10
    return is_long and _has(fixed, quoted) and bool(re.fullmatch(".+".join(map(re.escape, fixed)), quoted))


def _has(parts: list[str], text: str) -> bool:
    """Whether a text has all parts. This rules out most texts faster than a regular expression does."""
    return all(part in text for part in parts)


def test_every_quoted_message_is_in_the_code_or_marked_as_that_of_another_program() -> None:
    rows = re.findall(r"^\| (.+?) \|", TROUBLESHOOTING.read_text(), re.MULTILINE)
    quoted = [match for row in rows for match in re.findall(r"((?:DVC|Git|Linux): )?`([^`]+)`", row)]
    own = [message for program, message in quoted if not program and " " in message and not message.startswith("-")]
    literals = list(_literals())
    assert len(own) >= 10
    for message in own:
        assert any(_is_message(message, literal) for literal in literals), message


# What extending.md tells to do, done

_EDIT = re.compile(
    r"^(?:New file `(?P<new>[^`]+)`"
    r"|In `(?P<inside>[^`]+)`, (?P<where>above|below) the line that begins with `(?P<line>[^`]+)`, add"
    r"|At the end of `(?P<end>[^`]+)`, after two empty lines, add):\n\n```(?:python|yaml)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def test_every_block_of_code_is_an_edit() -> None:
    text = EXTENDING.read_text()
    assert len(_EDIT.findall(text)) == len(_blocks(text, "(?:python|yaml|diff)"))


def _insert(file: Path, where: str, line: str, code: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    (number,) = (i for i, text in enumerate(lines) if text.strip().startswith(line))
    lines.insert(number + (where == "below"), code)
    file.write_text("".join(lines))


@pytest.fixture
def follow(make_checkout: Callable[[], Checkout]) -> Callable[[str], Checkout]:
    """Makes a checkout with the edits and the params of a section."""

    def made(title: str) -> Checkout:
        checkout, text = make_checkout(), _section(EXTENDING.read_text(), title)
        for edit in _EDIT.finditer(text):
            file = checkout.folder / (edit["new"] or edit["inside"] or edit["end"])
            if edit["inside"]:
                _insert(file, edit["where"], edit["line"], edit["code"])
            else:
                file.write_text(edit["code"] if edit["new"] else f"{file.read_text()}\n\n{edit['code']}")
        checkout.run("ruff", "check", "src", "stages")
        checkout.run("ruff", "format", "--check", "src", "stages")
        for words in (words for block in _blocks(text) for line in block.splitlines() for words in _words(line)):
            _set_params(checkout.folder / PARAMS, {key: values[0] for key, values in _settings(words).items()})
        return checkout

    return made


def _run_stages(checkout: Checkout, *stages: str) -> None:
    """Run stages without dvc and MLflow, which do not change what they make."""
    shutil.rmtree(checkout.folder / "src/reprocnn/ledger")
    for stage in stages:
        checkout.run("python", f"stages/{stage}.py")


def _said(checkout: Checkout, code: str) -> Any:
    """What code of the checkout prints, as JSON."""
    return json.loads(checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src")).splitlines()[-1])


CLIP_NORM = """
import json
from reprocnn.params import TrainParams, load_params
from reprocnn.training.optimizers import optimizer
params = load_params(TrainParams)
print(json.dumps([optimizer(params, 1, []).global_clipnorm, list(TrainParams.model_fields)]))
"""


def test_a_parameter_as_extending_says(follow: Callable[[str], Checkout]) -> None:
    """That params.yaml has it, and nothing that params.py has not, is what `load_params` checks."""
    checkout = follow("A parameter")
    clip_norm, fields = _said(checkout, CLIP_NORM)
    assert clip_norm == 1
    assert set(read_params(checkout.folder / "dvc.yaml")["stages"]["train"]["params"]) == set(fields)


def test_a_model_as_extending_says(follow: Callable[[str], Checkout]) -> None:
    checkout = follow("A model")
    _set_params(checkout.folder / PARAMS, {"epochs": 1})
    _run_stages(checkout, "download", "preprocess", "train")
    assert read_model_card(checkout.folder / MODEL_CARD).model == "strided_cnn"
    assert len(read_history(checkout.folder / HISTORY)) == 1
    parameters = 3 * 3 * 32 + 32 + 3 * 3 * 32 * 64 + 64 + 64 * 10 + 10
    assert read_training(checkout.folder / TRAINING).parameters == parameters


def test_a_data_set_as_extending_says(follow: Callable[[str], Checkout]) -> None:
    checkout = follow("A data set")
    _run_stages(checkout, "download", "preprocess")
    card = read_dataset(checkout.folder / DATASET)
    assert (card.dataset, card.class_names) == ("stripes", ("horizontal", "vertical"))
    assert (card.n_train, card.n_test, card.image_shape) == (320, 80, (8, 8, 1))


OVERCONFIDENCE = """
import numpy as np
from reprocnn.artifacts.scores import METRICS, write_scores
from reprocnn.evaluation.metrics import overall
write_scores(METRICS, overall(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0]), 5))
"""


def test_a_metric_as_extending_says(follow: Callable[[str], Checkout]) -> None:
    checkout = follow("A metric")
    checkout.run("python", "-c", OVERCONFIDENCE, PYTHONPATH=str(checkout.folder / "src"))
    assert read_json(checkout.folder / METRICS)["overconfidence"] == 0.125  # the mean of 0.5 and 0.75, minus 0.5


def test_a_figure_as_extending_says(follow: Callable[[str], Checkout]) -> None:
    checkout = follow("A figure")
    names = tuple(read_per_class(checkout.folder / PER_CLASS)["class"])
    write_model_card(checkout.folder / MODEL_CARD, ModelCard("data", "net", names, (8, 8, 1)))
    write_bytes(checkout.folder / MODEL, b"")
    row = pd.DataFrame({"index": [0], "actual": [names[0]], "predicted": [names[1]], "confidence": [0.9]})
    row["file"] = "digits#0"
    images = np.zeros((1, 8, 8, 1), np.uint8)
    write_examples(checkout.folder / EXAMPLES, Examples(row, images))
    row = row.assign(kind="mistake", second=names[0], second_confidence=0.1, explained=names[1], probability=0.9)
    write_explanations(checkout.folder / EXPLANATIONS, Explanations(row, images, images[..., 0]))
    row = row.assign(label=names[0], suggested=names[1], score=0.9, image="0" * 16)
    write_label_errors(checkout.folder / LABEL_ERRORS, LabelErrors(row, images))
    write_predictions(checkout.folder / PREDICTIONS, row)
    _run_stages(checkout, "download", "preprocess", "plot")
    assert (checkout.folder / FIGURES / "learning_rate.png").exists()


# The dev container


def test_the_dev_container_is_made_for_this_project() -> None:
    container = json.loads(CONFIGURATION.read_text())
    python = re.findall(r"/python:([\d.]+)", container["image"])[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert python in SpecifierSet(project["requires-python"])
    assert container["postCreateCommand"] == "make setup"
    assert container["remoteEnv"]["PATH"].startswith("${containerWorkspaceFolder}/.venv/bin:")
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"
    assert container["forwardPorts"] == [cli._parser().parse_args(["ui"]).port]
