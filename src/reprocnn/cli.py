"""`python -m reprocnn`: what is not a stage."""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn import environment
from reprocnn.commands import models, preset, reproduce, summary, sync, ui, verify
from reprocnn.commands.doctor import doctor
from reprocnn.commands.doctor.runs import QUICK
from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.run import exits, state

if TYPE_CHECKING:  # argparse has no public name for it
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: list[str] | None = None) -> None:
    """Run a command; see `python -m reprocnn --help`."""
    parsed = _parser().parse_args(arguments)
    environment.prepare()  # before the libraries read it
    os.chdir(state.repository())
    os.environ.update(store.settings() | parsed.settings)  # before the first thread
    exits.exit_on_sigterm()
    if status := exits.run(lambda: _run(parsed)):
        sys.exit(status)


def _run(parsed: argparse.Namespace) -> None:
    if not Path(".dvc").is_dir() and parsed.run is not _doctor:
        raise UserError(f"{Path.cwd()} is not a checkout of this project", "cd to it, or `python -m reprocnn doctor`")
    parsed.run(parsed)


def _doctor(_: argparse.Namespace) -> None:
    doctor.doctor()


def _shape(text: str) -> tuple[int, int, int]:
    """`32x32x3` as numbers."""
    with suppress(ValueError):
        height, width, channels = map(int, text.split("x"))
        if 4 <= min(height, width) <= max(height, width) <= 256 and channels in (1, 3):
            return height, width, channels
    raise argparse.ArgumentTypeError(f"expected 4x4x1 to 256x256x3, found '{text}'")


def _count(text: str) -> int:
    """A whole number from 2."""
    with suppress(ValueError):
        if int(text) >= 2:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 2, found '{text}'")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reprocnn", description=__doc__)
    parser.set_defaults(settings={})
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_models(commands)
    _add_results(commands)
    _add_runs(commands)
    command = commands.add_parser("doctor", help="check the checkout, its stores, the machine; each line has its fix")
    command.set_defaults(run=_doctor, settings=QUICK)
    return parser


def _add_models(commands: "_Commands") -> None:
    """Add what concerns models and recipes."""
    command = commands.add_parser(
        "models", help="list the models: what they take, their size and cost, what they reach"
    )
    command.add_argument(
        "--image", type=_shape, default=(32, 32, 3), help="height x width x channels (default: 32x32x3)"
    )
    command.add_argument("--classes", type=_count, default=10, help="length of the output (default: 10)")
    command.set_defaults(run=lambda a: models.models(a.image, a.classes))

    command = commands.add_parser("preset", help="set params.yaml to a named recipe; without a name: list them")
    command.add_argument("name", nargs="?", help="of the preset")
    command.set_defaults(run=lambda a: preset.preset(a.name) if a.name else preset.presets())


def _add_results(commands: "_Commands") -> None:
    """Add what concerns a result of the pipeline."""
    command = commands.add_parser("summary", help="say what the last run made and where to look")
    command.set_defaults(run=lambda _: summary.summary())

    command = commands.add_parser("verify", help="run the pipeline of a commit again in a clone and compare each out")
    command.add_argument("revision", nargs="?", default="HEAD", help="a commit or an experiment (default: HEAD)")
    command.set_defaults(run=lambda a: verify.verify(a.revision))

    command = commands.add_parser("reproduce", help="check out what made an MLflow run")
    command.add_argument("run_id", help="the id of the run, or its first characters")
    command.add_argument("--folder", type=os.path.abspath, help="where to (default: a new folder for temporary files)")
    command.set_defaults(run=lambda a: reproduce.reproduce(a.run_id, a.folder))


def _add_runs(commands: "_Commands") -> None:
    """Add what concerns MLflow's runs."""
    command = commands.add_parser("ui", help="show the runs in the MLflow UI")
    command.add_argument("--port", type=int, default=5000, help="where to listen (default: 5000, or a free one)")
    command.set_defaults(run=lambda a: ui.ui(a.port))

    command = commands.add_parser("runs", help="say which MLflow run each DVC experiment has, and what it lacks")
    command.add_argument("revision", nargs="*", help="an experiment or a commit (default: all, and the workspace)")
    command.set_defaults(run=lambda a: sync.runs(a.revision))

    command = commands.add_parser("sync", help="add to MLflow what it lacks of what DVC has")
    command.add_argument("--rev", nargs="+", default=[], help="experiments, commits (default: all, and the workspace)")
    command.set_defaults(run=lambda a: sync.sync(a.rev))
