"""Every section of params.yaml: typed, frozen, validated. A stage asks for the section it reads.

`load_params` always checks the whole file, so that a wrong value stops the first stage that runs, before any work.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprocnn.errors import UserError

PARAMS = Path("params.yaml")

Auto = Literal["auto"]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Fraction = Annotated[float, Field(ge=0.01, le=0.9)]
AUGMENTATIONS = ("flip", "shift", "rotate", "zoom", "contrast", "cutout")
"""The kinds of augmentation, in the order in which they are done."""
_IN_ORDER = f"{', '.join(AUGMENTATIONS)} in this order, joined by `_`"


def _augmentation(value: str) -> str:
    """The value, where it is `none` or kinds of augmentation, in their order, joined by `_`."""
    ordered = "_".join(kind for kind in AUGMENTATIONS if kind in value.split("_"))
    if not value or value not in ("none", ordered):
        raise ValueError(value)
    return value


Augmentation = Annotated[
    str,
    AfterValidator(_augmentation),
    WithJsonSchema({"type": "string", "description": f"none | any of {_IN_ORDER}"}),
]


class Section(BaseModel):
    """Keys of params.yaml that are read together."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class DownloadParams(Section):
    """What the download stage reads."""

    dataset: Literal["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "folder"] = "digits"
    """Where the images come from."""
    folder: Annotated[str, Field(min_length=1)] = "data/README.md"
    """The user's own images: a folder or an archive with one folder per class. The default is a file in Git that stands
    for none: DVC needs something at this path, whatever the data set."""
    image_size: Annotated[int, Field(ge=4, le=1024)] = 32
    """Pixels a side that the images of `folder` are brought to."""
    color_mode: Literal["rgb", "grayscale"] = "rgb"
    """Channels that the images of `folder` are brought to."""
    white: Auto | Annotated[float, Field(gt=0, le=2**32 - 1)] = "auto"
    """White in images of `folder` of more than 8 bits per channel; `auto`: by the file, or else refused."""
    test_fraction: Fraction = 0.2
    """Part of the images kept as test split where the source has none."""
    split_seed: Seed = 0
    """Draws the splits."""

    @property
    def title(self) -> str:
        """What figures and runs call the data: the data set, or the name of the user's folder or archive."""
        return Path(self.folder).name if self.dataset == "folder" else self.dataset


class PreprocessParams(Section):
    """What the preprocess stage reads."""

    validation_fraction: Fraction = 0.1
    """Part of the training images kept for validation."""
    split_seed: Seed = 0
    """Draws the splits."""
    normalization: Literal["unit", "standardize"] = "unit"
    """`unit`: pixels / 255; `standardize`: per-channel mean and std of the training split."""


class ModelParams(Section):
    """What builds the model; `auto` is the model's own value."""

    model: Literal["mlp", "simple_cnn", "deep_cnn", "lenet", "alexnet", "vgg", "resnet", "inception", "speednet"] = (
        "deep_cnn"
    )
    """The architecture."""
    padding: Auto | Literal["same", "valid"] = "auto"
    """Padding of the convolutions."""
    strides: Auto | Annotated[int, Field(ge=1, le=4)] = "auto"
    """Stride in pixels of the first convolution of each block; of the first of all in alexnet."""
    pooling: Auto | Literal["max", "average"] = "auto"
    """Kind of the pooling layers."""
    dropout: Auto | Annotated[float, Field(ge=0, le=0.95)] = "auto"
    """Part of what dense layers are given that is dropped in training."""
    batch_norm: Auto | bool = "auto"
    """Whether convolutions are batch-normalised."""
    depth: Auto | Annotated[int, Field(ge=8, le=1000)] = "auto"
    """Layers of vgg and resnet."""
    width: Auto | Annotated[int, Field(ge=4, le=1024)] = "auto"
    """Channels of the first block of speednet; the next have four times as many."""

    def options(self) -> dict[str, Any]:
        """The options that were set, that is, are not `auto`."""
        values = {name: getattr(self, name) for name in ModelParams.model_fields if name != "model"}
        return {name: value for name, value in values.items() if value != "auto"}


class MachineParams(Section):
    """How much of the machine is used; floating-point results depend on both."""

    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads of an operation; 0: one a core."""
    portable: bool = False
    """AVX2 at most, for the same model on more kinds of x86 CPU; needs `threads` above 0."""


MODEL_OPTIONS = {
    "mlp": ("dropout",),
    "simple_cnn": ("padding", "strides", "pooling", "dropout", "batch_norm"),
    "deep_cnn": ("padding", "strides", "pooling", "dropout", "batch_norm"),
    "lenet": ("padding", "strides", "pooling", "dropout", "batch_norm"),
    "alexnet": ("padding", "strides", "pooling", "dropout", "batch_norm"),
    "vgg": ("padding", "pooling", "dropout", "batch_norm", "depth"),
    "resnet": ("depth", "dropout"),
    "inception": ("pooling", "dropout"),
    "speednet": ("width", "pooling", "dropout"),
}
"""What each model takes of the other keys; what it does not take stays `auto`."""


class FitParams(Section):
    """How the model is fitted: the recipe."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Passes over the training split."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Images a step."""
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    """sgd has Nesterov's momentum; muon is for kernels, with adamw for the output layer, biases and normalisation."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """The highest, where `schedule` or `warmup` change it."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd and muon."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Part of each kernel, times the learning rate, that a step takes away."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """How the learning rate falls after the warm-up."""
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Part of the steps in which the learning rate rises."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Part of each label spread over all classes, in training."""
    augment: Augmentation = "none"
    """Kinds of augmentation, joined by `_`."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of the moving average of the weights, which then is the model; 0: none."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Epochs without a better validation accuracy after which the training stops, with the best weights; 0: never."""
    class_weight: Literal["none", "balanced"] = "none"
    """`balanced`: images of rare classes weigh more in the loss."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the operations in training; weights and the saved model are float32."""
    seed: Seed = 0
    """Initial weights, dropout, augmentation and the order of the images, each with a seed derived from it."""


class TrainParams(ModelParams, FitParams, MachineParams):
    """What the train stage reads."""


class EvaluateParams(MachineParams):
    """What the evaluate stage reads."""

    top_k: Annotated[int, Field(ge=2, le=100)] = 5
    """A prediction counts for top-k accuracy if the class is among the k likeliest."""
    tta: Literal["none", "flip", "flip_shift"] = "none"
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
    takes = MODEL_OPTIONS[params.model]
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
