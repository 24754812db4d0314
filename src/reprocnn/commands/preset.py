"""Set params.yaml to a preset, a complete recipe."""

import difflib
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reprocnn.artifacts.files import atomic_file
from reprocnn.errors import UserError
from reprocnn.params import PARAMS, FitParams, ModelParams, Params, check, load_params, read_params

FOLDER = Path("presets")
_OTHER_KEYS = {"validation_fraction", "normalization", "tta"}
_RECIPE_KEYS = ({*ModelParams.model_fields, *FitParams.model_fields} - {"seed"}) | _OTHER_KEYS
"""The keys that a preset sets, to their defaults if it doesn't name them; not data, test split, seed and machine."""


def list_presets() -> None:
    """Print the name of each preset and the comments in its file."""
    for path in sorted(FOLDER.glob("*.yaml")):
        comments = [line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("#")]
        for name, line in zip_longest([path.stem], comments, fillvalue=""):
            print(f"{name:<14} {line}".rstrip())


def apply_preset(name: str) -> None:
    """Set params.yaml to a preset and print the values that changed.

    Options that are not in `_RECIPE_KEYS` keep their values unless the preset sets them.

    Raises:
        UserError: there is no such preset, or params.yaml is invalid, before or with its values.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in FOLDER.glob("*.yaml"))
        close = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean `{close[0]}`?" if close else f"use one of: {', '.join(known)}"
        raise UserError(f"there is no preset `{name}`", fix)
    load_params(Params)
    yaml = YAML()
    values: Any = yaml.load(PARAMS)
    recipe = {key: Params.model_fields[key].default for key in Params.model_fields if key in _RECIPE_KEYS}
    recipe |= read_params(path)
    check(Params, values | recipe, path)
    changes = [(key, value) for key, value in recipe.items() if values[key] != value]
    for key, value in changes:
        print(f"{key}: {values[key]} -> {value}")
        values[key] = value
    with atomic_file(PARAMS) as partial:
        yaml.dump(values, partial)
    if not changes:
        print(f"{PARAMS} has these values already")
