from pathlib import Path

import pytest

from reprocnn.errors import UserError
from reprocnn.params import FitParams, Params, TrainParams, load_params, read_params
from reprocnn.run import exits


def _set(here: Path, key: str, value: str) -> None:
    lines = (here / "params.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{key}:")]
    (here / "params.yaml").write_text("\n".join([*kept, f"{key}: {value}"]) + "\n")


def test_params_yaml_has_exactly_the_keys_and_defaults_of_the_schema(here: Path) -> None:
    assert read_params() == {name: f.default for name, f in Params.model_fields.items()}


def test_every_key_of_params_yaml_has_a_comment(here: Path) -> None:
    for line in (here / "params.yaml").read_text().splitlines():
        if line and not line.startswith("#"):
            assert "# " in line, line


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", "abc", "epochs: found 'abc' (str), allowed: a whole number from 1 to 10000"),
        ("class_pattern", "([a-z+", "found '([a-z+', unterminated character set at character 2, '[a-z+'"),
        (
            "class_pattern",
            "a+",
            "class_pattern: found 'a+', it has 0 groups in ( ), and none of them is (?P<class>...)",
        ),
        (
            "group_pattern",
            "(a)(b)",
            "group_pattern: found '(a)(b)', it has 2 groups in ( ), and none of them is (?P<group>...)",
        ),
        ("group_pattern", "5", "group_pattern: found 5 (int), allowed: none | a regular expression with one group"),
        ("label_column", "''", "label_column: found '' (str), allowed: text"),
        ("epochs", "0", "epochs: found 0 (int)"),
        ("epochs", "2.5", "epochs: found 2.5 (float)"),
        ("epochs", "true", "epochs: found True (bool)"),
        ("epochs", "", "epochs: found None (NoneType)"),
        ("epochs", "[1, 2]", "epochs: found [1, 2] (list)"),
        ("model", "resnext", "allowed: mlp | simple_cnn | deep_cnn"),
        ("model", "simpel_cnn", "did you mean `simple_cnn`?"),
        ("dataset", "mnst", "did you mean `mnist`?"),
        ("learning_rate", "-1", "learning_rate: found -1 (int), allowed: a number above 0"),
        ("learning_rate", ".nan", "learning_rate: found nan (float)"),
        ("learning_rate", ".inf", "learning_rate: found inf (float)"),
        ("learning_rate", "fast", "learning_rate: found 'fast' (str)"),
        ("batch_size", "-32", "batch_size: found -32"),
        ("seed", "-1", "seed: found -1"),
        ("split_seed", "x", "split_seed: found 'x'"),
        ("validation_fraction", "1.5", "validation_fraction: found 1.5"),
        ("test_fraction", "0", "test_fraction: found 0"),
        ("padding", "sme", "did you mean `same`?"),
        (
            "strides",
            "0",
            "strides: found 0 (int), allowed: auto | a whole number from 1 to 4\n  fix: for example `-S s",
        ),
        ("strides", "atuo", "did you mean `auto`?"),
        ("5", "x", "expected text keys, found the key 5"),
        ("folder", "2024-13-45", "is not YAML"),
        ("pooling", "min", "allowed: auto | max | average"),
        ("dropout", "1", "dropout: found 1 (int), allowed: auto | a number from 0 to 0.95"),
        ("normalization", "none", "allowed: unit | standardize"),
        ("image_size", "3", "image_size: found 3"),
        ("color_mode", "gray", "did you mean `grayscale`?"),
        ("folder", "5", "folder: found 5 (int), allowed: text"),
        ("top_k", "1", "top_k: found 1"),
        ("tta", "shift", "allowed: none | flip | flip_shift"),
        ("augment", "shift_flip", "allowed: none | any of flip, shift, rotate, zoom, contrast, cutout in this order"),
        ("augment", "flips", "allowed: none | any of flip"),
        ("augment", "flip_flip", "augment: found 'flip_flip'"),
        ("augment", "none_flip", "augment: found 'none_flip'"),
        ("augment", "[flip, shift]", "augment: found ['flip', 'shift'] (list)"),
        ("tta", "flip_shfit", "did you mean `flip_shift`?"),
        ("tta", "''", "tta: found ''"),
        ("augment", "''", "augment: found ''"),
        ("depth", "7", "depth: found 7 (int), allowed: auto | a whole number from 8 to 1000"),
        ("batch_norm", "1", "batch_norm: found 1 (int), allowed: auto | true | false"),
        ("warmup", "1", "warmup: found 1 (int), allowed: a number from 0 to 0.9"),
        ("ema", "1", "ema: found 1 (int), allowed: a number from 0, below 1"),
        ("weight_decay", "0.01", "optimizer: adam has no weight decay, found weight_decay: 0.01\n  fix: `-S weight_d"),
        ("momentum", "0.5", "optimizer: adam has no momentum, found momentum: 0.5\n  fix: `-S momentum=0.9`, or"),
        (
            "depth",
            "20",
            "model: deep_cnn does not support depth, found depth: 20\n  fix: `-S depth=auto`; deep_cnn supports ",
        ),
        ("epoch", "3", "unknown key `epoch`\n  fix: did you mean `epochs`?"),
        ("zzz", "3", "unknown key `zzz`\n  fix: use one of: augment, batch_norm"),
    ],
)
def test_a_wrong_value_raises_a_two_line_error(here: Path, key: str, value: str, expected: str) -> None:
    _set(here, key, value)
    with pytest.raises(UserError) as caught:
        load_params(FitParams)  # any section; the whole file is validated
    message = str(caught.value)
    assert expected in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("folder: https://me:hunter22@host/x.zip", "folder: found what looks like a password or a token"),
        ("folder: https://host/x.zip?sig=hunter22", "folder: found what looks like a password or a token"),
        ("class_pattern: ghp_hunter22hunter22hunter22", "class_pattern: found 'ghp_"),
        ("api_token: hunter22", "unknown key `api_token`"),
        ("api_token: hunter22: hunter22", "is not YAML"),
    ],
)
def test_a_secret_in_params_is_refused_and_not_shown(here: Path, text: str, expected: str) -> None:
    key, _, value = text.partition(": ")
    _set(here, key, value)
    problems: list[str] = []

    def load() -> None:
        try:
            load_params(FitParams)
        except UserError as error:
            problems.append(error.problem)
            raise

    shown = exits.run(load)
    assert expected in problems[0]
    assert "hunter22" not in str(shown)


def test_every_key_refuses_a_value_that_is_never_valid(here: Path) -> None:
    original = (here / "params.yaml").read_text()
    for key in Params.model_fields:
        (here / "params.yaml").write_text(original)
        _set(here, key, "{a: 1}")
        with pytest.raises(UserError, match=f"{key}: found"):
            load_params(TrainParams)


@pytest.mark.parametrize("number", ["1e-5", "1e-05", "1.0e-5", "0.00001"])
def test_a_number_in_scientific_notation_is_a_number(here: Path, number: str) -> None:
    _set(here, "learning_rate", number)
    assert load_params(TrainParams).learning_rate == 1e-5


def test_a_missing_key_a_missing_file_and_invalid_yaml_are_named(here: Path) -> None:
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("epochs:", "# epochs:"))
    with pytest.raises(UserError, match="`epochs` is missing"):
        load_params(TrainParams)
    (here / "params.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not YAML"):
        load_params(TrainParams)
    (here / "params.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="found list"):
        load_params(TrainParams)
    (here / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"params.yaml is missing"):
        load_params(TrainParams)


def test_text_with_several_choices_is_parsed_to_a_tuple(here: Path) -> None:
    assert (load_params(Params).augment, load_params(Params).tta) == ((), ())
    _set(here, "augment", "flip_shift_cutout")
    _set(here, "tta", "flip_shift")
    params = load_params(Params)
    assert (params.augment, params.tta) == (("flip", "shift", "cutout"), ("flip", "shift"))
    assert FitParams(**params.model_dump()).augment == params.augment


def test_portable_needs_a_fixed_number_of_threads(here: Path) -> None:
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("portable: false", "portable: true"))
    with pytest.raises(UserError, match=r"portable: true needs a fixed number of threads.*\n.*-S threads=2"):
        load_params(TrainParams)
    (here / "params.yaml").write_text(
        text.replace("portable: false", "portable: true").replace("threads: 0 ", "threads: 2 ")
    )
    assert load_params(TrainParams).portable


def test_low_resolution_needs_a_model_for_images_of_any_size(here: Path) -> None:
    _set(here, "low_resolution", "0.5")
    with pytest.raises(UserError, match=r"found model: deep_cnn\n  fix: .* models resnet, inception, speednet"):
        load_params(TrainParams)
    _set(here, "model", "resnet")
    assert load_params(TrainParams).low_resolution == 0.5


def test_a_pattern_has_one_group_or_a_group_of_its_name(here: Path) -> None:
    _set(here, "class_pattern", "'(?P<class>a)(b)'")
    _set(here, "group_pattern", "'(p1)'")
    params = load_params(Params)
    assert (params.class_pattern, params.group_pattern) == ("(?P<class>a)(b)", "(p1)")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"class_pattern": "(a)", "label_column": "x"}, "with class_pattern no table is read, found label_column: x"),
        ({"group_pattern": "(a)", "group_column": "x"}, "group_pattern and group_column both say what the groups are"),
    ],
)
def test_classes_and_groups_have_one_source(here: Path, values: dict[str, str], expected: str) -> None:
    for key, value in values.items():
        _set(here, key, f"'{value}'")
    with pytest.raises(UserError, match=expected):
        load_params(Params)
