"""Ask Optuna for the parameters of each trial, and tell it the results."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reprocnn.commands.sweep.settings import Range, Sweep, Value, is_whole
from reprocnn.errors import UserError
from reprocnn.masking import masked

if TYPE_CHECKING:
    import optuna

STORAGE = "REPROCNN_SWEEP_STORAGE"
"""Environment variable with the URL of a database for the studies; it may contain a password."""
_STARTUP_TRIALS = 5
"""Finished trials before which no trial is pruned."""


class Study:
    """The trials of a sweep. They are kept in a file or a database, so that a later call continues.

    Each proposal is drawn with a seed of its own, from the seed of the sweep and the number of the trial: Optuna does
    not store the state of its random numbers. One trial at a time, a continued study therefore proposes what an
    uninterrupted one does.

    Args:
        sweep: the settings.
        name: the name of the study.
        file: the journal file, if the environment names no database.
    """

    def __init__(self, sweep: Sweep, name: str, file: Path) -> None:
        import optuna

        self._sweep = sweep
        self._distributions = {key: _distribution(key, choices) for key, choices in sweep.space.items()}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with _explained():
            self.optuna = optuna.create_study(
                study_name=name,
                storage=_storage(file),
                direction=sweep.direction,
                pruner=_pruner(sweep),
                load_if_exists=True,
            )

    @property
    def trials(self) -> "list[optuna.trial.FrozenTrial]":
        """The trials so far, in the order of their numbers."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def size(self) -> int | None:
        """The number of trials that the sweep has at most; None if there is no limit."""
        grid = int(np.prod([len(values) for values in _grid(self._sweep).values()])) if self._is_grid else None
        limits = [limit for limit in (self._sweep.trials, grid) if limit is not None]
        return min(limits) if limits else None

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.optuna.study_name)

    @property
    def goal(self) -> str:
        """The name of the goal."""
        return self._sweep.goal

    @property
    def maximizes(self) -> bool:
        """Whether a higher goal is better."""
        return self._sweep.direction == "maximize"

    @property
    def _is_grid(self) -> bool:
        return self._sweep.sampler == "grid"

    @property
    def has_next(self) -> bool:
        """Whether another trial is to start. A failed trial does not count once it is repeated."""
        trials = self.trials
        if any(trial.state.name == "WAITING" for trial in trials):
            return True
        repeated = sum(trial.state.name == "FAIL" and self._is_repeated(trial) for trial in trials)
        return self.size is None or len(trials) - repeated < self.size

    def repeat_failed(self) -> None:
        """Propose the parameters of failed trials again, unless a later trial has them."""
        for trial in self.trials:
            if trial.state.name == "FAIL" and not self._is_repeated(trial):
                self.optuna.enqueue_trial(trial.params)

    def _is_repeated(self, failed: "optuna.trial.FrozenTrial") -> bool:
        later = self.trials[failed.number + 1 :]
        return any(failed.params in (trial.params, trial.system_attrs.get("fixed_params")) for trial in later)

    def interrupted(self) -> "list[optuna.Trial]":
        """Return the trials that an earlier call began and did not end."""
        import optuna

        running = [trial for trial in self.trials if trial.state == optuna.trial.TrialState.RUNNING]
        return [optuna.Trial(self.optuna, trial._trial_id) for trial in running]

    def ask(self) -> "optuna.Trial":
        """Return a new trial with its parameters."""
        number = next((t.number for t in self.trials if t.state.name == "WAITING"), len(self.trials))
        seed = int(np.random.SeedSequence((self._sweep.seed, number)).generate_state(1)[0]) % 2**31
        self.optuna.sampler = _sampler(self._sweep, seed)
        return self.optuna.ask(self._distributions)

    def report(self, trial: "optuna.Trial", epoch: int, value: float) -> bool:
        """Add the goal after an epoch; return whether the trial is hopeless."""
        if epoch not in self.trials[trial.number].intermediate_values:  # a repeated trial repeats its epochs
            trial.report(value, epoch)
        return trial.should_prune()

    def tell(self, trial: "optuna.Trial", value: float | None, state: str) -> None:
        """End a trial as `COMPLETE`, `PRUNED` or `FAIL`."""
        import optuna

        self.optuna.sampler = optuna.samplers.RandomSampler()  # the one for grids would stop a loop of Optuna's own
        self.optuna.tell(trial, value, optuna.trial.TrialState[state])

    def count(self, state: str) -> int:
        """Return how many trials have a state."""
        return sum(trial.state.name == state for trial in self.trials)

    def best(self) -> "optuna.trial.FrozenTrial | None":
        """Return the best complete trial; of equal ones, the first."""
        return self.optuna.best_trial if self.count("COMPLETE") else None

    def importances(self) -> dict[str, float]:
        """Return how much of the difference between the best trials and all others is due to each parameter.

        By PED-ANOVA (S. Watanabe et al. 2023): fANOVA takes minutes from some 40 trials on.

        Returns:
            Parameter -> share, 0-1, most important first. Empty with fewer than three complete trials, or if all have
            the same goal.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        values = {trial.value for trial in self.trials if trial.state.name == "COMPLETE"}
        varies = {p for p in self._distributions if len({t.params[p] for t in self.trials}) > 1}
        if self.count("COMPLETE") < 3 or len(values) < 2 or not varies:
            return {}
        return dict(get_param_importances(self.optuna, evaluator=PedAnovaImportanceEvaluator(), params=sorted(varies)))


@contextmanager
def _explained() -> Iterator[None]:
    """Convert an error of the storage to a UserError."""
    try:
        yield
    except Exception as error:  # each database has exceptions of its own
        problem = f"Optuna can't open the study: {masked(' '.join(str(error).split()))}"
        raise UserError(problem, f"correct {STORAGE}, or unset it: the study is then a file") from error


def _storage(file: Path) -> "optuna.storages.BaseStorage":
    """Open the database that the environment names, or else a journal file."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if url := os.environ.get(STORAGE):
        return optuna.storages.RDBStorage(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(os.fspath(file)))


def _distribution(name: str, choices: Range | list[Value]) -> "optuna.distributions.BaseDistribution":
    """Return the values of a parameter as Optuna has them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(choices, list):
        return CategoricalDistribution(choices)
    if is_whole(name):
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log, step=int(choices.step or 1))
    return FloatDistribution(choices.low, choices.high, log=choices.log, step=choices.step)


def _grid(sweep: Sweep) -> dict[str, list[Any]]:
    return {name: list(c) if isinstance(c, list) else c.values() for name, c in sweep.space.items()}


def _sampler(sweep: Sweep, seed: int) -> "optuna.samplers.BaseSampler":
    """Create the sampler for one proposal."""
    from optuna.samplers import CmaEsSampler, GridSampler, RandomSampler, TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some options are experimental
        match sweep.sampler:
            case "grid":
                return GridSampler(_grid(sweep), seed=sweep.seed)  # it numbers the combinations by its seed
            case "random":
                return RandomSampler(seed=seed)
            case "cmaes":
                return CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case _:  # constant_liar: trials that run at once are not alike
                return TPESampler(seed=seed, constant_liar=True, warn_independent_sampling=False)


def _pruner(sweep: Sweep) -> "optuna.pruners.BasePruner":
    """Create the pruner."""
    from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

    match sweep.prunes:
        case "median":
            return MedianPruner(n_startup_trials=_STARTUP_TRIALS)
        case "halving":
            return SuccessiveHalvingPruner()
        case _:
            return NopPruner()
