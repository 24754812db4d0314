import re
import shutil
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn import cli
from reprocnn.params import Params, load_params, read_params

NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def presets(here: Path) -> Path:
    shutil.copytree(ROOT / "presets", here / "presets")
    return here


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_valid_and_prints_what_it_changed(
    presets: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_params()
    comments = [line.split("#")[1] for line in Path("params.yaml").read_text().splitlines() if ": " in line]
    cli.main(["preset", name])
    load_params(Params)
    after = read_params()
    wanted = read_params(presets / "presets" / f"{name}.yaml")
    assert {key: after[key] for key in wanted} == wanted
    changed = {key for key in after if after[key] != before[key]}
    assert changed <= set(wanted)
    printed = capsys.readouterr().out
    assert {line.split(":")[0] for line in printed.splitlines()} == changed
    assert comments == [line.split("#")[1] for line in Path("params.yaml").read_text().splitlines() if ": " in line]
    cli.main(["preset", name])
    assert capsys.readouterr().out == "params.yaml has these values already\n"


def test_a_second_preset_keeps_nothing_of_the_first(presets: Path) -> None:
    cli.main(["preset", "text-cifar10"])
    wanted = read_params()
    cli.main(["preset", "record"])
    cli.main(["preset", "text-cifar10"])
    assert read_params() == wanted


def test_a_preset_keeps_data_seed_and_machine(presets: Path) -> None:
    own = {"seed": 7, "threads": 2, "folder": "/data/pets", "test_fraction": 0.3, "dataset": "folder"}
    text = Path("params.yaml").read_text()
    for key, value in own.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{key}:"))
        text = text.replace(line, f"{key}: {value} # comment")
    Path("params.yaml").write_text(text)
    cli.main(["preset", "fast"])
    after = read_params()
    assert {key: after[key] for key in own} == own
    assert after["model"] == "speednet"


def test_presets_are_listed_with_the_accuracy_that_each_reached(
    presets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["preset"])
    printed = capsys.readouterr().out
    entries = re.split(r"^(?=\S)", printed, flags=re.MULTILINE)[1:]
    assert [text.split()[0] for text in entries] == NAMES
    assert all(re.search(r"\d\d\.\d\d .*%", text) for text in entries), printed


def test_a_preset_that_the_user_wrote_needs_no_comment(presets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (presets / "presets" / "own.yaml").write_text("epochs: 3\n")
    cli.main(["preset"])
    assert "own" in capsys.readouterr().out.splitlines()
    cli.main(["preset", "own"])
    assert load_params(Params).epochs == 3


def test_an_unknown_or_invalid_preset_is_refused(presets: Path) -> None:
    before = Path("params.yaml").read_text()
    with pytest.raises(SystemExit, match=r"there is no preset `fsat`\n  fix: did you mean `fast`\?"):
        cli.main(["preset", "fsat"])
    (presets / "presets" / "own.yaml").write_text("epochs: none\n")
    with pytest.raises(SystemExit, match="presets/own.yaml: epochs: found 'none'"):
        cli.main(["preset", "own"])
    (presets / "presets" / "own.yaml").write_text("# mine\nepoch: 3\n")
    with pytest.raises(SystemExit, match=r"presets/own.yaml: unknown key `epoch`\n  fix: did you mean `epochs`\?"):
        cli.main(["preset", "own"])
    (presets / "presets" / "own.yaml").write_text("# mine\n")
    with pytest.raises(SystemExit, match="presets/own.yaml: expected `key: value` lines"):
        cli.main(["preset", "own"])
    assert Path("params.yaml").read_text() == before
    assert not list(presets.glob(".*params*"))
