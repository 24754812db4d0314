"""Define and validate the sections of params.yaml. Each stage loads the section that it reads.

`load_params` always checks the whole file, so a wrong value stops the first stage that runs, before it does any work.
"""

import difflib
import re
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprocnn.catalog import DATA_SETS, MODELS
from reprocnn.errors import UserError
from reprocnn.masking import masked, masked_message

PARAMS = Path("params.yaml")

Auto = Literal["auto"]
ColorMode = Literal["rgb", "grayscale"]
Unreadable = Literal["refuse", "skip"]
SplitBy = Literal["image", "group", "near_duplicate"]
NormalizationKind = Literal["unit", "standardize"]
Padding = Literal["same", "valid"]
Pooling = Literal["max", "average"]
OptimizerName = Literal["adam", "adamw", "sgd", "muon"]
Schedule = Literal["constant", "cosine", "one_cycle"]
ClassWeight = Literal["none", "balanced"]
Precision = Literal["float32", "bfloat16"]
Augmentation = Literal["flip", "shift", "rotate", "zoom", "contrast", "cutout"]
TestTimeAugmentation = Literal["flip", "shift"]

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
"""The kinds of augmentation, in the order in which they are applied."""
_TTA: tuple[tuple[TestTimeAugmentation, ...], ...] = ((), ("flip",), ("flip", "shift"))

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Fraction = Annotated[float, Field(ge=0.01, le=0.9)]


def _one_of(values: Container[Any]) -> AfterValidator:
    """Return a validator that accepts only these values."""

    def check(value: Any) -> Any:
        if value not in values:
            raise ValueError(value)
        return value

    return AfterValidator(check)


def _parse_kinds(value: Any) -> Any:
    """Parse `flip_shift` to ("flip", "shift") and `none` to (). Other types are left to the checks that follow."""
    if not isinstance(value, str):
        return value
    return () if value == "none" else tuple(value.split("_"))


def _check_order(kinds: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
    """Return the kinds of augmentation unchanged; raise ValueError unless they are unique and in order."""
    if kinds != tuple(kind for kind in AUGMENTATIONS if kind in kinds):
        raise ValueError(kinds)
    return kinds


def _pattern_problem(pattern: str, group: str) -> str:
    """Say why a text is not a regular expression with one group, or with one of this name; empty if it is."""
    try:
        regex = re.compile(pattern)
    except re.error as error:
        position = error.pos or 0
        return f"{error.msg} at character {position + 1}, {pattern[position:]!r}"
    if group in regex.groupindex or regex.groups == 1:
        return ""
    return f"it has {regex.groups} groups in ( ), and none of them is (?P<{group}>...)"


def _with_group(group: str) -> AfterValidator:
    """Return a validator that accepts `none`, and regular expressions with one group or a group of this name."""

    def check(value: str) -> str:
        if value != "none" and _pattern_problem(value, group):
            raise ValueError(value)
        return value

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1)]
_PATTERN = "none | a regular expression with one group"
ClassPattern = Annotated[str, _with_group("class"), WithJsonSchema({"description": f"{_PATTERN}, or one named class"})]
GroupPattern = Annotated[str, _with_group("group"), WithJsonSchema({"description": f"{_PATTERN}, or one named group"})]
ModelName = Annotated[str, _one_of(MODELS), WithJsonSchema({"enum": list(MODELS)})]
DataSetName = Annotated[str, _one_of(DATA_SETS), WithJsonSchema({"enum": list(DATA_SETS)})]
Augmentations = Annotated[
    tuple[Augmentation, ...],
    BeforeValidator(_parse_kinds),
    AfterValidator(_check_order),
    WithJsonSchema({"description": f"none | any of {', '.join(AUGMENTATIONS)} in this order, joined by `_`"}),
]
"""Tuple of kinds; in params.yaml `none`, or kinds joined by `_`."""
TestTimeAugmentations = Annotated[
    tuple[TestTimeAugmentation, ...],
    BeforeValidator(_parse_kinds),
    _one_of(_TTA),
    WithJsonSchema({"enum": ["_".join(kinds) or "none" for kinds in _TTA]}),
]
"""Tuple of kinds; in params.yaml `none`, `flip` or `flip_shift`."""
_NONE: Any = "none"
"""Default written as in params.yaml, so that messages and presets can show it. Pydantic parses it like any value."""


class Section(BaseModel):
    """Base class of the sections: keys of params.yaml that are read together."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        validate_default=True,  # so that defaults are parsed like values of params.yaml
    )


class DownloadParams(Section):
    """Parameters of the download stage."""

    dataset: DataSetName = "digits"
    """Data set to download or read."""
    folder: Text = "data/README.md"
    """Folder or archive of the user's images, with class folders or a table of labels. DVC needs an existing path for
    every data set, so the default is a file in Git that stands for "no folder"."""
    image_size: Annotated[int, Field(ge=4, le=1024)] = 32
    """Pixels per side to which the images of `folder` are resized."""
    color_mode: ColorMode = "rgb"
    """Color mode to which the images of `folder` are converted."""
    file_column: Text = "auto"
    """Column with the file names in a table among the images of `folder`; `auto`: find it; `none`: read no table."""
    label_column: Text = "auto"
    """Column with the classes; `auto`: find it; `none`: the folders are the classes."""
    group_column: Text = "auto"
    """Column with the group of each image, such as the patient; `auto`: find it."""
    class_pattern: ClassPattern = "none"
    """Regular expression that finds the class in the path of an image; `none`: use a table or the folders."""
    group_pattern: GroupPattern = "none"
    """Regular expression that finds the group in the path of an image; `none`: use `group_column`."""
    white: Auto | Annotated[float, Field(gt=0, le=2**32 - 1)] = "auto"
    """Value of white in images of `folder` with more than 8 bits per channel; `auto`: read it from the file."""
    unreadable: Unreadable = "refuse"
    """What to do with files of `folder` that can't be read as images."""
    test_fraction: Fraction = 0.2
    """Fraction of the images in the test split if the source has none."""
    split_seed: Seed = 0
    """Draws the splits."""
    split_by: SplitBy = "image"
    """What is kept in one split when a split is drawn: each image on its own, the images of a group, or copies of an
    image."""


class PreprocessParams(Section):
    """Parameters of the preprocess stage."""

    validation_fraction: Fraction = 0.1
    """Fraction of the training images in the validation split."""
    split_seed: Seed = 0
    """Draws the splits."""
    split_by: SplitBy = "image"
    """What is kept in one split when a split is drawn: each image on its own, the images of a group, or copies of an
    image."""
    normalization: NormalizationKind = "unit"
    """`unit`: pixels / 255; `standardize`: per channel, mean 0 and std 1 of the training split."""


class ModelParams(Section):
    """Architecture and its options; `auto` is the model's own default."""

    model: ModelName = "deep_cnn"
    """Name of the architecture."""
    padding: Auto | Padding = "auto"
    """Padding of the convolutions."""
    strides: Auto | Annotated[int, Field(ge=1, le=4)] = "auto"
    """Stride of the first convolution of each block; in alexnet only of the first convolution."""
    pooling: Auto | Pooling = "auto"
    """Kind of the pooling layers."""
    dropout: Auto | Annotated[float, Field(ge=0, le=0.95)] = "auto"
    """Dropout rate of the dense layers."""
    batch_norm: Auto | bool = "auto"
    """Whether batch normalisation follows each convolution."""
    depth: Auto | Annotated[int, Field(ge=8, le=1000)] = "auto"
    """Number of layers of vgg and resnet."""
    width: Auto | Annotated[int, Field(ge=4, le=1024)] = "auto"
    """Filters in the first block of speednet; later blocks have four times as many."""


class MachineParams(Section):
    """Use of the CPU; floating-point results depend on both parameters."""

    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads per operation; 0: one per core."""
    portable: bool = False
    """Use at most AVX2, for the same model on more kinds of x86 CPU; needs `threads` above 0."""


class FitParams(Section):
    """Training recipe."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Passes over the training split."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Images per step."""
    optimizer: OptimizerName = "adam"
    """sgd uses Nesterov momentum. muon updates the hidden kernels, with a rate relative to their norm, which stays the
    same; adamw updates the output layer, biases and normalisation parameters, with a fifth of the rate."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """Peak learning rate; `schedule` and `warmup` lower it."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd and muon."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Decoupled weight decay: each step subtracts rate x decay x kernel; with muon only of the output layer."""
    schedule: Schedule = "constant"
    """Learning-rate schedule after the warm-up."""
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Fraction of the steps in which the learning rate rises."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Fraction of each training label that is spread over all classes."""
    augment: Augmentations = _NONE
    """Kinds of augmentation; in params.yaml joined by `_`."""
    low_resolution: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Fraction of the steps, from the first, that train on images of 3/4 of the side."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """EMA momentum; the averaged weights become the model; 0: no average."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Early-stopping patience in epochs; restores the weights with the best validation accuracy; 0: off."""
    class_weight: ClassWeight = "none"
    """`balanced`: rare classes weigh more in the loss, so that all classes contribute equally."""
    precision: Precision = "float32"
    """Precision of the training operations; weights and the saved model are float32."""
    seed: Seed = 0
    """Seed from which the seeds of initial weights, dropout, augmentation and image order are derived."""


class TrainParams(ModelParams, FitParams, MachineParams):
    """Parameters of the train stage."""


class EvaluateParams(MachineParams):
    """Parameters of the evaluate stage."""

    top_k: Annotated[int, Field(ge=2, le=100)] = 5
    """k of top-k accuracy."""
    tta: TestTimeAugmentations = _NONE
    """Test-time augmentation: average the predictions for flipped, or flipped and shifted, copies of each image.
    Its accuracy is reported beside the plain one."""
    robustness: bool = True
    """Measure the accuracy on blurred, noisy, dark, compressed, rotated and shifted images."""


class Params(DownloadParams, PreprocessParams, TrainParams, EvaluateParams):
    """All of params.yaml: the keys of every section, and no others."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=Section)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2, where `1e-5` is a number (to PyYAML it is a string).

    Raises:
        UserError: the file does not exist, is not YAML, or has no keys.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing", f"git checkout -- {path}") from None
    except (YAMLError, ValueError) as error:  # ValueError: an impossible date, or bytes that are not text
        reason = " ".join(masked(str(error)).split())  # it may quote a line
        raise UserError(f"{path} is not YAML: {reason}", f"git diff -- {path}") from None
    if not isinstance(values, dict):
        found = type(values).__name__
        raise UserError(f"{path}: expected `key: value` lines, found {found}", f"git diff -- {path}")
    return values


def changed_params(path: Path = PARAMS) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, without `folder`, which is a path of one machine."""
    values = read_params(path)
    fields = {name: field.default for name, field in Params.model_fields.items() if name != "folder"}
    return {name: values[name] for name, default in fields.items() if values[name] != default}


def load_params(section: type[S], path: Path = PARAMS) -> S:
    """Validate all of params.yaml and return one section.

    Raises:
        UserError: a key is unknown or missing, or its value is of the wrong type or out of range.
    """
    return check(section, read_params(path), path)


def check(section: type[S], values: dict[str, Any], path: Path) -> S:
    """Validate the values of all keys and return one section.

    Args:
        section: the class of the section to return.
        values: key -> value, for all keys of params.yaml.
        path: the file that errors name.

    Raises:
        UserError: a key is unknown or missing, or its value is of the wrong type or out of range.
    """
    if wrong := [key for key in values if not isinstance(key, str)]:
        raise UserError(f"{path}: expected text keys, found the key {wrong[0]!r}", f"remove `{wrong[0]}`")
    missing = [name for name in Params.model_fields if name not in values]
    if missing:
        default = Params.model_fields[missing[0]].default
        raise UserError(f"{path}: `{missing[0]}` is missing", f"add `{missing[0]}: {default}`")
    try:
        Params.model_validate(values)
    except ValidationError as error:
        # For a union, pydantic reports one error per member, all with the same key; the first key is enough.
        key = str(error.errors()[0]["loc"][0])
        raise _wrong_key(path, key, values[key]) from None
    _refuse_secrets(path, values)
    _check_together(path, Params.model_validate(values))
    return section.model_validate(values)


def _refuse_secrets(path: Path, values: dict[str, Any]) -> None:
    """Refuse values with a secret, such as the password in a URL: Git, DVC and MLflow keep the params of each run."""
    for key, value in values.items():
        # Elsewhere than in a URL, a name such as that of a folder may look like a token.
        if isinstance(value, str) and "://" in value and masked_message(value) != value:
            problem = f"{path}: {key}: found what looks like a password or a token; Git, DVC and MLflow keep params"
            raise UserError(problem, f"remove it from {path}, and change it if you committed it")


def _check_together(path: Path, params: Params) -> None:
    """Refuse values that contradict each other."""
    default = DownloadParams().folder
    if params.dataset == "folder" and params.folder == default:
        problem = f"{path}: dataset: folder needs the folder of your images, found folder: {default}"
        raise UserError(problem, "`-S folder=data/images`, or another path; data/README.md says how folders are read")
    _check_layout(path, params)
    options = MODELS[params.model].options
    for key in ModelParams.model_fields:
        value = getattr(params, key)
        if key not in ("model", *options) and value != "auto":
            raise UserError(
                f"{path}: model: {params.model} does not support {key}, found {key}: {value}",
                f"`-S {key}=auto`; {params.model} supports {', '.join(options)}",
            )
    if params.low_resolution and not MODELS[params.model].any_size:
        able = ", ".join(name for name, model in MODELS.items() if model.any_size)
        raise UserError(
            f"{path}: low_resolution needs a model for images of any size, found model: {params.model}",
            f"`-S low_resolution=0`, or one of the models {able}",
        )
    if params.portable and not params.threads:
        raise UserError(
            f"{path}: portable: true needs a fixed number of threads, found threads: 0 (one per core)",
            "for example `-S threads=2`, with the same number on every machine",
        )
    _check_optimizer(path, params)


def _check_optimizer(path: Path, params: Params) -> None:
    """Refuse options that the optimizer does not have."""
    default = FitParams.model_fields["momentum"].default
    if params.momentum != default and params.optimizer not in ("sgd", "muon"):
        raise UserError(
            f"{path}: optimizer: {params.optimizer} has no momentum, found momentum: {params.momentum}",
            f"`-S momentum={default}`, or `-S optimizer=sgd`",
        )
    if params.weight_decay and params.optimizer == "adam":
        raise UserError(
            f"{path}: optimizer: adam has no weight decay, found weight_decay: {params.weight_decay}",
            "`-S weight_decay=0`, or `-S optimizer=adamw`",
        )


def _check_layout(path: Path, params: Params) -> None:
    """Refuse values that say twice where the classes or the groups of the user's images are."""
    if params.class_pattern != "none":
        for key in ("file_column", "label_column", "group_column"):
            if (value := getattr(params, key)) not in ("auto", "none"):
                raise UserError(
                    f"{path}: with class_pattern no table is read, found {key}: {value}",
                    f"`-S {key}=auto`, or `-S class_pattern=none`",
                )
    if params.group_pattern != "none" and params.group_column != "auto":
        raise UserError(
            f"{path}: group_pattern and group_column both say what the groups are",
            "`-S group_column=auto`, or `-S group_pattern=none`",
        )


def _wrong_key(path: Path, key: str, value: Any) -> UserError:
    """Return the error for a key that fails validation."""
    if key not in Params.model_fields:
        close = difflib.get_close_matches(key, Params.model_fields, n=1, cutoff=0.4)
        known = f"use one of: {', '.join(sorted(Params.model_fields))}"
        return UserError(f"{path}: unknown key `{key}`", f"did you mean `{close[0]}`?" if close else known)
    choices, words = _allowed(key)
    if key.endswith("_pattern") and isinstance(value, str):
        problem = _pattern_problem(value, key.removesuffix("_pattern"))
        return UserError(
            f"{path}: {key}: found {value!r}, {problem}", f"correct it in {path}, or `-S {key}=none`; allowed: {words}"
        )
    found = f"{value!r} ({type(value).__name__})"
    problem = f"{path}: {key}: found {found}, allowed: {words}"
    default = Params.model_fields[key].default
    if isinstance(value, str) and (close := difflib.get_close_matches(value, choices, n=1, cutoff=0.4)):
        return UserError(problem, f"did you mean `{close[0]}`?")
    return UserError(problem, f"for example `-S {key}={default}`, or edit {path}")


def _allowed(key: str) -> tuple[list[str], str]:
    """Return the choices of a key, and a description of all allowed values, from its JSON schema."""
    info = Params.model_fields[key]
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]
    schema = adapter.json_schema()
    members = schema.get("anyOf", [schema])
    choices = [str(c) for m in members for c in m.get("enum", [m["const"]] if "const" in m else [])]
    kinds = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true | false"}
    words = list(choices)
    for member in members:
        if "enum" in member or "const" in member:
            continue
        low = f" from {member['minimum']}" if "minimum" in member else ""
        if "exclusiveMinimum" in member:
            low = f" above {member['exclusiveMinimum']}"
        high = f" to {member['maximum']}" if "maximum" in member else ""
        if "exclusiveMaximum" in member:
            high = f", below {member['exclusiveMaximum']}"
        words.append(member.get("description") or kinds[member["type"]] + low + high)
    return choices, " | ".join(words)
