"""Decide where trials clone from, and where they leave their experiment: on one machine, or on several."""

import os
from pathlib import Path
from urllib.parse import urlparse

from reprocnn.commands.sweep.cluster import LOCAL
from reprocnn.commands.sweep.trial import Task
from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.ledger.git import git
from reprocnn.ledger.origin import PARENT_VARIABLE
from reprocnn.masking import masked
from reprocnn.run import state

_PASSED = ("MLFLOW_", "REPROCNN_")
"""Prefixes of the environment variables that trials get."""


class Places:
    """Where the trials of a sweep work.

    Args:
        address: the address of Ray.
        remote: the Git remote, for several machines.
        shared: a folder that all machines see, for checkpoints and journals; None: there is none.
        commit: the commit that the trials are based on.

    Raises:
        UserError: on several machines something is missing that they all have to reach.
    """

    def __init__(self, address: str, remote: str, shared: Path | None, commit: str) -> None:
        from dvc.config import Config

        self._is_one, self._remote, self._commit, self._shared = address == LOCAL, remote, commit, shared
        folder = state.repository() / ".dvc"
        config = Config(os.fspath(folder))
        self._cache = config["cache"].get("dir") or os.fspath(folder / "cache")
        local = folder / "config.local"
        self._config = local.read_text() if local.exists() else ""
        self._top = git("rev-parse", "--show-toplevel")
        self._project = git("rev-parse", "--show-prefix").rstrip("/")
        if not self._is_one and (missing := [*self._missing_server(), *self._missing_git(), *_missing_dvc(config)]):
            problem = "trials on several machines need what all of them reach; missing: " + "; ".join(missing)
            raise UserError(problem, "docs/scaling.md says how to set them up; without --address, one machine is used")

    def task(self, name: str, overrides: tuple[str, ...], parent_run: str, study: str) -> Task:
        """Return the task of a trial.

        Args:
            name: the name of the experiment.
            overrides: the arguments of `dvc exp run -S`.
            parent_run: the ID of the MLflow run of the sweep.
            study: the name of the study.
        """
        settings = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        shared = self._shared or (state.root() if self._is_one else None)
        return Task(
            name=name,
            source=self._top if self._is_one else self._url(),
            commit=self._commit,
            project=self._project,
            overrides=overrides,
            settings=settings | {PARENT_VARIABLE: parent_run},
            state=os.fspath(shared) if shared else None,
            folder=os.fspath(self.clones(study)) if self._is_one else None,
            cache=self._cache if self._is_one else None,
            config=self._config,
        )

    def clones(self, study: str) -> Path:
        """Return the folder with the clones of trials, on one machine."""
        return state.sweeps() / study

    def fetch(self, ref: str) -> None:
        """Fetch the ref of an experiment that was made on another machine.

        Raises:
            UserError: Git can't fetch it.
        """
        if self._is_one:
            return
        git("fetch", "--quiet", self._remote, f"+{ref}:{ref}")
        if not git("show-ref", ref):
            raise UserError(f"git can't fetch {ref} from {self._remote}", f"git fetch {self._remote} {ref}:{ref}")

    def _url(self) -> str:
        """Return the URL of the Git remote; a path is absolute."""
        url = git("remote", "get-url", self._remote)
        path = Path(self._top, url)
        return os.fspath(path.resolve()) if "://" not in url and path.is_dir() else url

    def _missing_server(self) -> list[str]:
        uri = store.tracking_uri()
        if urlparse(uri).scheme in ("http", "https"):
            return []
        return [f"a tracking server (MLFLOW_TRACKING_URI is {masked(uri)})"]

    def _missing_git(self) -> list[str]:
        if not git("remote", "get-url", self._remote):
            return [f"a Git remote (`git remote add {self._remote} URL`, or --git-remote NAME)"]
        if not git("ls-remote", self._remote):
            return [f"a Git remote that answers (git ls-remote {self._remote} fails)"]
        git("fetch", "--quiet", self._remote)
        if not git("for-each-ref", "--contains", self._commit, f"refs/remotes/{self._remote}"):
            return [f"commit {self._commit[:7]} in the Git remote (git push {self._remote})"]
        return []


def _missing_dvc(config: dict[str, dict[str, str]]) -> list[str]:
    return [] if config["core"].get("remote") else ["a default DVC remote (`dvc remote add --default NAME URL`)"]
