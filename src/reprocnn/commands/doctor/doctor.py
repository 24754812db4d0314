"""Find what is wrong with a checkout, its stores and the machine."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from reprocnn.commands.doctor import checkout, machine, runs, storage
from reprocnn.commands.doctor.findings import Finding
from reprocnn.errors import UserError

_CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": machine.python,
    "git": checkout.repository,
    "params.yaml": checkout.parameters,
    "dvc.lock": checkout.pipeline,
    "queue": checkout.queue,
    "cache": storage.storage,
    "MLflow": runs.runs,
    "checkpoints": checkout.trainings,
    "cpu": machine.processor,
    "gpu": machine.gpu,
}


def doctor() -> None:
    """Print one line per finding, with its fixes below it. Exits with status 1 if something is wrong."""
    wrong = 0
    with ThreadPoolExecutor() as pool:  # most checks wait for a command
        for findings in pool.map(_findings, _CHECKS):
            for state, subject, text, fix in findings:
                print(f"{state:6} {subject:12} {text}", flush=True)
                for number, way in enumerate(fix.splitlines()):
                    print(f"{'':19} {' or' if number else 'fix'}: {way}", flush=True)
                wrong += state == "wrong"
    print(f"\nwrong: {wrong}" if wrong else "\nnothing is wrong")
    if wrong:
        sys.exit(1)


def _findings(subject: str) -> list[Finding]:
    """Run a check and return its findings. A check that fails gives a finding, so that the others are still shown."""
    found: list[Finding] = []
    try:
        for finding in _CHECKS[subject]():
            found.append(finding)
    except UserError as error:
        found.append(Finding("wrong", subject, error.problem.removeprefix(f"{subject}: "), error.fix))
    except Exception as error:
        text = f"can't be checked: {type(error).__name__}: {error}"
        found.append(Finding("wrong", subject, text, "fix what the message names"))
    return found
