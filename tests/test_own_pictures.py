"""A person's folder of 60 pictures through everything: reading, splitting, training, auditing, cleaning, comparing."""

import json
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from checkouts import Checkout, stages_run

OPTIONS = (
    "dataset=folder",
    "folder=data/images",
    "image_size=32",
    "batch_size=8",
    "epochs=4",
    "unreadable=skip",
    "test_fraction=0.55",
)


def _make_pictures(folder: Path) -> None:
    """Cut 20 pictures of 100x100 pixels per class from three photographs, and plant faults.

    A temple is also, re-saved, among the flowers; another one also, equal, among the temples; a portrait is dark; and a
    flower is no picture.
    """
    file = str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    portrait = np.asarray(Image.open(file).convert("RGB").resize((600, 600)))
    photographs = {"temple": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg")}
    for name, photograph in {**photographs, "portrait": portrait}.items():
        (folder / name).mkdir(parents=True)
        corners = [(x, y) for y in range(0, 400, 100) for x in range(0, 600, 100)][-20:]
        for number, (x, y) in enumerate(corners):
            Image.fromarray(photograph[y : y + 100, x : x + 100]).save(folder / name / f"{number:02}.png")
    Image.open(folder / "temple" / "15.png").save(folder / "flower" / "saved again.jpg", quality=60)
    (folder / "temple" / "equal.png").write_bytes((folder / "temple" / "16.png").read_bytes())
    Image.open(folder / "portrait" / "10.png").point(lambda value: value // 8).save(folder / "portrait" / "10.png")
    (folder / "flower" / "broken.jpg").write_bytes(b"no picture")


def _run(checkout: Checkout, name: str, *changes: str) -> str:
    settings = [part for setting in (*OPTIONS, *changes) for part in ("-S", setting)]
    return checkout.run("dvc", "exp", "run", "-n", name, *settings)


@pytest.mark.slow
def test_a_folder_of_sixty_pictures_goes_through_everything(checkout: Checkout) -> None:
    _make_pictures(checkout.folder / "data" / "images")
    printed = _run(checkout, "first")
    assert stages_run(printed) == ["download", "preprocess", "train", "evaluate", "plot"]
    assert "skipped 1 file(s) that can't be read" in printed
    assert "copies: " in printed
    report = (checkout.folder / "reports/report.html").read_text()
    assert "flower/broken.jpg: not an image that Pillow can read" in report
    assert "Copies with different labels" in report
    assert "saved again.jpg</bdi>" in report
    assert "flower/broken.jpg" in (checkout.folder / "reports/model_card.md").read_text()

    lines = checkout.reprocnn("audit", "--json", "--no-training").splitlines()
    findings = [json.loads(line) for line in lines if line.startswith("{")]
    found = {(finding["kind"], *sorted(finding["files"])) for finding in findings}
    assert ("conflict", "flower/saved again.jpg", "temple/15.png") in found
    assert ("duplicate", "temple/16.png", "temple/equal.png") in found
    assert ("dark", "portrait/10.png") in found
    checkout.reprocnn("audit", "--no-training")
    assert "saved again.jpg" in (checkout.folder / "reports/audit.html").read_text()

    with (checkout.folder / "data/exclude.csv").open("a") as file:
        file.write("flower/saved again.jpg,test,conflict\n")
    with (checkout.folder / "data/relabel.csv").open("a") as file:
        file.write("portrait/10.png,temple,test,only to try it\n")
    printed = _run(checkout, "cleaned")
    assert "left out 1 image(s) (data/exclude.csv), changed the label of 1 (data/relabel.csv)" in printed
    assert "first" in (compared := checkout.reprocnn("compare", "first", "cleaned"))
    assert "McNemar" in compared

    printed = _run(checkout, "apart", "split_by=near_duplicate")
    assert "0 test image(s) are copies of training images" in printed
