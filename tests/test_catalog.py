import importlib
import os
import subprocess
import sys

import pytest

from checkouts import ROOT
from reprocnn.catalog import DATA_SETS, MODELS
from reprocnn.data.load import load
from reprocnn.params import DownloadParams, ModelParams
from reprocnn.run.downloads import places


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
    assert (len(data.labels), data.images.shape[1:]) == (row.images, row.image_shape)


def test_the_catalog_imports_no_module_of_this_project_and_no_large_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import reprocnn.catalog\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert not new & {'numpy', 'pydantic', 'keras', 'tensorflow', 'pandas'}, new\n"
        "assert [n for n in sys.modules if n.startswith('reprocnn')] == ['reprocnn', 'reprocnn.catalog']"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
