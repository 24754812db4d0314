"""Commands around the pipeline: models and recipes, results, MLflow runs, and a check of the checkout."""

import argparse
import inspect
import math
import os
import sys
from contextlib import suppress
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reprocnn import environment
from reprocnn.commands import (
    compare,
    export,
    manifest,
    models,
    preset,
    promote,
    registry,
    registry_copy,
    reproduce,
    summary,
    sync,
    ui,
    verify,
)
from reprocnn.commands.doctor import doctor
from reprocnn.commands.doctor.runs import QUICK
from reprocnn.errors import UserError
from reprocnn.export.formats import FORMATS
from reprocnn.ledger import store
from reprocnn.run import exits, state
from reprocnn.serving.settings import TOKEN, Limits, Settings

if TYPE_CHECKING:  # argparse has no public name for it
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: list[str] | None = None) -> None:
    """Run a command; see `python -m reprocnn --help`."""
    parsed = _parser().parse_args(arguments)
    parsed.start = os.getcwd()  # noqa: PTH109  the folder to which paths in the arguments are relative
    environment.prepare()  # before a library reads it
    os.chdir(state.repository())
    os.environ.update(parsed.settings)  # before the first thread
    os.environ.update(store.settings())
    exits.exit_on_sigterm()
    if status := exits.run(lambda: _run(parsed)):
        sys.exit(status)


def _run(parsed: argparse.Namespace) -> None:
    if not parsed.anywhere:
        state.check_checkout()
    parsed.run(parsed)


def _doctor(_: argparse.Namespace) -> None:
    doctor.run_checks()


def _audit(arguments: argparse.Namespace) -> None:
    from reprocnn.commands.audit.audit import audit  # imports scikit-learn and pandas, which take a second

    audit(arguments.json, not arguments.no_training, arguments.limit)


def _image_shape(text: str) -> tuple[int, int, int]:
    """Parse an image shape such as `32x32x3`."""
    with suppress(ValueError):
        height, width, channels = map(int, text.split("x"))
        if 4 <= min(height, width) <= max(height, width) <= 256 and channels in (1, 3):
            return height, width, channels
    raise argparse.ArgumentTypeError(f"expected height x width x channels, 4x4x1 to 256x256x3, found '{text}'")


def _fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found '{text}'")


def _above_zero(text: str) -> float:
    """Parse a number above 0."""
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number above 0, found '{text}'")


def _at_least_one(text: str) -> int:
    """Parse a whole number of at least 1."""
    with suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found '{text}'")


def _port(text: str) -> int:
    """Parse the number of a port."""
    with suppress(ValueError):
        if 0 <= int(text) <= 65535:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, found '{text}'")


def _name(text: str) -> str:
    """Parse a name or path; empty, as from an unset variable of the shell, it is a mistake."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name, found ''")
    return text


def _names(text: str) -> list[str]:
    """Parse names that commas separate."""
    return [_name(name.strip()) for name in text.split(",")]


def _tracking_uri(text: str) -> dict[str, str]:
    """Make the setting that names an MLflow store."""
    return {"MLFLOW_TRACKING_URI": _name(text)}


def _model(text: str) -> str:
    """Make the path of a model independent of the working folder."""
    return _name(text) if text.startswith("models:/") else str(Path(text).absolute())


def _class_count(text: str) -> int:
    """Parse a number of classes, at least 2."""
    with suppress(ValueError):
        if int(text) >= 2:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least 2, found '{text}'")


class _Help(NamedTuple):
    """The help of a command.

    Args:
        summary: what it does, for the list of commands.
        details: what it does, for its own help.
        examples: the arguments of each example, perhaps with a comment.
    """

    summary: str
    details: str
    examples: tuple[str, ...] = ("",)


_HELP = {
    "models": _Help(
        "list the models: size, cost, source, options",
        """
        List the models that `model` in params.yaml can name. For each model, and for each of its depths or widths:
        the number of convolutions and dense layers, the trained parameters, and the floating-point operations of a
        forward pass; for each model also its source, its accuracy, and the options that it supports.
        """,
        ("--image 28x28x1", "--image 64x64x3 --classes 100"),
    ),
    "preset": _Help(
        "set params.yaml to a recipe; without a name: list the recipes",
        """
        Set params.yaml to a recipe from presets/ and print each value that changed. Options of the model and of
        training that the recipe does not set get their defaults. Data set, test split, seed and machine keep their
        values unless the recipe sets them. Without a name: list the recipes and the accuracy that each reached.
        """,
        (" # list the recipes", "fast  # then run it: dvc exp run -S dataset=cifar10"),
    ),
    "predict": _Help(
        "say what is in pictures",
        """
        Print the class of each picture and its confidence, on standard output. The model is models/model.onnx of this
        checkout, or another one by --model, --rev or --run. Pictures are prepared as `dataset: folder` does. Files that
        can't be read are reported on the error stream; the others are answered, and the exit status is 1.
        """,
        (
            "cat.jpg",
            "photos/ more.zip --top 5 --json > answers.jsonl",
            "cat.jpg --rev EXPERIMENT --calibrated --min-confidence 0.8",
            "- < cat.jpg",
            "scan.tif --white 4095  # 12 bits",
        ),
    ),
    "serve": _Help(
        "answer pictures over HTTP",
        """
        Serve a model at http://HOST:PORT until Ctrl-C: a page where a picture can be dropped, POST /predict, and POST
        /invocations as `mlflow models serve` has it; /docs explains them. The model is models/model.onnx of this
        checkout, or another one by --model, --rev or --run; where its file is replaced, the new one is served. Clients
        have to send the token in the environment variable REPROCNN_SERVE_TOKEN. Without one, only programs on this
        machine can connect. It needs the packages of the extra `serve`: make serve installs them.
        """,
        ("", "--port 8080 --model models:/digits@champion", "--host 0.0.0.0  # with REPROCNN_SERVE_TOKEN"),
    ),
    "sweep": _Help(
        "run many experiments whose parameters Optuna proposes, on one machine or a cluster",
        """
        Run the trials that a file describes: the goal, how many trials, and the values of each parameter. Each trial is
        a DVC experiment on the last commit, in a clone of its own; `dvc exp show` lists it. Optuna proposes the
        parameters and prunes hopeless trials, Ray starts trials where cores are free. Ctrl-C stops the sweep; the same
        command again continues it. Another machine of a Ray cluster needs a tracking server, a Git remote and a DVC
        remote. It needs the packages of the extra `sweep`: make setup EXTRA=--extra=sweep installs them.
        """,
        ("sweep.yaml", "sweep.yaml --address auto  # a Ray cluster", "sweep.yaml --address ray://head:10001"),
    ),
    "manifest": _Help(
        "list the files of a large folder with their hashes, so that DVC needn't hash it",
        """
        Write the size and sha256 of each file in a folder of images to a table, FOLDER.manifest.csv beside it. With it
        as `folder` in params.yaml, DVC hashes only this file, and download checks each image that it reads. Write the
        manifest again after each change of the images.
        """,
        ("data/pets  # then: dvc exp run -S dataset=folder -S folder=data/pets.manifest.csv",),
    ),
    "summary": _Help(
        "print the result in the workspace and where its files are",
        "Print the test accuracy of the result in the workspace, and where its report, figures, metrics and model are.",
    ),
    "compare": _Help(
        "compare experiments: parameters, metrics, seeds, and which differences are more than chance",
        """
        Print a row per experiment: the parameters that differ, accuracies, the 95 % interval of the test accuracy
        (Wilson), the time of its epochs, and its size; then mean and standard deviation of the experiments that differ
        only in `seed`. With two experiments: McNemar's exact test and a bootstrap interval on the test images that both
        have, and the images that only one has right. With more: the best against each, with Holm's correction.
        """,
        ("", "HEAD EXPERIMENT", "--group-by model,epochs", "--json > comparison.json", "--html"),
    ),
    "audit": _Help(
        "find copies, wrong labels, and dark, blurred or tiny images in the data",
        """
        List what a person should look at in the data that download wrote: copies of images within and across the
        splits, copies with different labels, labels that are probably wrong, and dark, bright, blank, blurred, tiny or
        long images; and write reports/audit.html, where images can be ticked to leave them out or to change their
        labels. Labels of validation and test images are checked with the trained model, those of training images
        with four small nets that are trained for this, which takes minutes on 50,000 images; the result is kept.
        """,
        ("", "--no-training --json > findings.jsonl"),
    ),
    "export": _Help(
        "convert the model to LiteRT, SavedModel, OpenVINO or int8, and compare it",
        """
        Convert models/model.keras to another format, and compare it on all validation images: largest difference of a
        probability, accuracy, size, and latency on this CPU. If a probability differs by more than 1e-4, nothing is
        written and the exit status is 1. onnx_int8 may differ: it is models/model.onnx with weights and activations of
        8 bits, in the ranges that training images have. Git ignores the file, and DVC neither caches nor deletes it.
        Another training does not update it: export again.
        """,
        ("--format litert", "--format onnx_int8 --output ~/small.onnx"),
    ),
    "verify": _Help(
        "run a commit again in a clone and compare each output",
        """
        Run the pipeline of a commit or experiment again in a temporary clone, and compare each output with its
        dvc.lock, byte for byte. Uncommitted changes are ignored, and the workspace is not changed. If outputs
        differ, print likely reasons, for example another kind of CPU, and exit with status 1.
        """,
        (" # the last commit", "HEAD~1", "EXPERIMENT  # a name that `dvc exp show` lists"),
    ),
    "reproduce": _Help(
        "check out what made an MLflow run",
        """
        Check out the commit, the uncommitted changes and the images that made an MLflow run to a new folder, and
        print the commands that repeat the run there. The workspace is not changed.
        """,
        ("3f2a91", "3f2a91 --folder ../run-3f2a91"),
    ),
    "promote": _Help(
        "register a model in MLflow, and let an alias such as `champion` point to it",
        """
        Register the model of a result in MLflow, with its commit, experiment, data and metrics as tags, and let the
        alias point to it. Of several results, it is the one with the best validation accuracy. It is refused if its
        test data differ from those of the model that the alias points to, or if it is worse: the 95 % interval of the
        difference in test accuracy is below zero. A model that is registered already gets no second version.
        """,
        (" # the result in the workspace", "EXPERIMENT", "--best --alias challenger --name digits"),
    ),
    "registry": _Help(
        "list the registered models: versions, aliases, and where each comes from",
        """
        Print the versions of the models in MLflow's registry, newest first: aliases, the experiment or commit that
        `promote` registered, and its validation and test accuracy.
        """,
        ("", "digits --json"),
    ),
    "registry copy": _Help(
        "copy registered models and their aliases to another MLflow store, such as the server of a team",
        """
        Copy the versions of registered models from one MLflow store to another: their tags, descriptions, files and
        aliases. Each version belongs to the run of its result there; `sync` makes that run first if DVC has the result.
        A version that the other store has already is not copied again, so the command can be repeated, and completes
        what was interrupted. Nothing in the store that is copied from changes.
        """,
        ("--to http://server:5000", "digits --from sqlite:////data/old/mlflow.db --force"),
    ),
    "ui": _Help(
        "show the runs in the MLflow UI",
        """
        Serve the MLflow UI at http://127.0.0.1:PORT until Ctrl-C. Experiments without a run get one first. If
        MLFLOW_TRACKING_URI names a server, print its address instead.
        """,
        ("", "--port 8080"),
    ),
    "runs": _Help(
        "list the MLflow run of each DVC experiment and what is missing from it",
        """
        Print the MLflow run of each DVC experiment and of the workspace: its ID and what is missing from it, or
        `no run`. `sync` adds what is missing.
        """,
        ("", "EXPERIMENT"),
    ),
    "sync": _Help(
        "add to MLflow what is missing there",
        """
        Add to MLflow what is missing there: runs of experiments that DVC restored from its cache or that a colleague
        made, and epochs, metrics and files that were not uploaded, for example because the server was down. Without
        --rev, also mark the runs of killed processes as killed.
        """,
        ("", "--rev EXPERIMENT"),
    ),
    "doctor": _Help(
        "check the checkout, its stores and the machine; print a fix per problem",
        """
        Check Python and its packages, Git, params.yaml, dvc.lock, DVC's queue and cache, the disk, MLflow,
        checkpoints, the CPU and the GPU. Each line begins with `ok`, `note` (worth knowing) or `wrong`; the lines
        below it say how to fix it. Nothing is changed. The exit status is 1 if something is wrong.
        """,
    ),
}


class _Parser(argparse.ArgumentParser):
    """Parses commands of two words, too, such as `registry copy`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Join the first two words if they are a command."""
        words = sys.argv[1:] if args is None else list(args)
        if (command := " ".join(words[:2])) in _HELP:
            words[:2] = [command]
        return super().parse_known_args(words, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m reprocnn",
        description=f"{__doc__}\nThe pipeline itself runs with `dvc repro`, an experiment with `dvc exp run`.",
        epilog="`python -m reprocnn COMMAND --help` explains a command and its arguments, with examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(settings={}, anywhere=False)
    commands = parser.add_subparsers(
        required=True, title="commands", metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    _add_models(commands)
    _add_predict(commands)
    _add_serve(commands)
    _add_manifest(commands)
    _add_sweep(commands)
    _add_results(commands)
    _add_registry(commands)
    _add_runs(commands)
    _add(commands, "doctor").set_defaults(run=_doctor, settings=QUICK, anywhere=True)
    return parser


def _add(commands: "_Commands", name: str) -> argparse.ArgumentParser:
    """Add a command with its help."""
    summary, details, examples = _HELP[name]
    lines = [f"  python -m reprocnn {name} {example}".rstrip() for example in examples]
    return commands.add_parser(
        name,
        help=summary,
        description=inspect.cleandoc(details),
        epilog="\n".join([f"example{'s' if len(lines) > 1 else ''}:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_models(commands: "_Commands") -> None:
    """Add the commands about models and recipes."""
    command = _add(commands, "models")
    shape = "height x width x channels of the images (default: 32x32x3)"
    command.add_argument("--image", type=_image_shape, default=(32, 32, 3), metavar="HxWxC", help=shape)
    command.add_argument(
        "--classes", type=_class_count, default=10, metavar="N", help="number of classes, at least 2 (default: 10)"
    )
    command.set_defaults(run=lambda a: models.print_models(a.image, a.classes))

    command = _add(commands, "preset")
    command.add_argument("name", nargs="?", help="name of the recipe")
    command.set_defaults(run=lambda a: preset.apply_preset(a.name) if a.name else preset.list_presets())


def _add_sweep(commands: "_Commands") -> None:
    """Add the command `sweep`."""
    command = _add(commands, "sweep")
    command.add_argument("file", type=Path, metavar="FILE", help="YAML file with the goal, the trials and the space")
    address = "where Ray runs: local, auto, or the address of a cluster (default: local, this machine)"
    command.add_argument("--address", type=_name, default="local", metavar="ADDRESS", help=address)
    remote = "Git remote through which several machines exchange experiments (default: origin)"
    command.add_argument("--git-remote", type=_name, default="origin", metavar="NAME", help=remote)
    shared = "folder that all machines see, for checkpoints: a trial whose machine dies resumes on another one"
    command.add_argument("--shared", type=Path, metavar="FOLDER", help=shared)
    command.set_defaults(run=_sweep, settings={"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"})


def _sweep(parsed: argparse.Namespace) -> None:
    if absent := [name for name in ("cmaes", "optuna", "ray") if not find_spec(name)]:
        raise UserError(f"`sweep` needs the packages {', '.join(absent)}", "make setup EXTRA=--extra=sweep")
    from reprocnn.commands.sweep.sweep import sweep

    shared = Path(parsed.start, parsed.shared) if parsed.shared else None
    sweep(Path(parsed.start, parsed.file), parsed.address, parsed.git_remote, shared)


def _add_manifest(commands: "_Commands") -> None:
    """Add the command `manifest`."""
    command = _add(commands, "manifest")
    command.add_argument("folder", type=os.path.abspath, metavar="FOLDER", help="the folder of images")
    output = "file to write, which ends with .manifest.csv (default: FOLDER.manifest.csv)"
    command.add_argument("--output", type=os.path.abspath, metavar="FILE", help=output)
    command.set_defaults(run=lambda a: manifest.write_manifest(a.folder, a.output), anywhere=True)


def _add_audit(commands: "_Commands") -> None:
    """Add the command `audit`."""
    command = _add(commands, "audit")
    command.add_argument("--json", action="store_true", help="print a JSON object per finding, and write no page")
    training = "do not train nets: the labels of training images are not checked"
    command.add_argument("--no-training", action="store_true", help=training)
    limit = "findings of each kind to print (default: 5)"
    command.add_argument("--limit", type=_at_least_one, default=5, metavar="N", help=limit)
    command.set_defaults(run=_audit)


def _add_results(commands: "_Commands") -> None:
    """Add the commands about a result of the pipeline."""
    _add(commands, "summary").set_defaults(run=lambda _: summary.print_summary())

    command = _add(commands, "compare")
    names = "experiments or commits, or `workspace` (default: HEAD, its experiments and the workspace)"
    command.add_argument("revision", nargs="*", type=_name, metavar="EXPERIMENT", help=names)
    groups = "parameters by which experiments are grouped (default: all but `seed`)"
    command.add_argument("--group-by", type=_names, default=[], metavar="PARAM,...", help=groups)
    best = "the split by whose accuracy the best of several is chosen (default: validation)"
    command.add_argument("--best-by", choices=("validation", "test"), default="validation", help=best)
    command.add_argument("--json", action="store_true", help="print JSON")
    page = "also write reports/compare.html: the tables, curves and parallel coordinates, on one page without network"
    command.add_argument("--html", action="store_true", help=page)
    command.set_defaults(run=lambda a: compare.compare(a.revision, a.group_by, a.best_by, a.json, a.html))

    _add_audit(commands)

    command = _add(commands, "export")
    command.add_argument("--format", required=True, choices=FORMATS, help="the format to write")
    defaults = ", ".join(str(row.path) for row in FORMATS.values())
    output = f"file or folder to write, or a link to it; an earlier export is replaced (default: {defaults})"
    command.add_argument("--output", type=os.path.abspath, metavar="PATH", help=output)
    command.set_defaults(run=lambda a: export.export(a.format, a.output))

    command = _add(commands, "verify")
    command.add_argument("revision", nargs="?", default="HEAD", help="commit or experiment (default: HEAD)")
    command.set_defaults(run=lambda a: verify.verify(a.revision))

    command = _add(commands, "reproduce")
    command.add_argument("run_id", help="ID of the run, or its first characters; `runs` and the MLflow UI show it")
    folder = "new or empty folder to check out to (default: a new temporary folder)"
    command.add_argument("--folder", type=os.path.abspath, help=folder)
    command.set_defaults(run=lambda a: reproduce.reproduce(a.run_id, a.folder))


def _add_predict(commands: "_Commands") -> None:
    """Add the command `predict`."""
    command = _add(commands, "predict")
    command.add_argument(
        "pictures", nargs="+", type=_name, metavar="PICTURE", help="image, folder or archive; - is standard input"
    )
    _add_model_choice(command)
    command.add_argument("--top", type=_at_least_one, default=3, metavar="K", help="classes per picture (default: 3)")
    output = command.add_mutually_exclusive_group()
    for name, text in (("json", "print a line of JSON per picture"), ("csv", "print a CSV table")):
        output.add_argument(f"--{name}", dest="format", action="store_const", const=name, default="text", help=text)
    unsure = "mark answers with a lower confidence as unsure (default: 0)"
    command.add_argument("--min-confidence", type=_fraction, default=0.0, metavar="C", help=unsure)
    calibrated = "apply the temperature that was fitted to validation images, so that confidences agree with accuracy"
    command.add_argument("--calibrated", action="store_true", help=calibrated)
    command.set_defaults(run=_predict, anywhere=True)


def _add_model_choice(command: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a trained model."""
    model = command.add_mutually_exclusive_group()
    uri = "ONNX file, or models:/NAME@ALIAS in MLflow (default: models/model.onnx)"
    model.add_argument("--model", type=_model, help=uri)
    model.add_argument("--rev", type=_name, metavar="REVISION", help="model of this experiment or commit")
    model.add_argument("--run", type=_name, metavar="RUN_ID", dest="run_id", help="model of this MLflow run")
    white = "value of white of images with more than 8 bits, if the file lacks it (default: as in training)"
    command.add_argument("--white", type=_above_zero, metavar="VALUE", help=white)


def _check_checkout(parsed: argparse.Namespace) -> None:
    """Check that this is a checkout if the chosen model is in one."""
    of_own_store = (parsed.model or "").startswith("models:/") and store.tracking_uri() == store.own_uri()
    if not parsed.model or of_own_store:
        state.check_checkout()


def _predict(parsed: argparse.Namespace) -> None:
    from reprocnn.commands import predict  # imports ONNX Runtime, which few commands need

    _check_checkout(parsed)
    question = predict.Question(
        pictures=parsed.pictures,
        folder=parsed.start,
        top=parsed.top,
        format=parsed.format,
        min_confidence=parsed.min_confidence,
        calibrated=parsed.calibrated,
        white=parsed.white,
    )
    with predict.find_model(parsed.model, parsed.rev, parsed.run_id) as path:
        predict.predict(path, question)


def _add_registry(commands: "_Commands") -> None:
    """Add the commands about MLflow's registry."""
    command = _add(commands, "promote")
    names = "experiments, commits or MLflow runs (default: the result in the workspace)"
    command.add_argument("result", nargs="*", type=_name, metavar="EXPERIMENT|RUN", help=names)
    best = "choose among HEAD, its experiments and the workspace"
    command.add_argument("--best", action="store_true", help=best)
    alias = "the alias that is to point to the model (default: champion)"
    command.add_argument("--alias", type=_name, default="champion", help=alias)
    command.add_argument("--name", type=_name, help="name of the registered model (default: that of the data set)")
    force = "promote it even if it would be refused; a tag of the version says why"
    command.add_argument("--force", action="store_true", help=force)
    command.set_defaults(run=_promote)

    command = _add(commands, "registry")
    command.add_argument("name", nargs="?", type=_name, metavar="NAME", help="a registered model (default: all)")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=lambda a: registry.print_versions(a.name, a.json))

    command = _add(commands, "registry copy")
    command.add_argument("name", nargs="?", type=_name, metavar="NAME", help="a registered model (default: all)")
    source = "the store to copy from (default: mlflow.db in the checkout)"
    command.add_argument("--from", type=_name, dest="source", metavar="URI", help=source)
    to = "the store to copy to (default: MLFLOW_TRACKING_URI)"
    command.add_argument("--to", type=_tracking_uri, dest="settings", default={}, metavar="URI", help=to)
    command.add_argument("--force", action="store_true", help="move aliases that point to another version there")
    command.set_defaults(run=lambda a: registry_copy.copy(a.name, a.source, a.force))


def _promote(parsed: argparse.Namespace) -> None:
    target = promote.Target(name=parsed.name, alias=parsed.alias, force=parsed.force)
    promote.promote(parsed.result, parsed.best, target)


def _add_serve(commands: "_Commands") -> None:
    """Add the command `serve`."""
    command = _add(commands, "serve")
    _add_model_choice(command)
    host = "address to listen on; other machines can connect to 0.0.0.0 (default: 127.0.0.1)"
    command.add_argument("--host", type=_name, default="127.0.0.1", help=host)
    port = "port to listen on; for 0, a free one is chosen (default: 8000)"
    command.add_argument("--port", type=_port, default=8000, help=port)
    watch = "seconds between two looks for a new model (default: 5)"
    command.add_argument("--watch", type=_above_zero, default=5.0, metavar="S", help=watch)
    for limit in fields(Limits):
        text = f"{limit.metadata['help']} (default: {limit.default:,})"
        command.add_argument(f"--max-{limit.name}", type=_at_least_one, default=limit.default, metavar="N", help=text)
    command.set_defaults(run=_serve, anywhere=True)


def _serve(parsed: argparse.Namespace) -> None:
    from reprocnn.commands import serve  # imports ONNX Runtime, which few commands need

    _check_checkout(parsed)
    chosen = serve.Choice(model=parsed.model, revision=parsed.rev, run_id=parsed.run_id, white=parsed.white)
    serve.serve(
        chosen,
        Settings(
            host=parsed.host,
            port=parsed.port,
            watch=parsed.watch,
            token=os.environ.get(TOKEN),
            limits=Limits(**{limit.name: getattr(parsed, f"max_{limit.name}") for limit in fields(Limits)}),
        ),
    )


def _add_runs(commands: "_Commands") -> None:
    """Add the commands about MLflow runs."""
    command = _add(commands, "ui")
    port = "port to listen on; if it is taken, and for 0, a free one is chosen (default: 5000)"
    command.add_argument("--port", type=int, default=5000, help=port)
    command.set_defaults(run=lambda a: ui.serve_ui(a.port))

    names = "experiments or commits (default: every experiment and the workspace)"
    command = _add(commands, "runs")
    command.add_argument("revision", nargs="*", help=names)
    command.set_defaults(run=lambda a: sync.print_runs(a.revision))

    command = _add(commands, "sync")
    command.add_argument("--rev", nargs="+", default=[], metavar="REVISION", help=names)
    command.set_defaults(run=lambda a: sync.sync(a.rev))
