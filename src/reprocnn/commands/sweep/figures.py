"""Draw the history of a sweep and the importance of its parameters, and write its trials as a table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reprocnn.artifacts.files import write_json
from reprocnn.reporting.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from reprocnn.commands.sweep.study import Study

_STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}


def write_all(study: "Study", experiment_of: Callable[[int], str], folder: Path) -> None:
    """Write the table of trials, the history and, once they are known, the importances to a folder.

    Args:
        study: the study.
        experiment_of: returns the name of the DVC experiment of a trial.
        folder: where `trials.csv`, `history.png`, `importances.json` and `importances.png` are written.
    """
    table = _trials(study, experiment_of)
    table.to_csv(folder / "trials.csv", index=False)
    history(table, study.goal, maximize=study.maximizes).savefig(folder / "history.png")
    if values := study.importances():
        write_json(folder / "importances.json", values)
        importances(values, study.goal).savefig(folder / "importances.png")


def _trials(study: "Study", experiment_of: Callable[[int], str]) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.number,
            "experiment": experiment_of(trial.number),
            "state": trial.state.name.lower(),
            study.goal: trial.value if trial.state.name == "COMPLETE" else None,
            "epochs": max(trial.intermediate_values, default=0),
            **trial.params,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows, columns=None if rows else ["trial", "experiment", "state", study.goal, "epochs"])


def history(table: pd.DataFrame, goal: str, *, maximize: bool) -> Figure:
    """Plot the goal of each complete trial, and the best so far.

    Args:
        table: a row per trial, with the columns trial, state and the goal.
        goal: the name of the goal.
        maximize: whether a higher goal is better.
    """
    complete = table[table["state"] == "complete"]
    with style.context(["default", _STYLE]):
        figure = Figure((7, 3.6), layout="constrained")
        axes = figure.subplots()
        best = complete[goal].cummax() if maximize else complete[goal].cummin()
        axes.plot(complete["trial"], complete[goal], "o", color=BLUE, label="complete trial")
        axes.step(complete["trial"], best, where="post", color=ORANGE, label="best so far")
        pruned = table[table["state"] == "pruned"]["trial"]
        if len(pruned) and len(complete):
            bottom = [complete[goal].min() if maximize else complete[goal].max()] * len(pruned)
            axes.plot(pruned, bottom, "x", color=GREY, label="pruned (no goal)")
        axes.set(xlabel="trial", ylabel=goal)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if goal.endswith("accuracy"):
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend()
        return figure


def importances(values: dict[str, float], goal: str) -> Figure:
    """Draw a bar per parameter: its importance for the goal.

    Args:
        values: parameter -> importance, 0-1.
        goal: the name of the goal.
    """
    names = sorted(values, key=lambda name: values[name])
    with style.context(["default", _STYLE]):
        figure = Figure((7, 1.2 + 0.35 * len(names)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(names, [values[name] for name in names], color=BLUE)
        axes.bar_label(bars, [f"{values[name]:.0%}" for name in names], padding=3)
        axes.set(xlabel=f"importance for the best {goal} (PED-ANOVA)", xlim=(0, 1.1))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        return figure
