"""Run one trial: clone the commit, run `dvc exp run` there, and hand over the experiment.

A trial may run on another machine than the sweep, so it knows only what its task says.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.ledger import revisions
from reprocnn.masking import masked
from reprocnn.run import journal, state
from reprocnn.run.orphans import LAUNCHER_VARIABLE

_GRACE = 20.0
"""Seconds a stopped trial has to end by itself."""
_POLL = 0.25
"""Seconds between two looks at the journal and the process."""
_OUTPUT_LINES = 15
"""Lines of the output of a failed trial that are reported."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a trial is given. Nothing in it may be printed whole: settings may contain passwords.

    Args:
        name: the name of the experiment.
        source: the repository to clone: a path, or the URL of the Git remote.
        commit: the commit that the experiment is based on.
        project: the folder of the project in the repository; empty if it is the repository.
        overrides: the arguments of `dvc exp run -S`.
        settings: environment variables.
        state: the folder of the state, on one machine or a shared disk; None: the state is lost with the clone.
        folder: the folder for the clone; None: one for temporary files.
        cache: DVC's cache, on one machine; None: outputs are pushed to the DVC remote.
        config: .dvc/config.local of the user, which may have the credentials of the DVC remote.
    """

    name: str
    source: str
    commit: str
    project: str
    overrides: tuple[str, ...]
    settings: dict[str, str] = field(repr=False)
    state: str | None
    folder: str | None
    cache: str | None
    config: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class News:
    """What a trial did since the last look.

    Args:
        epochs: the epochs so far, with the names of the history.
        ended: whether it has ended.
        problem: why it failed; empty if it did not.
        killed: whether it failed because a signal ended one of its processes, so that another attempt may succeed.
        metrics: the content of reports/training.json, once it has ended without a problem.
        ref: the ref of the experiment, likewise.
    """

    epochs: tuple[dict[str, float], ...]
    ended: bool = False
    problem: str = ""
    killed: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    ref: str = ""


class Trial:
    """A trial in this process, which has to stay alive while it runs: the stage exits when its launcher dies.

    Args:
        task: what to do.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._epochs: tuple[dict[str, float], ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._project = Path()
        self._started = time.time()

    def look(self, known: int, seconds: float) -> News:
        """Start the trial, or wait until it has news.

        Args:
            known: the number of epochs that the caller knows.
            seconds: how long to wait at most.
        """
        try:
            if self._process is None:
                self._start()
            deadline = time.monotonic() + seconds
            while len(self._read_epochs()) <= known and self._is_running() and time.monotonic() < deadline:
                time.sleep(_POLL)
            return self._news()
        except (UserError, subprocess.CalledProcessError, OSError) as error:
            killed = isinstance(error, subprocess.CalledProcessError) and was_killed(error.returncode)
            return self._end(problem=self._explain(error), killed=killed)

    def stop(self, *, pruned: bool) -> None:
        """Stop the trial and remove its clone; of a pruned one, also its checkpoint."""
        if self._process:
            stages = _children(self._process.pid)  # they take longer to end than dvc: the MLflow run gets its status
            _signal(self._process, signal.SIGTERM)
            psutil.wait_procs(stages, timeout=_GRACE)
            _signal(self._process, signal.SIGKILL)
            self._process.wait()
        if pruned and self._state().is_dir() and (key := _journal(self._state(), self._task.name, self._started)[0]):
            shutil.rmtree(self._state() / "checkpoints" / key, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _news(self) -> News:
        if self._is_running():
            return News(epochs=self._epochs)
        assert self._process
        if self._process.returncode:
            killed = was_killed(self._process.returncode, self._output())
            if killed:
                _signal(self._process, signal.SIGKILL)  # dvc's stage, which notices the death of dvc a second later
            return self._end(problem=self._last_lines(), killed=killed)
        ref, metrics = self._result()
        self._hand_over(ref)
        return self._end(ref=ref, metrics=metrics)

    def _end(self, **result: Any) -> News:
        shutil.rmtree(self._folder, ignore_errors=True)
        return News(epochs=self._read_epochs(), ended=True, **result)

    def _start(self) -> None:
        """Clone the commit and start `dvc exp run` in the clone."""
        task = self._task
        parent = Path(task.folder or tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(f"{task.name}.*"):
            remove_clone(left)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{task.name}.", dir=parent))
        self._project = self._clone()
        self._configure_dvc()
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*_DVC, "exp", "run", *([] if task.cache else ["--pull"]), "--name", task.name]
                + [word for override in task.overrides for word in ("-S", override)],
                cwd=self._project,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the sweep, which then stops its trials
            )

    def _clone(self) -> Path:
        """Clone the repository at the commit; return the folder of the project in it."""
        task, target = self._task, self._folder / "clone"
        if task.cache:
            os.chdir(Path(task.source) / task.project)
            return revisions.clone(task.commit, target)
        self._run("git", "init", "--quiet", str(target), cwd=self._folder)
        with (target / ".git" / "config").open("a") as config:  # not as an argument: it may contain a password
            config.write(
                f'[remote "origin"]\n\turl = {json.dumps(task.source)}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
            )
        self._run("git", "fetch", "--quiet", "origin", cwd=target)
        self._run("git", "checkout", "--quiet", "--detach", task.commit, cwd=target)
        return target / task.project

    def _configure_dvc(self) -> None:
        """Give the clone the local configuration of the user, and on one machine the same cache."""
        from dvc.config import Config  # takes a second

        folder = self._project / ".dvc"
        if self._task.config:
            (folder / "config.local").write_text(self._task.config)
        if self._task.cache:
            with Config(os.fspath(folder), validate=False).edit("local") as config:
                config.setdefault("cache", {})["dir"] = self._task.cache

    def _environment(self) -> dict[str, str]:
        """Return the environment: Ray's own variables would change the number of threads."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "DVC_")) and k != "OMP_NUM_THREADS"}
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        shared = {state.SHARED_VARIABLE: self._task.state} if self._task.state else {}
        return own | self._task.settings | shared | {LAUNCHER_VARIABLE: str(os.getpid())}

    def _run(self, *command: str, cwd: Path) -> str:
        done = subprocess.run(command, cwd=cwd, env=self._environment(), capture_output=True, text=True)
        done.check_returncode()
        return done.stdout

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _state(self) -> Path:
        return Path(self._task.state) if self._task.state else self._project / ".dvc" / "tmp" / "reprocnn"

    def _read_epochs(self) -> tuple[dict[str, float], ...]:
        found = _journal(self._state(), self._task.name, self._started)[1]
        self._epochs = max(self._epochs, found, key=len)
        return self._epochs

    def _output(self) -> str:
        return (self._folder / "output").read_text(errors="replace")

    def _last_lines(self) -> str:
        lines = self._output().strip().splitlines()
        errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        kept = lines[errors[-1] : errors[-1] + 2] if errors else lines[-_OUTPUT_LINES:]
        return masked("\n".join(kept)) or f"dvc exited with status {self._process and self._process.returncode}"

    def _explain(self, error: Exception) -> str:
        if isinstance(error, subprocess.CalledProcessError):
            return masked(f"{' '.join(error.cmd[:2])} failed: {' '.join(error.stderr.split())}")
        return masked(str(error))

    def _result(self) -> tuple[str, dict[str, float]]:
        """Return the ref of the experiment and the metrics of its training."""
        refs = self._run("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=self._project).splitlines()
        [ref] = [ref for ref in refs if re.fullmatch(rf"refs/exps/../[0-9a-f]{{38}}/{re.escape(self._task.name)}", ref)]
        text = self._run("git", "show", f"{ref}:./{TRAINING.as_posix()}", cwd=self._project)
        return ref, json.loads(text)

    def _hand_over(self, ref: str) -> None:
        """Push the experiment to the repository of the sweep, or to the Git remote, and then its outputs to DVC's."""
        if self._task.cache:
            self._run("git", "push", "--quiet", "--force", self._task.source, f"{ref}:{ref}", cwd=self._project)
        else:
            self._run(*_DVC, "exp", "push", "--quiet", "--force", "origin", self._task.name, cwd=self._project)


_DVC = (sys.executable, "-m", "dvc")
_STAGE_STATUS = re.compile(r"^ERROR: .*failed to run: .*, exited with (-?\d+)$", re.MULTILINE)
"""What dvc prints when a stage fails."""


def was_killed(status: int, output: str = "") -> bool:
    """Return whether a signal ended a process, or the stage that dvc ran.

    Args:
        status: the exit status of the process.
        output: what dvc printed.
    """
    if stage := _STAGE_STATUS.search(output):
        status = int(stage[1])
    return status < 0 or 128 < status <= 192  # a shell adds 128 to the signal; 255 is dvc's status for its errors


def remove_clone(folder: Path) -> None:
    """Remove the clone of an attempt that was killed, and first kill dvc if it survived: it would write there again."""
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] and Path(p.info["cwd"]).is_relative_to(folder)]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE)
    shutil.rmtree(folder, ignore_errors=True)


def _children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to dvc and the stage that it runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _journal(folder: Path, name: str, since: float) -> tuple[str, tuple[dict[str, float], ...]]:
    """Return the key and the epochs of the training of an experiment; empty if it has not begun.

    Args:
        folder: the folder of the state.
        name: the name of the experiment.
        since: Unix time in seconds; journals that were last written before are not read.
    """
    for file in (folder / "journals").glob("*.jsonl"):
        with suppress(OSError):
            if file.stat().st_mtime < since:
                continue
            events = journal.parse(file.read_bytes())
            if any(event.kind == "origin" and event.values.get("name") == name for event in events):
                key = next(event.values["key"] for event in events if event.kind == "begin")
                epochs = {event.values["epoch"]: event.values for event in events if event.kind == "epoch"}
                return key, tuple(epochs[number] for number in sorted(epochs))
    return "", ()
