"""Run every check and print its findings."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from reprocnn.commands.doctor import checkout, machine, runs, storage
from reprocnn.commands.doctor.findings import Finding
from reprocnn.errors import UserError
from reprocnn.masking import masked_message

_CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": machine.check_python,
    "git": checkout.check_git,
    "params.yaml": checkout.check_params,
    "dvc.lock": checkout.check_pipeline,
    "queue": checkout.check_queue,
    "cache": storage.check_storage,
    "MLflow": runs.check_store,
    "checkpoints": checkout.check_checkpoints,
    "cpu": machine.check_cpu,
    "gpu": machine.check_gpu,
}


def run_checks() -> None:
    """Run every check and print one line per finding, with its fixes below it; exit with status 1 if one is `wrong`."""
    wrong = 0
    with ThreadPoolExecutor() as pool:  # most checks wait for a command
        for findings in pool.map(_run_check, _CHECKS):
            for state, subject, text, fix in findings:
                print(f"{state:6} {subject:12} {masked_message(text)}", flush=True)
                for number, line in enumerate(fix.splitlines()):
                    print(f"{'':19} {' or' if number else 'fix'}: {masked_message(line)}", flush=True)
                wrong += state == "wrong"
    print(f"\nwrong: {wrong}" if wrong else "\nnothing is wrong")
    if wrong:
        sys.exit(1)


def _run_check(subject: str) -> list[Finding]:
    """Return the findings of a check; one that raises gives a finding too, so that the others are still printed."""
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
