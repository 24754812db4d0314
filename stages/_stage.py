"""Prepare the process of a stage; every stage script imports this module first.

It imports `src` of the checkout that the script is in; in a `--temp` or `--queue` experiment that is its own code.
"""

# ruff: noqa: E402

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from reprocnn.run import interpreter

interpreter.check()

from reprocnn import environment

environment.prepare()  # before libraries read the variables

from reprocnn.run.harness import run, start

start()

__all__ = ["run"]
