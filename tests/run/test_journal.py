import json
from pathlib import Path

import pytest

from reprocnn.artifacts.history import Epoch
from reprocnn.run import journal, state
from reprocnn.run.journal import Event, Journal

EPOCH = Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.001)


def _kinds(training: str) -> list[str]:
    return [event.kind for event in journal.read(training)]


def test_events_are_read_in_order_with_their_values(here: Path) -> None:
    woken: list[int] = []
    events = Journal("key-1", lambda: woken.append(1))
    events.add("begin", params={"epochs": 2})
    events.epoch(EPOCH, 2.5)
    journal.append("key-1", "end", at=9.5, status="FINISHED")
    assert _kinds("key-1") == ["begin", "epoch", "end"]
    assert journal.read("key-1")[0].values == {"params": {"epochs": 2}}
    assert journal.read("key-1")[1].values == {**vars(EPOCH), "seconds": 2.5}
    assert journal.read("key-1")[2] == Event("end", 9.5, {"status": "FINISHED"})
    assert len(woken) == 2
    assert journal.read("another") == []


@pytest.mark.parametrize("cut", [1, 2, 20, 80])
def test_a_line_cut_off_by_a_kill_is_ignored_and_the_next_is_complete(here: Path, cut: int) -> None:
    for _ in range(2):
        Journal("key-1").epoch(EPOCH, 1.0)
    file = state.journals() / "key-1.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    complete = cut == 1  # only the newline is missing
    assert _kinds("key-1") == ["epoch"] * (1 + complete)
    journal.append("key-1", "end", status="KILLED")
    assert _kinds("key-1") == ["epoch"] * (1 + complete) + ["end"]


def test_invalid_lines_are_ignored(here: Path) -> None:
    journal.append("key-1", "begin")
    with (state.journals() / "key-1.jsonl").open("ab") as file:
        file.write(b'\xff\n[]\n{}\n3\n{"event": "end"}\n\n')
    journal.append("key-1", "trained", model_md5="m")
    assert _kinds("key-1") == ["begin", "trained"]


def test_trainings_are_sorted_by_start_time(here: Path) -> None:
    for training, at in (("b-2", 2.0), ("b-1", 3.0), ("a-1", 1.0)):
        journal.append(training, "begin", at=at)
    journal.append("c-1", "epoch")  # its begin was lost
    assert journal.trainings() == ["a-1", "b-2", "b-1"]
    assert journal.trainings("b") == ["b-2", "b-1"]
    assert journal.new_id("k" * 32).startswith("k" * 16 + "-")
    assert journal.new_id("k" * 32) != journal.new_id("k" * 32)


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["begin"], "RUNNING"),
        (["begin", "epoch", "end"], "FINISHED"),
        (["begin", "end", "run"], "FINISHED"),
        (["begin", "end", "begin", "epoch"], "RUNNING"),
    ],
)
def test_the_status_is_that_of_the_last_attempt(here: Path, kinds: list[str], status: str) -> None:
    for kind in kinds:
        journal.append("key-1", kind, **({"status": "FINISHED"} if kind == "end" else {}))
    assert journal.status(journal.read("key-1")) == status


def test_lines_that_did_not_fit_on_the_disk_are_written_later(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.journals().parent.mkdir(parents=True)
    state.journals().write_text("in the way")
    for kind in ("begin", "epoch"):
        journal.append("key-1", kind)
    assert _kinds("key-1") == ["begin", "epoch"]
    assert journal.trainings() == []
    assert capsys.readouterr().out.count("warning: can't write the journal (File exists)") == 1
    state.journals().unlink()
    journal.append("key-1", "end", status="FINISHED")
    assert _kinds("key-1") == ["begin", "epoch", "end"]
    assert len((state.journals() / "key-1.jsonl").read_text().splitlines()) == 3


def test_each_event_is_one_line_of_json(here: Path) -> None:
    journal.append("key-1", "origin", diff="+é\n-ü\u2028")
    (line,) = (state.journals() / "key-1.jsonl").read_text().splitlines()
    assert json.loads(line)["diff"] == "+é\n-ü\u2028"
