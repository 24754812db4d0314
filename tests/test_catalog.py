import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from reprocnn.catalog import DATA_SETS, MODELS
from reprocnn.data.load import load
from reprocnn.params import DownloadParams, ModelParams
from reprocnn.run.downloads import places

TINY = '''"""A network of one dense layer."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def network(x: Tensor, n_classes: int, *, dropout: float = 0.0) -> Tensor:
    """Apply Flatten-output."""
    return layers.output(layers.dropout(layers.flatten(x), dropout), n_classes)
'''
ROW = '    "tiny": Model(options=("dropout",), source="this test", accuracy="not measured"),\n'


@pytest.mark.parametrize(("key", "rows"), [("model", MODELS), ("dataset", DATA_SETS)])
def test_the_comment_in_params_yaml_names_only_rows(key: str, rows: dict[str, object]) -> None:
    (line,) = (x for x in (ROOT / "params.yaml").read_text().splitlines() if x.startswith(f"{key}:"))
    assert set(line.split("# ")[1].split(" | ")) <= set(rows)  # `reprocnn models` lists them all


def test_each_model_is_a_file_and_each_option_a_key_that_a_model_supports() -> None:
    files = {path.stem for path in (ROOT / "src/reprocnn/models").glob("*.py")}
    assert files - {"__init__", "build", "costs", "layers"} == set(MODELS)
    options = {option for row in MODELS.values() for option in row.options}
    assert options == set(ModelParams.model_fields) - {"model"}
    for row in MODELS.values():
        assert row.source
        assert row.accuracy
        assert {key for variant in row.variants for key in variant} <= set(row.options)


def test_each_data_set_is_a_module_of_its_name() -> None:
    for name in DATA_SETS:
        assert callable(importlib.import_module(f"reprocnn.data.{name}").load)


def test_the_row_of_digits_agrees_with_the_data() -> None:
    data, row = load(DownloadParams(), places()), DATA_SETS["digits"]
    assert (len(data.labels), data.image_shape) == (row.images, row.image_shape)


def test_the_catalog_imports_no_module_of_this_project_and_no_large_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import reprocnn.catalog\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert not new & {'numpy', 'pydantic', 'keras', 'tensorflow', 'pandas'}, new\n"
        "assert [n for n in sys.modules if n.startswith('reprocnn')] == ['reprocnn', 'reprocnn.catalog']"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})


def test_a_model_is_added_by_one_file_and_one_row(here: Path) -> None:
    source = here / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "reprocnn/models/tiny.py").write_text(TINY)
    catalog = source / "reprocnn/catalog.py"
    text, added = re.subn(r"^(MODELS: .*\n)", rf"\g<1>{ROW}", catalog.read_text(), flags=re.MULTILINE)
    assert added == 1
    catalog.write_text(text)
    params = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(re.sub(r"^model: \w+", "model: tiny", params, flags=re.MULTILINE))
    code = (
        "from reprocnn.models.build import build\n"
        "from reprocnn.params import TrainParams, load_params\n"
        "model = build(load_params(TrainParams), (8, 8, 1), 10, 0)\n"
        "assert (model.name, model.count_params()) == ('tiny', 650)"
    )
    own = os.environ | {"PYTHONPATH": str(source)}
    subprocess.run([sys.executable, "-c", code], check=True, env=own)
    command = [sys.executable, "-m", "reprocnn", "models", "--image", "8x8x1"]
    printed = subprocess.run(command, check=True, env=own, capture_output=True, text=True).stdout
    assert re.search(r"^tiny +1 +650 .* this test; not measured\n +takes dropout$", printed, re.MULTILINE)
