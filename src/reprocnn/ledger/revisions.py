"""Read results of the pipeline from the workspace, from DVC experiments, and from commits."""

import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprocnn.artifacts.figures import FIGURES
from reprocnn.artifacts.files import content_md5
from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.split import RAW_TEST
from reprocnn.errors import UserError
from reprocnn.ledger.git import DIFF, GENERATED, Changes, git, show, uncommitted
from reprocnn.ledger.git import clone as git_clone
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, NO_EXPERIMENT, NO_EXPERIMENT_TAGS, origin, run_name
from reprocnn.ledger.record import PICTURES
from reprocnn.masking import masked
from reprocnn.params import PARAMS, read_params
from reprocnn.run.state import repository

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

LOCK = Path("dvc.lock")
_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")


@dataclass(frozen=True)
class Result:
    """A result of the pipeline.

    Args:
        name: the name of the experiment or revision; for the workspace, the name of its run.
        commit: the commit of the result; empty for the workspace.
        origin: the tags of its run that say where it comes from.
    """

    name: str
    commit: str
    origin: dict[str, str]

    @property
    def where(self) -> str:
        """The abbreviated commit, or `workspace`."""
        return self.commit[:7] if self.commit else "workspace"

    @cached_property
    def stages(self) -> dict[str, Any]:
        """The stages of its dvc.lock.

        Raises:
            UserError: dvc.lock is missing or incomplete.
        """
        return lock_of(self.commit)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that made it."""
        return params_of(self.stages)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The md5 of each output in dvc.lock, path -> md5.

        Raises:
            UserError: dvc.lock is missing or incomplete.
        """
        found = {out["path"]: out["md5"] for stage in self.stages.values() for out in stage.get("outs", [])}
        if MODEL.as_posix() not in found:
            raise UserError(f"{LOCK} has no {MODEL}", "dvc repro")
        return found

    @cached_property
    def train_deps(self) -> dict[str, str]:
        """The md5 of each dependency of the train stage, path -> md5."""
        return self._deps("train")

    @property
    def test_md5(self) -> str:
        """The md5 of the test images."""
        return self._deps("evaluate").get(RAW_TEST.as_posix(), "")

    @property
    def tested_model_md5(self) -> str:
        """The md5 of the model that its test metrics are of; it is another one if only train ran."""
        return self._deps("evaluate").get(MODEL.as_posix(), "")

    def _deps(self, stage: str) -> dict[str, str]:
        return {dep["path"]: dep["md5"] for dep in self.stages[stage].get("deps", [])}

    @property
    def model_md5(self) -> str:
        """The md5 of the model."""
        return self.hashes[MODEL.as_posix()]

    @property
    def changes(self) -> Changes:
        """The changes of an experiment against its baseline; empty for other results."""
        baseline = self.origin[BASELINE_TAG]
        if baseline == NO_EXPERIMENT or not self.commit:
            return Changes()
        return Changes(masked(git(*DIFF, baseline, self.commit, "--", ".", *GENERATED)))

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Yield a folder with those of the result's params, models and reports that are available.

        Of the images, a copy has only one.
        """
        with TemporaryDirectory() as copy:
            if self.commit and self.hashes:
                _copy(self.commit, Path(copy))
            yield Path(copy) if self.commit else Path()

    def has(self, folder: Path, out: Path) -> bool:
        """Return whether a folder holds this result's version of an output."""
        expected = self.hashes.get(out.as_posix())
        return (folder / out).exists() and content_md5(folder / out) == expected


def lock_of(commit: str, folder: Path = Path()) -> dict[str, Any]:
    """Read the stages of dvc.lock.

    Args:
        commit: the commit to read it from; empty: from `folder`.
        folder: the folder of a project.

    Raises:
        UserError: dvc.lock is missing, is not valid YAML, or lacks a stage.
    """
    file, where = folder / LOCK, f"at {commit[:7]}" if commit else "in the workspace"
    text = show(commit, LOCK) if commit else file.read_text() if file.exists() else ""
    try:
        stages = (YAML(typ="safe", pure=True).load(text) or {}).get("stages") or {}
    except (YAMLError, AttributeError):  # for example, after a merge conflict
        raise UserError(f"{LOCK} {where} isn't readable as YAML", f"git checkout HEAD -- {LOCK}") from None
    if missing := {"train", "evaluate", "plot"} - set(stages):
        raise UserError(f"{LOCK} {where} has no {', '.join(sorted(missing))}", "dvc repro")
    return dict(stages)


def params_of(stages: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters in the stages of a dvc.lock."""
    tracked = [stage.get("params", {}).get(PARAMS.name, {}) for stage in stages.values()]
    return {name: value for params in tracked for name, value in params.items()}


def workspace() -> Result:
    """Return the result in the workspace."""
    return Result(run_name(), "", origin(uncommitted()))


def experiments() -> list[Result]:
    """List every DVC experiment of this repository."""
    listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = [(line.split()[0], _EXPERIMENT.fullmatch(line.split()[1])) for line in listed]
    return [_experiment(commit, match[1] + match[2], match[3]) for commit, match in found if match]


def _experiment(commit: str, baseline: str, name: str) -> Result:
    return Result(name, commit, {"git.commit": baseline, EXPERIMENT_TAG: name, BASELINE_TAG: baseline})


def find(revision: str) -> Result:
    """Return the result of an experiment, given by name or commit, or of another commit, branch or tag.

    Raises:
        UserError: there is no such experiment or revision, or several experiments have the name.
    """
    if named := [e for e in experiments() if revision == e.name or e.commit.startswith(revision.ljust(7))]:
        head = git("rev-parse", "HEAD")
        here = [experiment for experiment in named if experiment.origin[BASELINE_TAG] == head]
        if len(named) > 1 and len(here) != 1:
            commits = ", ".join(experiment.where for experiment in named)
            raise UserError(f"{len(named)} experiments are called {revision!r}", f"use the commit of one: {commits}")
        return (here or named)[0]
    if commit := git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
        return Result(revision, commit, {"git.commit": commit} | NO_EXPERIMENT_TAGS)
    raise UserError(
        f"no experiment or revision is called {revision!r}",
        "`dvc exp list --all` lists the experiments; `dvc exp pull origin NAME` fetches one",
    )


def experiment_with(md5: str) -> str | None:
    """Return the name of the first DVC experiment whose dvc.lock has an output with this md5.

    None if no experiment has it, or if HEAD has it: experiments may repeat what HEAD already had.
    """
    names = {"HEAD": None} | {experiment.commit: experiment.name for experiment in experiments()}
    found = git("grep", "-lF", md5, *names, "--", LOCK.as_posix())
    return names[found.partition(":")[0]] if found else None


def clone(commit: str, folder: Path) -> Path:
    """Clone the repository at a commit, with the images that params.yaml names; return the project folder.

    Images that Git or DVC tracks are those of the commit. Others are linked as they are now, with a message.

    Raises:
        UserError: the folder is not empty, git fails, or DVC's cache and remote lack the images.
    """
    project = git_clone(commit, folder)
    params = read_params(project / PARAMS)
    images = Path(params.get("folder", ""))
    if params.get("dataset") != "folder" or images.is_absolute():
        return project
    here = repository() / images
    files = _open_commit(commit)
    # In old commits Git tracks a README in data/images.
    if [name for name in files.find(_repository_path(images)) if Path(name).name != "README.md"]:
        _get_images(files, images, project)
    elif here.exists():
        print(f"neither Git nor DVC tracks {images} at {commit[:7]}: using the images that are there now", flush=True)
        _link(here, project / images)
    return project


def _get_images(files: "DVCFileSystem", images: Path, project: Path) -> None:
    """Copy the images that Git or DVC tracks at a commit to a clone."""
    try:
        files.get(_repository_path(images), os.fspath(project / images), recursive=True)
    except FileNotFoundError as error:
        problem = (
            f"the images at {images} are neither in DVC's cache nor in a remote: {Path(error.filename or '').name}"
        )
        raise UserError(problem, f"run `dvc push {images}` where they were added") from None


def _link(source: Path, target: Path) -> None:
    """Link the files of a folder, or one archive, into a clone; keep files that exist."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_if_absent, dirs_exist_ok=True)
    else:
        target.symlink_to(source)


def _link_if_absent(source: str, target: str) -> None:
    if not Path(target).exists():
        Path(target).symlink_to(Path(source).resolve())


def _open_commit(commit: str) -> "DVCFileSystem":
    """Open the files of the repository at a commit: those in Git, and those in DVC's cache and remote.

    The remote is that of the checkout, because the commit may be older than the remote. Empty commit: the workspace.
    """
    from dvc.api import DVCFileSystem  # takes a second
    from dvc.config import Config

    remote = Config(os.fspath(repository() / ".dvc"))["core"].get("remote")
    config = {"core": {"remote": remote}} if remote else {}
    return DVCFileSystem(os.fspath(repository()), rev=commit or None, subrepos=True, config=config)


def _repository_path(file: Path) -> str:
    """Return the path of a project file in the repository, of which the project may be a subfolder."""
    return f"/{git('rev-parse', '--show-prefix')}{file.as_posix()}"


@contextmanager
def open_out(result: Result, out: Path) -> Iterator[Path]:
    """Yield a file that DVC caches: the version of a result, from the workspace, DVC's cache or a DVC remote.

    Raises:
        UserError: none of them has it, or dvc.lock does not name it.
    """
    expected = result.hashes.get(out.as_posix())
    if not expected:
        problem = f"{result.name} has no {out}: it was made by a version of this project that wrote none"
        raise UserError(problem, "choose a newer one, or run its experiment again")
    if (cached := in_cache(expected)).exists():  # DVC's own code takes a second to import
        yield cached
    elif not result.commit and result.has(Path(), out):
        yield out
    else:
        with TemporaryDirectory() as folder:
            _download(result, out, Path(folder) / out.name)
            yield Path(folder) / out.name


def in_cache(md5: str) -> Path:
    """Return where the default cache of DVC has a file, if it has it."""
    return repository() / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def _download(result: Result, out: Path, target: Path) -> None:
    """Copy the file of a result out of a remote, or of a cache in another place."""
    try:
        _open_commit(result.commit).get_file(_repository_path(out), os.fspath(target))
    except FileNotFoundError:
        push = f"run `dvc push` or `dvc exp push origin {result.name}` where it was made, or `dvc repro` at that commit"
        raise UserError(
            f"{out} of {result.name} is neither in DVC's cache nor in a remote", push if result.commit else "dvc repro"
        ) from None
    except Exception as error:  # each kind of remote has exceptions of its own
        what = f"{masked(' '.join(str(error).split()))} ({type(error).__name__})"
        problem = f"DVC can't get {out} of {result.name} from its remote: {what}"
        package = "`pip install` the package in the environment of this project (.venv)"
        settings = "correct .dvc/config, .dvc/config.local or your credentials until `dvc fetch` works"
        raise UserError(problem, package if isinstance(error, ImportError) else settings) from error


def _copy(commit: str, folder: Path) -> None:
    """Copy the files that a record is made from, out of Git, DVC's cache or a remote."""
    files = _open_commit(commit)
    reports = [f"reports/{Path(name).name}" for name in files.ls(_repository_path(Path("reports")), detail=False)]
    for name in (PARAMS, Path("dvc.yaml"), MODEL, ONNX_MODEL, MODEL_CARD, *map(Path, reports)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if name == FIGURES:
                files.get(_repository_path(name), os.fspath(target), recursive=True)
            elif files.isfile(_repository_path(name)):
                files.get_file(_repository_path(name), os.fspath(target))
        except FileNotFoundError:
            target.unlink(missing_ok=True)  # neither in the cache nor in a remote
    for name in PICTURES:
        with suppress(FileNotFoundError), files.open(_repository_path(name), "rb") as images:
            first = _first_image(images)
            (folder / name).parent.mkdir(parents=True)
            np.save(folder / name, first)
            return


def _first_image(file: BinaryIO) -> NDArray[np.generic]:
    """Read the first image of a .npy file of images, and no more: the file may be large, and in a remote."""
    np.lib.format.read_magic(file)
    (_, *shape), _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype).reshape(-1, *shape)
