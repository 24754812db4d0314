"""Read and check the file of a sweep, such as sweep.yaml."""

import difflib
import hashlib
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.training import TrainingSummary
from reprocnn.errors import UserError
from reprocnn.params import Params, check, read_params

_MAX_CHECKS = 2_000
"""Combinations of values that are checked; of a larger space, this many are drawn."""

Number = int | float
Value = int | float | bool | str


class Range(BaseModel):
    """The values of a number from `low` to `high`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    low: Number
    """Lowest value."""
    high: Number
    """Highest value."""
    log: bool = False
    """Draw the logarithm uniformly, as for a learning rate."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Distance between two values; None: any value, or for whole numbers 1."""

    def values(self) -> list[Value]:
        """Return the values from low to high in steps; empty without a step."""
        if not self.step:
            return []
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + number * self.step, 12) for number in range(count)]


class Sweep(BaseModel):
    """The keys of the file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    goal: str = "validation_accuracy"
    """Metric of reports/training.json by which trials are compared."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether a higher or a lower goal is better."""
    trials: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Number of trials, with those of earlier calls; None: no limit, or all of a grid."""
    hours: Annotated[Number, Field(gt=0)] | None = None
    """Hours after which no trial starts; None: no limit."""
    sampler: Literal["grid", "random", "tpe", "cmaes"] = "tpe"
    """How parameters are proposed."""
    pruner: Literal["auto", "median", "halving", "none"] = "auto"
    """How hopeless trials are found; `auto`: median, if each epoch has the goal."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the sampler."""
    cpus: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Cores of a trial; None: `threads` of the trial, and if that is 0, all cores of the machine."""
    gpus: Annotated[Number, Field(ge=0, le=64)] = 0
    """GPUs of a trial; a fraction shares one."""
    params: dict[str, Value] = {}
    """Parameters that all trials have, where they differ from params.yaml."""
    space: Annotated[dict[str, Range | list[Value]], Field(min_length=1)]
    """Parameters that differ between trials: a list of values, or a range."""

    @property
    def prunes(self) -> str:
        """The pruner, without `auto`."""
        has_goal = self.goal in _EPOCH
        return self.pruner if self.pruner != "auto" else "median" if has_goal else "none"

    def threads(self, base: dict[str, Any]) -> int:
        """Return the most threads that a trial may have; 0: as many as it has cores.

        Args:
            base: the content of params.yaml.
        """
        space = self.space.get("threads", [])
        most = max((int(value) for value in (space if isinstance(space, list) else [space.high])), default=0)
        return most or int(self.params.get("threads", base["threads"]))

    def identity(self, commit: str, base: dict[str, Any]) -> str:
        """Return a hash of what makes trials comparable: not how many there are, nor where they run.

        Args:
            commit: the commit that trials are based on.
            base: the content of params.yaml there. If its `threads` are 0, `cpus` counts: it is the number of threads.
        """
        own = self.model_dump(exclude={"trials", "hours", "cpus", "gpus"})
        threads = self.threads(base) or self.cpus
        return hashlib.sha256(json.dumps([commit, threads, own], sort_keys=True).encode()).hexdigest()[:6]


_GOALS = [field.name for field in fields(TrainingSummary)]
_EPOCH = [field.name for field in fields(Epoch)]
_EXAMPLES = {
    "direction": "maximize",
    "trials": "20",
    "hours": "2",
    "sampler": "tpe",
    "pruner": "median",
    "seed": "0",
    "cpus": "2",
    "gpus": "1",
    "params": "{epochs: 5}",
    "space": "{batch_size: [16, 32, 64]}",
}


def read_sweep(path: Path, base: dict[str, Any]) -> Sweep:
    """Read the file of a sweep, and check that each parameter is possible.

    Args:
        path: the file.
        base: the content of params.yaml.

    Raises:
        UserError: a key or a value is wrong, or a combination of values is refused by a stage.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing", "docs/scaling.md shows a short one to start from")
    values = read_params(path)
    try:
        sweep = Sweep.model_validate(values)
    except ValidationError as error:
        raise _wrong_key(path, values, error) from None
    _check_keys(path, sweep)
    for name, choices in sweep.space.items():
        _check_choices(path, sweep, name, choices)
    for combination in _combinations(sweep):
        check(Params, base | sweep.params | combination, path)
    return sweep


def _wrong_key(path: Path, values: dict[str, Any], error: ValidationError) -> UserError:
    """Return the error for a key that is unknown, missing, or has a value of a wrong kind."""
    errors = error.errors()
    first = next((found for found in errors if found["loc"][0] not in Sweep.model_fields), errors[0])
    key = str(first["loc"][0])
    if key not in Sweep.model_fields:
        close = difflib.get_close_matches(key, Sweep.model_fields, n=1, cutoff=0.4)
        known = f"use one of: {', '.join(Sweep.model_fields)}"
        return UserError(f"{path}: unknown key `{key}`", f"did you mean `{close[0]}`?" if close else known)
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return UserError(f"{path}: `{key}` is missing", f"add `{key}: {_EXAMPLES[key]}`")
    where, found = key, values[key]
    if key in ("space", "params") and len(first["loc"]) > 1 and isinstance(found, dict):
        name = first["loc"][1]
        where, found = f"{key}: {name}", found.get(name)
        ranges = "a list of values, or {low: 1, high: 8}, perhaps with log: true or step: 1"
        return UserError(f"{path}: {where}: found {found!r}", f"expected {ranges if key == 'space' else 'one value'}")
    problem = f"{path}: {where}: found {found!r}, {first['msg'][0].lower()}{first['msg'][1:]}"
    return UserError(problem, f"for example `{key}: {_EXAMPLES[key]}`")


def _check_keys(path: Path, sweep: Sweep) -> None:
    """Refuse keys that contradict each other."""
    if sweep.goal not in _GOALS:
        goals = ", ".join(_GOALS)
        tested = "; models are not chosen by the test split" if sweep.goal.startswith("test") else ""
        raise UserError(f"{path}: goal: found {sweep.goal!r}{tested}", f"choose one of: {goals}")
    if sweep.trials is None and sweep.hours is None and sweep.sampler != "grid":
        raise UserError(f"{path}: nothing ends the sweep", "add `trials: 20`, or `hours: 2`")
    if sweep.pruner in ("median", "halving") and sweep.goal not in _EPOCH:
        problem = f"{path}: pruner: {sweep.pruner} needs a goal that each epoch has, found goal: {sweep.goal}"
        raise UserError(problem, "`pruner: none`, or the goal validation_accuracy or validation_loss")
    if sweep.sampler == "cmaes" and len(sweep.space) < 2:
        raise UserError(f"{path}: the sampler cmaes needs at least two parameters in space, found 1", "`sampler: tpe`")
    if both := set(sweep.params) & set(sweep.space):
        name = min(both)
        raise UserError(f"{path}: {name} is both in params and in space", f"remove `{name}` from one of them")


def _check_choices(path: Path, sweep: Sweep, name: str, choices: Range | list[Value]) -> None:
    """Refuse a list or range that the sampler can't take."""
    where = f"{path}: space: {name}"
    if isinstance(choices, list):
        if not choices:
            raise UserError(f"{where} is empty", f"for example `{name}: [1, 2]`")
        if len(set(map(repr, choices))) < len(choices):
            raise UserError(f"{where} has a value twice: {choices}", "remove one of them")
        if sweep.sampler == "cmaes":
            fix = "`sampler: tpe`, or a range such as {low: 1, high: 8}"
            raise UserError(f"{where} is a list, and the sampler cmaes only takes ranges", fix)
        return
    if choices.low >= choices.high:
        raise UserError(f"{where}: low: {choices.low} is not below high: {choices.high}", "swap or correct them")
    if sweep.sampler == "grid" and not choices.step:
        raise UserError(f"{where}: the sampler grid needs a list, or a `step`", f"for example `{name}: [1, 2, 4]`")
    if choices.log and (choices.step or choices.low <= 0):
        found = f"step: {choices.step}" if choices.step else f"low: {choices.low}"
        raise UserError(f"{where}: log: true needs a low above 0 and no step, found {found}", "remove `log: true`")
    if is_whole(name) and any(value != int(value) for value in (choices.low, choices.high, choices.step or 1)):
        raise UserError(f"{where}: {name} takes whole numbers, found {choices.low} to {choices.high}", "round them")


def is_whole(name: str) -> bool:
    """Return whether a parameter takes whole numbers and no others."""
    if name not in Params.model_fields:
        return False
    info = Params.model_fields[name]
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]
    schema = adapter.json_schema()
    kinds = {member.get("type") for member in schema.get("anyOf", [schema])}
    return "integer" in kinds and "number" not in kinds


def _combinations(sweep: Sweep) -> Iterator[dict[str, Value]]:
    """Yield combinations of values that trials may have: all of lists, and the ends of ranges."""
    ends = {name: c if isinstance(c, list) else [c.low, c.high] for name, c in sweep.space.items()}
    count = 1
    for values in ends.values():
        count *= len(values)
    if count <= _MAX_CHECKS:
        for chosen in itertools.product(*ends.values()):
            yield dict(zip(ends, chosen, strict=True))
        return
    draw = random.Random(sweep.seed)
    for _ in range(_MAX_CHECKS):
        yield {name: draw.choice(values) for name, values in ends.items()}
