"""Commands around the pipeline: models and recipes, results, MLflow runs, and a check of the checkout."""

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
    if status := exits.status_of(lambda: _run(parsed)):
        sys.exit(status)


def _run(parsed: argparse.Namespace) -> None:
    if not Path(".dvc").is_dir() and parsed.run is not _doctor:
        raise UserError(f"{Path.cwd()} is not a checkout of this project", "cd to it, or `python -m reprocnn doctor`")
    parsed.run(parsed)


def _doctor(_: argparse.Namespace) -> None:
    doctor.doctor()


def _shape(text: str) -> tuple[int, int, int]:
    """Parse a shape such as `32x32x3`."""
    with suppress(ValueError):
        height, width, channels = map(int, text.split("x"))
        if 4 <= min(height, width) <= max(height, width) <= 256 and channels in (1, 3):
            return height, width, channels
    raise argparse.ArgumentTypeError(f"expected 4x4x1 to 256x256x3, found '{text}'")


def _count(text: str) -> int:
    """Parse a number of classes, at least 2."""
    with suppress(ValueError):
        if int(text) >= 2:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 2, found '{text}'")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reprocnn", description=__doc__, epilog="`python -m reprocnn COMMAND --help` explains a command."
    )
    parser.set_defaults(settings={})
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_models(commands)
    _add_results(commands)
    _add_runs(commands)
    command = _add(commands, "doctor", "check the checkout, its stores and the machine; print a fix per problem", "")
    command.set_defaults(run=_doctor, settings=QUICK)
    return parser


def _add(commands: "_Commands", name: str, does: str, example: str) -> argparse.ArgumentParser:
    """Add a command; `example` is its arguments in an example for its help, empty for none."""
    epilog = f"example: python -m reprocnn {example}" if example else None
    return commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=epilog)


def _add_models(commands: "_Commands") -> None:
    """Add the commands about models and recipes."""
    command = _add(commands, "models", "list the models: size, cost, source, options", "models --image 28x28x1")
    command.add_argument(
        "--image", type=_shape, default=(32, 32, 3), help="height x width x channels of the images (default: 32x32x3)"
    )
    command.add_argument("--classes", type=_count, default=10, help="number of classes (default: 10)")
    command.set_defaults(run=lambda a: models.models(a.image, a.classes))

    command = _add(
        commands, "preset", "set params.yaml to a complete recipe; without a name: list the recipes", "preset fast"
    )
    command.add_argument("name", nargs="?", help="name of the recipe")
    command.set_defaults(run=lambda a: preset.preset(a.name) if a.name else preset.presets())


def _add_results(commands: "_Commands") -> None:
    """Add the commands about a result of the pipeline."""
    command = _add(commands, "summary", "print the result in the workspace and where its files are", "")
    command.set_defaults(run=lambda _: summary.summary())

    command = _add(
        commands, "verify", "run a commit again in a clone and compare each output, byte for byte", "verify HEAD~1"
    )
    command.add_argument("revision", nargs="?", default="HEAD", help="a commit or an experiment (default: HEAD)")
    command.set_defaults(run=lambda a: verify.verify(a.revision))

    command = _add(
        commands, "reproduce", "check out the code, params and data that made an MLflow run", "reproduce 3f2a91"
    )
    command.add_argument("run_id", help="ID of the run, or its first characters")
    command.add_argument(
        "--folder", type=os.path.abspath, help="folder to check out to (default: a new temporary folder)"
    )
    command.set_defaults(run=lambda a: reproduce.reproduce(a.run_id, a.folder))


def _add_runs(commands: "_Commands") -> None:
    """Add the commands about MLflow runs."""
    command = _add(commands, "ui", "show the runs in the MLflow UI", "ui --port 8080")
    command.add_argument(
        "--port",
        type=int,
        default=5000,
        help="port to listen on (default: 5000, or a free one if it is taken; 0: a free one)",
    )
    command.set_defaults(run=lambda a: ui.ui(a.port))

    command = _add(commands, "runs", "list the MLflow run of each DVC experiment, and what it lacks", "runs NAME")
    command.add_argument(
        "revision", nargs="*", help="experiments or commits (default: all experiments and the workspace)"
    )
    command.set_defaults(run=lambda a: sync.runs(a.revision))

    command = _add(commands, "sync", "add to MLflow what is missing there", "sync --rev NAME")
    command.add_argument(
        "--rev", nargs="+", default=[], help="experiments or commits (default: all experiments and the workspace)"
    )
    command.set_defaults(run=lambda a: sync.sync(a.rev))
