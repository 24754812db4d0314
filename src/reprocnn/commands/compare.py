"""Compare experiments: parameters, metrics, groups of seeds, and tests on the images that they have in common."""

import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from reprocnn.errors import UserError
from reprocnn.ledger import record, revisions
from reprocnn.ledger.git import git
from reprocnn.ledger.origin import BASELINE_TAG
from reprocnn.ledger.reports import Reports, read_answers, read_reports, validation_size
from reprocnn.ledger.revisions import Result

if TYPE_CHECKING:  # SciPy and pandas take half a second each to import
    import pandas as pd

    from reprocnn.evaluation.comparison import Comparison, Spread

BestBy = Literal["validation", "test"]
WORKSPACE = "workspace"
"""The name of the result in the workspace, as DVC calls it."""
Answers = dict[str, "pd.DataFrame | UserError"]
"""Commit of a result, empty for the workspace -> its predictions, or why they can't be read."""


@dataclass(frozen=True)
class Group:
    """Results that differ only in parameters that are not grouped by.

    Args:
        params: the parameters that they share.
        names: their names.
        metrics: metric name -> mean, standard deviation and number of trainings.
    """

    params: dict[str, Any]
    names: list[str]
    metrics: "dict[str, Spread]"


@dataclass(frozen=True)
class Pair:
    """Two results on the test images that both have.

    Args:
        first: the name of the first one.
        second: the name of the second one.
        comparison: counts, difference and p-value; None if they can't be compared.
        images: the images that only one has right, each with the columns of `comparison.match`.
        refused: why they can't be compared.
        p_holm: the p-value after Holm's correction, if there are several pairs.
    """

    first: str
    second: str
    comparison: "Comparison | None" = None
    images: tuple[dict[str, Any], ...] = ()
    refused: UserError | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Best:
    """The best of several results, against each of the others.

    Args:
        name: its name.
        chosen_by: the metric by which it is the best.
        warning: what to keep in mind about choosing by test images; empty if nothing.
        pairs: it and each of the others.
    """

    name: str
    chosen_by: str
    warning: str
    pairs: list[Pair]


@dataclass(frozen=True)
class Report:
    """All that `compare` says.

    Args:
        rows: the results.
        differing: the parameters that differ between them.
        groups: results that differ only in parameters that are not grouped by.
        grouped_by: the parameters by which they are grouped and that differ.
        pair: the comparison of exactly two results.
        best: the comparison of more results.
        notes: what else a reader should know.
    """

    rows: list[Reports]
    differing: list[str]
    groups: list[Group]
    grouped_by: list[str]
    pair: Pair | None
    best: Best | None
    notes: list[str]


def compare(names: list[str], group_by: list[str], best_by: BestBy, as_json: bool, as_page: bool) -> None:
    """Compare results and print tables, or JSON.

    Args:
        names: experiments or revisions; empty: HEAD, its experiments and the workspace.
        group_by: parameters by which results are grouped; empty: every parameter but `seed`.
        best_by: the split by whose accuracy the best of several results is chosen.
        as_json: whether to print JSON.
        as_page: whether to write a page with charts, too.

    Raises:
        UserError: no result was found, a name is unknown, or the only two results can't be compared.
    """
    report = make_report(names, group_by, best_by)
    if as_json:
        print(json.dumps(to_json(report), indent=2, ensure_ascii=False))
    else:
        from reprocnn.commands import compare_tables

        compare_tables.print_report(report)
    if as_page:
        from reprocnn.commands import compare_page  # takes a second

        compare_page.write_page(report)
        print(f"wrote {compare_page.PAGE}", file=sys.stderr)
    if report.pair and report.pair.refused:
        sys.stdout.flush()
        raise report.pair.refused


def make_report(names: list[str], group_by: list[str], best_by: BestBy) -> Report:
    """Read results and compare them; for the arguments and errors see `compare`."""
    trainings, notes = record.of_trainings(), list[str]()
    rows = read_named(names, trainings) if names else read_all(trainings, notes)
    if len(rows) > 2:
        rows = sorted(rows, key=by_validation, reverse=True)
    answers: Answers = {row.result.commit: _answers(row) for row in rows}
    rows = [_with_intervals(row, answers) for row in rows]
    differing = _differing(rows)
    keys = group_by or [key for key in _params(rows) if key != "seed"]
    _check_known(keys, rows)
    notes += _remarks(rows)
    return Report(
        rows=rows,
        differing=differing,
        groups=_groups(rows, keys),
        grouped_by=group_by or [key for key in keys if key in differing],
        pair=_pair(rows[0], rows[1], answers) if len(rows) == 2 else None,
        best=_best(rows, answers, best_by) if len(rows) > 2 else None,
        notes=notes,
    )


def _answers(row: Reports) -> "pd.DataFrame | UserError":
    """Read the predictions of a result; return why if they can't be read."""
    try:
        return read_answers(row.result)
    except UserError as error:
        return error


def _with_intervals(row: Reports, answers: Answers) -> Reports:
    """Add the 95 % intervals of macro F1 and validation accuracy to the metrics, if the files for them are here."""
    from reprocnn.evaluation import comparison

    found: dict[str, tuple[float, float]] = {}
    table, n = answers[row.result.commit], validation_size(row.result)
    if n and "validation_accuracy" in row.metrics:
        found["validation_accuracy"] = comparison.accuracy_interval(row.metrics["validation_accuracy"], n)
    if not isinstance(table, UserError):
        found["test_macro_f1"] = comparison.macro_f1_interval(table["actual"], table["predicted"])
    bounds = {f"{name}_{end}": ends[i] for name, ends in found.items() for i, end in enumerate(("low", "high"))}
    return replace(row, metrics=row.metrics | bounds)


def _remarks(rows: list[Reports]) -> list[str]:
    """Return notes about results that can't tell anything new."""
    remarks = [f"{rows[0].name} is the only result: name another one to compare it with"] if len(rows) == 1 else []
    for row in rows:
        first = next(other for other in rows if other.content == row.content)
        if first is not row:
            remarks.append(f"{row.name} has the same model as {first.name}; they count once")
        if (other := row.metrics.get("test_accuracy_without_copies")) is not None:
            n, accuracy = row.metrics["test_n_copies"], row.metrics["test_accuracy"]
            noun = "copy" if n == 1 else "copies"
            remarks.append(f"{row.name}: {accuracy:.2%}, without {n:.0f} {noun} of training images {other:.2%}")
    return remarks


def read_named(names: list[str], trainings: list[record.Record]) -> list[Reports]:
    """Read the named results, each once."""
    found = [workspace() if name == WORKSPACE else revisions.find(name) for name in names]
    unique = {result.commit: result for result in reversed(found)}
    return [read_reports(result, trainings) for result in reversed(unique.values())]


def workspace() -> Result:
    """Return the result in the workspace, under the name that DVC gives it."""
    return replace(revisions.workspace(), name=WORKSPACE)


def read_all(trainings: list[record.Record], notes: list[str]) -> list[Reports]:
    """Read HEAD, its experiments, and the workspace if it differs from them; add a note for each that can't be read."""
    head = git("rev-parse", "HEAD")
    found = [experiment for experiment in revisions.experiments() if experiment.origin[BASELINE_TAG] == head]
    if not found:
        raise UserError(
            f"commit {head[:7]} has no experiments" if head else "found no experiments: this repository has no commit",
            "make one: dvc exp run -S learning_rate=0.0003; or name experiments of other commits, which "
            "`dvc exp list --all` lists",
        )
    rows: list[Reports] = []
    for result in [revisions.find("HEAD"), *found, workspace()]:
        try:
            if result.commit or result.stages not in [row.result.stages for row in rows]:
                rows.append(read_reports(result, trainings))
        except UserError as error:
            notes.append(f"skipped {result.name}: {error.problem}; {error.fix}")
    if not rows:
        raise UserError("no result can be read: " + "; ".join(notes), "dvc repro")
    return rows


def by_validation(row: Reports) -> tuple[float, float]:
    """Return the key by which results are sorted: the validation accuracy, then the lower validation loss."""
    return row.metrics.get("validation_accuracy", 0.0), -row.metrics.get("validation_loss", 0.0)


def _params(rows: Sequence[Reports]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row.params))


def _differing(rows: Sequence[Reports]) -> list[str]:
    """Return the parameters that not all results share; older versions of this project have fewer parameters."""
    return [key for key in _params(rows) if any(row.params.get(key) != rows[0].params.get(key) for row in rows)]


def _check_known(keys: list[str], rows: Sequence[Reports]) -> None:
    """Check that each name is a parameter.

    Raises:
        UserError: one isn't.
    """
    for key in keys:
        if key not in (known := _params(rows)):
            close = difflib.get_close_matches(key, known, n=1)
            fix = f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(known)}"
            raise UserError(f"--group-by: no result has a parameter {key!r}", fix)


def _groups(rows: Sequence[Reports], keys: list[str]) -> list[Group]:
    """Group results by parameters, in the order of their first result."""
    members: dict[str, list[Reports]] = {}
    for row in rows:
        members.setdefault(json.dumps([row.params.get(key) for key in keys]), []).append(row)
    return [_group(group, keys) for group in members.values()]


def distinct(rows: Sequence[Reports]) -> list[Reports]:
    """Return the results without those that have the same model and metrics as an earlier one."""
    unique = {row.content: row for row in reversed(rows)}
    return list(reversed(unique.values()))


def _group(members: list[Reports], keys: list[str]) -> Group:
    """Summarise results. The same training counts once, even if several experiments have it."""
    from reprocnn.evaluation.comparison import spread

    trainings = distinct(members)
    seconds = [row.seconds for row in trainings if row.seconds is not None]
    values = {name: [row.metrics[name] for row in trainings if name in row.metrics] for name in members[0].metrics}
    metrics = {name: spread(found) for name, found in ({**values, "seconds": seconds}).items() if found}
    return Group({key: members[0].params.get(key) for key in keys}, [row.name for row in members], metrics)


def _pair(first: Reports, second: Reports, answers: Answers) -> Pair:
    """Compare two results on the test images that both have."""
    tables = answers[first.result.commit], answers[second.result.commit]
    for table in tables:
        if isinstance(table, UserError):
            return Pair(first.name, second.name, refused=table)
    return pair_of((first.name, second.name), tables, _reason(first, second))  # type: ignore[arg-type]


def pair_of(names: tuple[str, str], tables: "tuple[pd.DataFrame, pd.DataFrame]", reason: str = "") -> Pair:
    """Compare two tables of predictions on the test images that both have.

    Args:
        names: what the predictions are of.
        tables: the predictions, each as `read_predictions` returns it.
        reason: why they may have few images in common, for the message.
    """
    from reprocnn.evaluation import comparison

    images = comparison.match(*tables)
    if len(images) < comparison.MIN_COMMON:
        n, least = len(images), comparison.MIN_COMMON
        few = f"{names[0]} and {names[1]} have {n} test images in common, and a comparison takes at least {least}"
        same = "compare experiments on the same images"
        more = "have more test images, for example with a larger `test_fraction`"
        fix = more if n == max(map(len, tables)) else same
        return Pair(*names, refused=UserError(few + reason, fix))
    right = [(images[f"predicted_{number}"] == images["actual"]).to_numpy(bool) for number in (1, 2)]
    one_alone = images[right[0] != right[1]].to_dict("records")
    return Pair(*names, comparison.compare(*right), tuple(one_alone))


def _reason(first: Reports, second: Reports) -> str:
    """Return which parameters may be the reason that two results have few images in common; empty if none."""
    keys = ("dataset", "folder", "image_size", "color_mode", "white", "test_fraction", "split_seed")
    reasons = [key for key in keys if first.params.get(key) != second.params.get(key)]
    return f"; they differ in {', '.join(reasons)}" if reasons else ""


def _best(rows: list[Reports], answers: Answers, best_by: BestBy) -> Best:
    """Compare the best result with each of the others, with Holm's correction."""
    from reprocnn.evaluation.comparison import holm

    rows = distinct(rows)
    by_test = max(rows, key=_test_accuracy)
    best = rows[0] if best_by == "validation" else by_test
    pairs = [_pair(row, best, answers) for row in rows if row is not best]
    adjusted = iter(holm([pair.comparison.p_value for pair in pairs if pair.comparison]))
    corrected = [replace(pair, p_holm=next(adjusted)) if pair.comparison else pair for pair in pairs]
    return Best(best.name, f"{best_by}_accuracy", _warning(best, by_test, best_by, len(rows)), corrected)


def _test_accuracy(row: Reports) -> float:
    return row.metrics.get("test_accuracy", 0.0)


def _warning(best: Reports, by_test: Reports, best_by: BestBy, k: int) -> str:
    """Return a sentence if test images chose the best one, or tempt to; else an empty one."""
    if best_by == "test":
        return (
            f"{best.name} was chosen as the best of {k} by test accuracy: that accuracy is an overestimate, and the "
            "p-values are too small; choose by validation accuracy, the default"
        )
    if _test_accuracy(by_test) <= _test_accuracy(best):
        return ""
    return (
        f"{by_test.name} has the highest test accuracy of {k}, but the highest of several is an overestimate; choose "
        "by validation accuracy, as here"
    )


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as values that JSON can represent."""
    return {
        "results": [_row_json(row) for row in report.rows],
        "differing": report.differing,
        "groups": [asdict(group) for group in report.groups],
        "pair": _pair_json(report.pair) if report.pair else None,
        "best": _best_json(report.best) if report.best else None,
        "notes": report.notes,
    }


def _row_json(row: Reports) -> dict[str, Any]:
    where = {"name": row.name, "commit": row.result.commit or None}
    return {**where, "params": row.params, "metrics": row.metrics, **row.size, "seconds": row.seconds}


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        **(asdict(pair.comparison) if pair.comparison else {}),
        **({"p_holm": pair.p_holm} if pair.p_holm is not None else {}),
        "refused": pair.refused.problem if pair.refused else None,
        "images": list(pair.images),
    }


def _best_json(best: Best) -> dict[str, Any]:
    return {**vars(best), "warning": best.warning or None, "pairs": [_pair_json(pair) for pair in best.pairs]}
