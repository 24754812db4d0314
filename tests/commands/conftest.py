"""Fixtures of the tests of `compare`."""

from pathlib import Path

import pytest

from made_results import Repository


@pytest.fixture
def repository(here: Path) -> Repository:
    """Provide a repository whose HEAD has a result."""
    made = Repository(here)
    made.commit(model="mlp", wrong=range(10))
    return made


@pytest.fixture
def seeds(repository: Repository) -> Repository:
    """Provide three seeds of two models; `mlp-1` has the best validation accuracy, `vgg-2` the best test accuracy."""
    for seed in range(3):
        repository.experiment(
            f"mlp-{seed}", model="mlp", seed=seed, wrong=range(10 + seed), validation=0.9 + seed % 2 / 20
        )
        repository.experiment(f"vgg-{seed}", model="vgg", seed=seed, wrong=range(50, 60 - 5 * seed), validation=0.8)
    return repository
