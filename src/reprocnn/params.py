"""Every section of params.yaml: typed, frozen, validated. A stage asks for the section it reads.

`load_params` always checks the whole file, so that a wrong value stops the first stage that runs, before any work.
"""

import difflib
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

PARAMS = Path("params.yaml")

Auto = Literal["auto"]
ColorMode = Literal["rgb", "grayscale"]
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
    """Make the check that a value is one of these."""

    def check(value: Any) -> Any:
        if value not in values:
            raise ValueError(value)
        return value

    return AfterValidator(check)


def _split(value: Any) -> Any:
    """Return `flip_shift` as ("flip", "shift"), and `none` as (). What is not text stays, for the checks after this."""
    if not isinstance(value, str):
        return value
    return () if value == "none" else tuple(value.split("_"))


def _in_order(kinds: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
    """Return the kinds of augmentation; each is there once, in the order of AUGMENTATIONS, else raise ValueError."""
    if kinds != tuple(kind for kind in AUGMENTATIONS if kind in kinds):
        raise ValueError(kinds)
    return kinds


ModelName = Annotated[str, _one_of(MODELS), WithJsonSchema({"enum": list(MODELS)})]
DataSetName = Annotated[str, _one_of(DATA_SETS), WithJsonSchema({"enum": list(DATA_SETS)})]
Augmentations = Annotated[
    tuple[Augmentation, ...],
    BeforeValidator(_split),
    AfterValidator(_in_order),
    WithJsonSchema({"description": f"none | any of {', '.join(AUGMENTATIONS)} in this order, joined by `_`"}),
]
"""In params.yaml `none` or kinds joined by `_`, behind it a tuple of kinds."""
TestTimeAugmentations = Annotated[
    tuple[TestTimeAugmentation, ...],
    BeforeValidator(_split),
    _one_of(_TTA),
    WithJsonSchema({"enum": ["_".join(kinds) or "none" for kinds in _TTA]}),
]
"""In params.yaml `none`, `flip` or `flip_shift`, behind it a tuple of kinds."""
_NONE: Any = "none"
"""A default as in params.yaml, which messages and presets show; like all defaults it is parsed."""


class Section(BaseModel):
    """Keys of params.yaml that are read together."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        validate_default=True,  # the text of a default is parsed as that of params.yaml is
    )


class DownloadParams(Section):
    """What the download stage reads."""

    dataset: DataSetName = "digits"
    """Where the images come from."""
    folder: Annotated[str, Field(min_length=1)] = "data/README.md"
    """The user's own images: a folder or an archive with one folder per class. The default is a file in Git that stands
    for none: DVC needs something at this path, whatever the data set."""
    image_size: Annotated[int, Field(ge=4, le=1024)] = 32
    """Pixels a side that the images of `folder` are brought to."""
    color_mode: ColorMode = "rgb"
    """Channels that the images of `folder` are brought to."""
    white: Auto | Annotated[float, Field(gt=0, le=2**32 - 1)] = "auto"
    """White in images of `folder` of more than 8 bits per channel; `auto`: by the file, or else refused."""
    test_fraction: Fraction = 0.2
    """Part of the images kept as test split where the source has none."""
    split_seed: Seed = 0
    """Draws the splits."""


class PreprocessParams(Section):
    """What the preprocess stage reads."""

    validation_fraction: Fraction = 0.1
    """Part of the training images kept for validation."""
    split_seed: Seed = 0
    """Draws the splits."""
    normalization: NormalizationKind = "unit"
    """`unit`: pixels / 255; `standardize`: per-channel mean and std of the training split."""


class ModelParams(Section):
    """What builds the model; `auto` is the model's own value."""

    model: ModelName = "deep_cnn"
    """The architecture."""
    padding: Auto | Padding = "auto"
    """Padding of the convolutions."""
    strides: Auto | Annotated[int, Field(ge=1, le=4)] = "auto"
    """Stride in pixels of the first convolution of each block; of the first of all in alexnet."""
    pooling: Auto | Pooling = "auto"
    """Kind of the pooling layers."""
    dropout: Auto | Annotated[float, Field(ge=0, le=0.95)] = "auto"
    """Part of what dense layers are given that is dropped in training."""
    batch_norm: Auto | bool = "auto"
    """Whether convolutions are batch-normalised."""
    depth: Auto | Annotated[int, Field(ge=8, le=1000)] = "auto"
    """Layers of vgg and resnet."""
    width: Auto | Annotated[int, Field(ge=4, le=1024)] = "auto"
    """Channels of the first block of speednet; the next have four times as many."""


class MachineParams(Section):
    """How much of the machine is used; floating-point results depend on both."""

    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads of an operation; 0: one a core."""
    portable: bool = False
    """AVX2 at most, for the same model on more kinds of x86 CPU; needs `threads` above 0."""


class FitParams(Section):
    """How the model is fitted: the recipe."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Passes over the training split."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Images a step."""
    optimizer: OptimizerName = "adam"
    """sgd has Nesterov's momentum; muon is for kernels, with adamw for the output layer, biases and normalisation."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """The highest, where `schedule` or `warmup` change it."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd and muon."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Part of each kernel, times the learning rate, that a step takes away."""
    schedule: Schedule = "constant"
    """How the learning rate falls after the warm-up."""
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Part of the steps in which the learning rate rises."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Part of each label spread over all classes, in training."""
    augment: Augmentations = _NONE
    """Kinds of augmentation, joined by `_`."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of the moving average of the weights, which then is the model; 0: none."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Epochs without a better validation accuracy after which the training stops, with the best weights; 0: never."""
    class_weight: ClassWeight = "none"
    """`balanced`: images of rare classes weigh more in the loss."""
    precision: Precision = "float32"
    """Of the operations in training; weights and the saved model are float32."""
    seed: Seed = 0
    """Initial weights, dropout, augmentation and the order of the images, each with a seed derived from it."""


class TrainParams(ModelParams, FitParams, MachineParams):
    """What the train stage reads."""


class EvaluateParams(MachineParams):
    """What the evaluate stage reads."""

    top_k: Annotated[int, Field(ge=2, le=100)] = 5
    """A prediction counts for top-k accuracy if the class is among the k likeliest."""
    tta: TestTimeAugmentations = _NONE
    """Test-time augmentation: predictions averaged over changed images, reported beside the plain figure."""


class Params(DownloadParams, PreprocessParams, TrainParams, EvaluateParams):
    """The whole of params.yaml: each section, and no key beside them."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=Section)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2, where `1e-5` is a number (to PyYAML it is a string).

    Raises:
        UserError: the file is missing, is not YAML, or holds no keys.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing", f"git checkout -- {path}") from None
    except (YAMLError, ValueError) as error:  # ValueError: a date that does not exist, bytes that are no text
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML: {reason}", f"git diff -- {path}") from None
    if not isinstance(values, dict):
        found = type(values).__name__
        raise UserError(f"{path}: expected `key: value` lines, found {found}", f"git diff -- {path}")
    return values


def load_params(section: type[S], path: Path = PARAMS) -> S:
    """Check the whole of params.yaml and return one section of it.

    Raises:
        UserError: a key is unknown or missing, or its value is of the wrong type or out of range.
    """
    return check(section, read_params(path), path)


def check(section: type[S], values: dict[str, Any], path: Path) -> S:
    """Check values as those of the whole of params.yaml, and return one section of them.

    Args:
        section: to return.
        values: of all keys.
        path: what messages say they are from.

    Raises:
        UserError: a key is unknown or missing, or its value is of the wrong type or out of range.
    """
    if wrong := [key for key in values if not isinstance(key, str)]:
        raise UserError(f"{path}: expected text as key, found {wrong[0]!r}", f"remove `{wrong[0]}`")
    missing = [name for name in Params.model_fields if name not in values]
    if missing:
        default = Params.model_fields[missing[0]].default
        raise UserError(f"{path}: `{missing[0]}` is missing", f"add `{missing[0]}: {default}`")
    try:
        Params.model_validate(values)
    except ValidationError as error:
        # A union reports once for each of its members, all under one key: the first key tells enough.
        key = str(error.errors()[0]["loc"][0])
        raise _wrong_key(path, key, values[key]) from None
    _check_together(path, Params.model_validate(values))
    return section.model_validate(values)


def _check_together(path: Path, params: Params) -> None:
    """Refuse values that make no sense beside others."""
    default = DownloadParams().folder
    if params.dataset == "folder" and params.folder == default:
        problem = f"{path}: dataset: folder needs the folder of your images, found folder: {default}"
        raise UserError(problem, "`-S folder=data/images`, or where they are, with one folder per class in it")
    takes = MODELS[params.model].options
    for key in ModelParams.model_fields:
        value = getattr(params, key)
        if key not in ("model", *takes) and value != "auto":
            raise UserError(
                f"{path}: model: {params.model} has no {key}, found {key}: {value}",
                f"`-S {key}=auto`; {params.model} takes {', '.join(takes)}",
            )
    if params.portable and not params.threads:
        raise UserError(
            f"{path}: portable: true needs a number of threads, found threads: 0, which is that of the machine's cores",
            "for example `-S threads=2`, the same on each machine",
        )
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


def _wrong_key(path: Path, key: str, value: Any) -> UserError:
    """The message for a key that does not validate."""
    if key not in Params.model_fields:
        close = difflib.get_close_matches(key, Params.model_fields, n=1, cutoff=0.4)
        known = f"use one of: {', '.join(sorted(Params.model_fields))}"
        return UserError(f"{path}: unknown key `{key}`", f"did you mean `{close[0]}`?" if close else known)
    choices, words = _allowed(key)
    found = f"{value!r} ({type(value).__name__})"
    problem = f"{path}: {key}: found {found}, allowed: {words}"
    default = Params.model_fields[key].default
    if isinstance(value, str) and (close := difflib.get_close_matches(value, choices, n=1, cutoff=0.4)):
        return UserError(problem, f"did you mean `{close[0]}`?")
    return UserError(problem, f"for example `-S {key}={default}`, or edit {path}")


def _allowed(key: str) -> tuple[list[str], str]:
    """The choices of a key and what else it takes, in words, from its JSON schema."""
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
