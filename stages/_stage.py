"""Prepares the process of a stage; each stage imports this first.

The code beside the stages is what is imported: in a `--temp` or `--queue` experiment, the experiment's own.
"""

# ruff: noqa: E402

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from reprocnn.run import interpreter

interpreter.check()

from reprocnn import environment

environment.prepare()  # before the libraries read them

from reprocnn.run.harness import run, start

start()

__all__ = ["run"]
