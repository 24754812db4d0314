"""Print a comparison of experiments as tables."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from reprocnn.commands.compare import Best, Group, Pair, Report
from reprocnn.ledger.reports import Reports

if TYPE_CHECKING:
    from reprocnn.evaluation.comparison import Spread

_MOST_IMAGES = 20
_WIDE = 1000
"""Width in characters of what is not printed to a terminal: as wide as the table."""
_RESULTS = "Results: accuracy on both splits"
_OPTIONAL = ("macro F1", "MFLOPs", "parameters", "time")
"""Columns of the results that a narrow terminal does not show; the first one is left out first."""


@dataclass(frozen=True)
class Section:
    """A part of a comparison.

    Args:
        title: its heading.
        table: its table, if it has one.
        lines: the sentences below the table.
    """

    title: str
    table: Table | None = None
    lines: list[str] = field(default_factory=list)


def print_report(report: Report) -> None:
    """Print the tables and sentences of a comparison."""
    console = _console()
    print_sections(sections(report, console.width))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def print_sections(made: list[Section]) -> None:
    """Print sections, each with an empty line below."""
    console = _console()
    for section in made:
        console.print(section.title, style="bold", soft_wrap=True)
        if section.table:
            _print_table(console, section.table)
        for line in section.lines:
            console.print(line, soft_wrap=True)
        if section.lines or section.table:
            print()


def sections(report: Report, width: int | None = None) -> list[Section]:
    """Return the tables and sentences of a comparison.

    Args:
        report: the comparison.
        width: width of the terminal in characters; None for a page, which also has the intervals that are too wide
            for a terminal.
    """
    made = [_results(report, width) if width else _results_of_page(report)]
    if any(len(group.names) > 1 for group in report.groups):
        made.append(Section("Groups: mean ± standard deviation of n trainings", _groups(report)))
    if report.pair:
        made += pair_sections(report.pair)
    if report.best:
        made.append(_best(report.best))
    return made + ([Section("Notes", None, report.notes)] if report.notes else [])


def _print_table(console: Console, table: Table) -> None:
    """Print a table without spaces at the ends of its lines."""
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n"))


def empty_table(text: list[str], numbers: list[str]) -> Table:
    """Make an empty table with columns of text and of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in text:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _results(report: Report, width: int) -> Section:
    """Make the table of results, without columns for which the terminal has no place."""
    unlimited = Console(width=_WIDE, markup=False, emoji=False)
    for n in range(len(_OPTIONAL) + 1):
        table = _results_table(report, _OPTIONAL[:n])
        if unlimited.measure(table).maximum <= width:
            break
    lines = [f"the terminal is too narrow for {', '.join(_OPTIONAL[:n])}"] if n else []
    return Section(_RESULTS, table, lines)


def _results_of_page(report: Report) -> Section:
    """Make the table of results with all columns and intervals."""
    return Section(f"{_RESULTS}, with 95 % intervals", _results_table(report, [], intervals=True))


def _results_table(report: Report, hidden: Sequence[str], intervals: bool = False) -> Table:
    """Make the table of results without some of its columns; for `intervals`, see `_measured`."""
    found = [_measured(row, intervals) for row in report.rows]
    measured = [{name: cell for name, cell in cells.items() if name not in hidden} for cells in found]
    table = empty_table(["experiment"], [*report.differing, *measured[0]])
    for row, cells in zip(report.rows, measured, strict=True):
        table.add_row(row.name, *(value_text(row.params.get(key)) for key in report.differing), *cells.values())
    return table


def _measured(row: Reports, intervals: bool) -> dict[str, str]:
    """Format the metrics, the time and the size of a result: column -> text.

    Args:
        row: the result.
        intervals: whether each metric has its interval in a second line; otherwise only the test accuracy has one.
    """
    parameters, mflops = row.size.get("parameters"), row.size.get("mflops")
    return {
        "validation": _score(row, "validation_accuracy", ".2%", intervals),
        "test": _score(row, "test_accuracy", ".2%", intervals),
        **({} if intervals else {"95 % interval": _interval(row, "test_accuracy", ".2%")}),
        "macro F1": _score(row, "test_macro_f1", ".4f", intervals),
        "time": _time(row.seconds),
        "parameters": "-" if parameters is None else f"{parameters:,}",
        "MFLOPs": "-" if mflops is None else f"{mflops:.2f}",
    }


def _score(row: Reports, metric: str, form: str, interval: bool) -> str:
    """Format a metric, with or without its interval in a second line; `-` if it is unknown."""
    value = row.metrics.get(metric)
    text = "-" if value is None else f"{value:{form}}"
    return f"{text}\n{_interval(row, metric, form)}" if interval else text


def _interval(row: Reports, metric: str, form: str) -> str:
    """Format the interval of a metric; `-` if it is unknown."""
    low, high = (row.metrics.get(f"{metric}_{end}") for end in ("low", "high"))
    return "-" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def _groups(report: Report) -> Table:
    """Make the table of groups."""
    numbers = ["n", "validation", "test", "macro F1", "time"]
    table = empty_table(report.grouped_by or ["group"], numbers)
    for group in report.groups:
        shared = [value_text(group.params.get(key)) for key in report.grouped_by] or ["all"]
        table.add_row(*shared, *_summary(group))
    return table


def _summary(group: Group) -> list[str]:
    """Format the number of trainings and the metrics of a group."""
    test, seconds = group.metrics.get("test_accuracy"), group.metrics.get("seconds")
    percents = [_spread(group.metrics.get(f"{split}_accuracy"), ".2%") for split in ("validation", "test")]
    f1 = _spread(group.metrics.get("test_macro_f1"), ".4f")
    return [str(test.n if test else 0), *percents, f1, _time(seconds.mean if seconds else None)]


def _spread(spread: "Spread | None", form: str) -> str:
    if not spread:
        return "-"
    return f"{spread.mean:{form}}" + ("" if spread.std is None else f" ± {spread.std:{form}}")


def pair_sections(pair: Pair) -> list[Section]:
    """Return the comparison of two results, and the images that only one has right; empty if it was refused."""
    made = pair.comparison
    if not made:
        return []
    verdict = "differ significantly" if made.p_value < 0.05 else "do not differ significantly"
    lines = [
        f"both right {made.both_right}, only {pair.first} {made.only_first}, only {pair.second} {made.only_second}, "
        f"both wrong {made.both_wrong}",
        f"accuracy of {pair.second} minus {pair.first}: {made.difference * 100:+.2f} points, 95 % interval "
        f"{made.low * 100:+.2f} to {made.high * 100:+.2f} (paired bootstrap)",
        f"McNemar's exact test: p = {_p(made.p_value)}; they {verdict}",
    ]
    whole = Section(f"{pair.first} and {pair.second} on the {made.n} test images that both have", None, lines)
    if not pair.images:
        return [whole]
    more = len(pair.images) - _MOST_IMAGES
    rest = [f"... and {more} more; --json has all"] if more > 0 else []
    return [whole, Section("Images that only one has right", _images(pair), rest)]


def _images(pair: Pair) -> Table:
    """Make the table of the images that only one of two results has right."""
    columns = ["image", "actual", f"predicted by {pair.first}", f"by {pair.second}"]
    places = [f"index in {pair.first}", f"in {pair.second}"]
    table = empty_table(columns, places)
    for row in pair.images[:_MOST_IMAGES]:
        names = ("image", "actual", "predicted_1", "predicted_2", "index_1", "index_2")
        table.add_row(*(str(row[name]) for name in names))
    return table


def _best(best: Best) -> Section:
    """Return the comparison of the best result with each of the others."""
    title = f"{best.name}, the best by {best.chosen_by.replace('_', ' ')}, minus each other, in points of accuracy"
    table = empty_table(["experiment"], ["images", "difference", "95 % interval", "p", "p (Holm)"])
    for pair in best.pairs:
        table.add_row(pair.first, *_pair_row(pair))
    refused = {(pair.refused.problem, pair.refused.fix): None for pair in best.pairs if pair.refused}
    lines = [f"not compared: {problem}; {fix}" for problem, fix in refused]
    return Section(title, table, lines + ([f"warning: {best.warning}"] if best.warning else []))


def _pair_row(pair: Pair) -> list[str]:
    made = pair.comparison
    if not made or pair.p_holm is None:
        return ["-"] * 5
    interval = f"{made.low * 100:+.2f} to {made.high * 100:+.2f}"
    return [str(made.n), f"{made.difference * 100:+.2f}", interval, _p(made.p_value), _p(pair.p_holm)]


def value_text(value: Any) -> str:
    """Format a parameter as params.yaml has it; `-` if this version of the project did not have it."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def percent(value: float | None) -> str:
    """Format a fraction in percent; `-` if it is unknown."""
    return "-" if value is None else f"{value:.2%}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _time(seconds: float | None) -> str:
    """Format a time; `-` if it is unknown."""
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02} min"
