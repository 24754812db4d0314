"""Environment variables that are removed."""

import os
import subprocess
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn import environment


def test_variables_that_change_the_libraries_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict.fromkeys([*environment.IGNORED, "ONEDNN_MAX_CPU_ISA"], "1"))
    os.environ |= {"ONEDNN_VERBOSE": "1", "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "0", "PIP_CERT": "mine"}
    environment.prepare()
    assert os.environ == {
        "ONEDNN_VERBOSE": "1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "ORT_DISABLE_TELEMETRY": "1",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "PIP_CERT": "mine",
    }


def test_make_removes_the_same_variables() -> None:
    shell = os.environ | dict.fromkeys(environment.IGNORED, "1") | {"PIP_CERT": "mine"}
    command = ["make", "--no-print-directory", "--eval", "show: ; @env", "show"]
    printed = subprocess.run(command, cwd=ROOT, env=shell, check=True, capture_output=True, text=True).stdout
    names = {line.partition("=")[0] for line in printed.splitlines()}
    assert not names & set(environment.IGNORED)
    assert "PIP_CERT" in names


def test_make_shows_gits_hint_for_a_checkout_of_another_user(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", "setup", "run"]
    shell = os.environ | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=shell, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"git config --global --add safe.directory {tmp_path}" in done.stderr
    assert "git init" not in done.stderr
