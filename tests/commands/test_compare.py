"""Compare made-up results in a Git repository; test_pipeline.py's checkout has real ones."""

import base64
import json
import re
import subprocess
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom, binomtest
from statsmodels.stats.multitest import multipletests

from checkouts import ROOT
from made_results import N_VALIDATION, N, Repository
from reprocnn import cli
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.scores import METRICS
from reprocnn.commands import compare_page
from reprocnn.ledger import revisions
from reprocnn.run import journal


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    cli.main(["compare", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_head_and_its_experiments_are_compared_by_default(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"commit \w{7} has no experiments\n  fix: make one: dvc exp run"):
        cli.main(["compare"])
    repository.experiment("wide", model="mlp", width=64, wrong=range(5))
    report = _json(capsys)
    assert [row["name"] for row in report["results"]] == ["HEAD", "wide"]
    assert report["differing"] == ["width"]
    first, wide = report["results"]
    assert (first["params"], wide["params"]["width"]) == ({"seed": 0, "model": "mlp"}, 64)
    assert wide["metrics"]["test_accuracy"] == 0.95
    assert wide["metrics"]["test_accuracy_low"] < 0.95 < wide["metrics"]["test_accuracy_high"]
    assert (wide["parameters"], wide["mflops"], wide["seconds"]) == (1234, 0.5, None)
    repository.write(model="mlp", wrong=range(20))  # an uncommitted result
    assert [row["name"] for row in _json(capsys)["results"]] == ["HEAD", "wide", "workspace"]
    assert [row["name"] for row in _json(capsys, "workspace", "wide")["results"]] == ["workspace", "wide"]


def test_experiments_of_another_commit_are_compared_by_name(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("old", model="vgg")
    repository.commit(model="lenet")
    with pytest.raises(SystemExit, match="has no experiments"):
        cli.main(["compare"])
    assert [row["name"] for row in _json(capsys, "old", "HEAD", "main")["results"]] == ["old", "HEAD"]
    with pytest.raises(SystemExit, match=r"no experiment or revision is called 'nothing'\n  fix: `dvc exp list"):
        cli.main(["compare", "old", "nothing"])


def test_validation_accuracy_and_macro_f1_have_intervals(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = _json(capsys, "HEAD")["results"]
    expected = binomtest(36, N_VALIDATION).proportion_ci(method="wilson")
    bounds = [row["metrics"][f"validation_accuracy_{end}"] for end in ("low", "high")]
    assert bounds == pytest.approx([expected.low, expected.high])
    # All images are cats, so the macro F1 is that of one class: 2 a / (1 + a), which increases with the accuracy a.
    low, high = (value / N for value in binom(N, 0.9).ppf([0.025, 0.975]))
    found = [row["metrics"][f"test_macro_f1_{end}"] for end in ("low", "high")]
    assert found == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)], abs=0.01)
    cli.main(["compare", "HEAD", "--html"])
    assert "76.95%" not in capsys.readouterr().out, "the table in a terminal has no place for them"
    assert f'>90.00%<span class="interval">{bounds[0]:.2%} to {bounds[1]:.2%}</span></td>' in _page()
    assert f'<span class="interval">{found[0]:.4f} to {found[1]:.4f}</span></td>' in _page()


def test_intervals_that_need_missing_files_are_left_out(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (repository.folder / ".dvc/cache").rglob("*"):
        if file.is_file():
            file.unlink()
    (row,) = _json(capsys, "HEAD", "--html")["results"]
    assert [name for name in row["metrics"] if name.endswith("_low")] == ["test_accuracy_low"]
    assert '>90.00%<span class="interval">-</span></td>' in _page()


def test_one_result_is_shown_with_a_note(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["compare", "HEAD"])
    printed = capsys.readouterr().out
    assert "90.00%   82.56% to 94.48%" in printed
    assert "HEAD is the only result: name another one to compare it with" in printed


def test_two_results_are_tested_on_the_images_that_both_have(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    # Images 20 to 99, in another order; of these HEAD has none wrong.
    repository.experiment("other", model="vgg", images=range(119, 19, -1), wrong=[*range(30, 38), 110])
    pair = _json(capsys, "HEAD", "other")["pair"]
    assert (pair["n"], pair["both_right"], pair["only_first"], pair["only_second"]) == (80, 72, 8, 0)
    assert pair["p_value"] == pytest.approx(binomtest(8, 8).pvalue)
    assert pair["low"] <= pair["difference"] == -0.1 <= pair["high"] < 0
    assert pair["images"][0] == {
        "image": f"{30:016x}",
        "actual": "cat",
        "index_1": 30,
        "index_2": 89,
        "predicted_1": "cat",
        "predicted_2": "dog",
    }
    cli.main(["compare", "HEAD", "other"])
    printed = capsys.readouterr().out
    assert "both right 72, only HEAD 8, only other 0, both wrong 0" in printed
    assert "McNemar's exact test: p = 0.008; they differ significantly" in printed
    assert printed.count("000000000000") == 8
    assert all(line == line.rstrip() for line in printed.splitlines())


def test_a_long_list_of_images_is_cut(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.experiment("poor", model="vgg", wrong=range(10, 40))
    cli.main(["compare"])
    assert "... and 20 more; --json has all" in capsys.readouterr().out


def test_two_results_with_few_images_in_common_are_refused_after_the_table(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("split", split_seed=1, images=range(71, 171))
    message = "HEAD and split have 29 test images in common, and .* at least 30; they differ in split_seed\n  fix: "
    for arguments in ((), ("--json",)):
        with pytest.raises(SystemExit, match=message):
            cli.main(["compare", *arguments])
    table, report = capsys.readouterr().out.split("\n{\n", 1)
    assert "90.00%" in table
    assert "29 test images in common" in json.loads("{" + report)["pair"]["refused"]


def test_two_results_on_the_same_few_images_need_more_of_them(repository: Repository) -> None:
    for name in ("first", "second"):
        repository.experiment(name, model=name, images=range(20))
    message = "first and second have 20 test images in common, .* at least 30\n  fix: have more test images"
    with pytest.raises(SystemExit, match=message):
        cli.main(["compare", "first", "second"])


def test_predictions_without_hashes_are_refused_with_the_command_that_makes_them(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("old", model="vgg", momentum=0.5, has_hashes=False)
    with pytest.raises(SystemExit, match=r"predictions.csv of old has no hashes .*\n  fix: .* -S model=vgg -S mom"):
        cli.main(["compare"])
    assert "100.00%" in capsys.readouterr().out


def test_predictions_that_are_in_no_cache_are_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("pulled", model="vgg")
    repository.experiment("there", model="lenet", wrong=[1])
    for file in (repository.folder / ".dvc/cache").rglob("*"):
        if file.is_file() and b"dog" not in file.read_bytes():
            file.unlink()
    with pytest.raises(SystemExit, match=r"predictions.csv of pulled is neither in DVC's cache nor in a rem.*\n  fix"):
        cli.main(["compare", "HEAD", "pulled"])
    capsys.readouterr()
    cli.main(["compare"])
    printed = capsys.readouterr().out
    assert "not compared: reports/predictions.csv of pulled is neither" in printed
    assert printed.count("-9.00") == 1


def test_a_remote_that_cannot_be_read_is_reported(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.experiment("pulled", model="vgg", wrong=[1])
    for file in (repository.folder / ".dvc/cache").rglob("*"):
        if file.is_file():
            file.unlink()

    def fail(commit: str) -> None:
        raise ImportError("s3 needs 'dvc-s3'")

    monkeypatch.setattr(revisions, "_open_commit", fail)
    with pytest.raises(
        SystemExit,
        match=r"DVC can't get reports/predictions.csv of HEAD from its remote: s3 needs 'dvc-s3' .*\n  fix: ",
    ):
        cli.main(["compare"])


def test_results_without_reports_are_skipped_or_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("good", model="vgg")
    repository.write(model="lenet")
    METRICS.unlink()
    report = _json(capsys)
    assert [row["name"] for row in report["results"]] == ["HEAD", "good"]
    assert report["notes"][0].startswith("skipped workspace: workspace has no reports/metrics.json; dvc repro")
    METRICS.write_text('{"accuracy": 1}\n')
    with pytest.raises(SystemExit, match=r"metrics.json of workspace is not the one that its dvc.lock names\n  fix: "):
        cli.main(["compare", "good", "workspace"])


def test_groups_have_mean_standard_deviation_and_n(seeds: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["mlp-0", "mlp-1", "mlp-2", "vgg-0", "vgg-1", "vgg-2"]
    mlp, vgg = _json(capsys, *names)["groups"]
    assert (mlp["params"], vgg["params"]) == ({"model": "mlp"}, {"model": "vgg"})
    assert mlp["metrics"]["test_accuracy"] == pytest.approx({"mean": 0.89, "std": 0.01, "n": 3})
    assert vgg["names"] == ["vgg-0", "vgg-1", "vgg-2"]
    by_seed = _json(capsys, *names, "--group-by", "seed")["groups"]
    assert [(group["params"], len(group["names"])) for group in by_seed] == [
        ({"seed": 1}, 2),
        ({"seed": 0}, 2),
        ({"seed": 2}, 2),
    ]
    cli.main(["compare", *names])
    assert "mlp     3   91.67% ± 2.89%   89.00% ± 1.00%" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"no result has a parameter 'modle'\n  fix: did you mean 'model'\?"):
        cli.main(["compare", "--group-by", "modle"])


def test_the_same_training_counts_once(seeds: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    report = _json(capsys)  # HEAD is mlp-0
    assert "mlp-0 has the same model as HEAD; they count once" in report["notes"]
    assert [group["metrics"]["test_accuracy"]["n"] for group in report["groups"]] == [3, 3]
    assert len(report["best"]["pairs"]) == 5


def test_the_best_by_validation_is_compared_with_each_other_one(
    seeds: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    best = _json(capsys)["best"]
    assert (best["name"], best["chosen_by"]) == ("mlp-1", "validation_accuracy")
    assert best["warning"].startswith("vgg-2 has the highest test accuracy of 6, but")
    p_values = [pair["p_value"] for pair in best["pairs"]]
    expected = {"HEAD": (0, 1), "mlp-2": (1, 0), "vgg-0": (10, 11), "vgg-1": (5, 11), "vgg-2": (0, 11)}
    found = {pair["first"]: (pair["only_second"], pair["only_first"]) for pair in best["pairs"]}
    assert found == expected
    assert p_values == pytest.approx(
        [binomtest(a, a + b).pvalue for a, b in (expected[p["first"]] for p in best["pairs"])]
    )
    assert [pair["p_holm"] for pair in best["pairs"]] == pytest.approx(
        multipletests(p_values, method="holm")[1].tolist()
    )
    cli.main(["compare"])
    printed = capsys.readouterr().out
    assert "mlp-1, the best by validation accuracy, minus each other" in printed
    assert "warning: vgg-2 has the highest test accuracy of 6" in printed


def test_a_best_one_that_test_images_chose_is_warned_of(seeds: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    best = _json(capsys, "--best-by", "test")["best"]
    assert best["name"] == "vgg-2"
    assert best["warning"].startswith("vgg-2 was chosen as the best of 6 by test accuracy: that accuracy is an overest")


def test_the_training_time_is_that_of_the_journal(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    model = repository.model(0.9, range(10), {"seed": 0, "model": "mlp"})
    journal.append("key-1", "begin", key="key", params={}, hashes={}, environment={}, process="")
    for number in (1, 2):
        epoch = Epoch(number, 0.5, 0.5, 0.5, 0.5, 0.001)
        journal.append("key-1", "epoch", **vars(epoch), seconds=40.25)
    journal.append("key-1", "trained", model_md5=model, dataset="digits", metrics={})
    assert _json(capsys, "HEAD")["results"][0]["seconds"] == 80.5
    cli.main(["compare", "HEAD"])
    assert "1:20 min" in capsys.readouterr().out


def test_names_and_values_are_printed_as_they_are(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.experiment("b", folder="[red]a[/red]:smile:", batch_norm=True)
    cli.main(["compare"])
    printed = capsys.readouterr().out
    assert "[red]a[/red]:smile:" in printed
    assert "true" in printed


def test_a_narrow_terminal_shows_fewer_columns(
    seeds: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    shown = {}
    for width in (120, 80, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        cli.main(["compare", "mlp-0", "vgg-0", "vgg-1"])
        shown[width] = capsys.readouterr().out.partition("Groups")[0]
    assert "MFLOPs" in shown[120]
    assert "too narrow" not in shown[120]
    assert "90.00%   82.56% to 94.48%" in shown[80]
    assert "the terminal is too narrow for macro F1, MFLOPs" in shown[80]
    assert "the terminal is too narrow for macro F1, MFLOPs, parameters, time\n" in shown[60]


def test_the_page_has_tables_and_charts_and_loads_nothing(
    seeds: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds.experiment("folder", model="vgg", folder="</script><b>", wrong=range(3))
    cli.main(["compare", "--html", "--json"])
    assert len(json.loads(capsys.readouterr().out)["results"]) == 8
    page = compare_page.PAGE.read_text()
    assert "</script><b>" not in page, "values can't end the script"
    assert '<td class="right">&lt;/script&gt;&lt;b&gt;</td>' in page
    assert "vgg-2 has the highest test accuracy" in page
    (text,) = re.findall(r'id="charts-data">(.*?)</script>', page)
    curves, parallel = json.loads(text).values()
    assert {point["name"]: point["accuracy"] for point in curves["data"]["values"]}["mlp-1"] == pytest.approx(0.95)
    lines = parallel["data"]["values"]
    places = {point["axis"]: point["place"] for point in lines if point["name"] == "vgg-2"}
    assert places == pytest.approx({"model": 1, "seed": 1, "folder": 0, "validation": 0, "test": 1})


def test_the_page_shows_the_images_that_only_one_of_two_has_right(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.experiment("one", wrong=[7], model="mlp")
    repository.experiment("two", wrong=[3, 5], model="vgg")
    cli.main(["compare", "one", "two", "--html"])
    pictures = re.findall(
        r'<img src="data:image/png;base64,([^"]+)"[^>]*><figcaption>(.*?)</figcaption>', _page(), re.S
    )
    shown = [int(np.asarray(Image.open(BytesIO(base64.b64decode(content))))[0, 0]) for content, _ in pictures]
    assert shown == [3, 5, 7]
    assert ["one</bdi>, the other says\n<bdi>dog" in caption for _, caption in pictures] == [True, True, False]
    for file in (repository.folder / ".dvc/cache").rglob("*.dir"):
        file.unlink()
    cli.main(["compare", "one", "two", "--html"])
    assert "The images that only one has right" not in _page(), "without the images of the test split on this machine"


def _page() -> str:
    return compare_page.PAGE.read_text()


def test_neither_tensorflow_nor_mlflow_nor_dvc_is_imported(repository: Repository) -> None:
    repository.experiment("one", model="vgg")
    code = (
        "import sys; from reprocnn import cli; cli.main(['compare'])\n"
        "print({'tensorflow', 'keras', 'mlflow', 'dvc'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("set()\n")
