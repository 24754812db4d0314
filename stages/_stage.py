"""Prepare the process of a stage; each stage imports this first.

It imports `src` beside the stages: in a `--temp` or `--queue` experiment that is the code of the experiment.
"""

# ruff: noqa: E402

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from reprocnn.run import interpreter

interpreter.check()

from reprocnn import environment

environment.prepare()  # before a library reads the environment

from reprocnn.run.harness import run, start

start()

__all__ = ["run"]
