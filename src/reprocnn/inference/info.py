"""What an ONNX file says about its model, in its metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_CONFIDENCE = ("temperature", "threshold_99", "conformal_quantile_90")


@dataclass(frozen=True)
class ModelInfo:
    """Origin, input and classes of a model, from the metadata of its ONNX file."""

    dataset: str
    """Name of the data set that it was trained on."""
    model: str
    """Name of the architecture."""
    class_names: tuple[str, ...]
    """Class name of each output, in output order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of its input images."""
    white: float | None
    """Value of white of images with more than 8 bits per channel, if the user set it; used if the file lacks it."""
    keras_md5: str
    """md5 of the `.keras` file of the same model."""
    temperature: float | None = None
    """Divides the logits so that the confidence of validation images agrees with their accuracy. None: the file is of
    an older version of this project, which did not fit it."""
    threshold_99: float | None = None
    """Lowest calibrated confidence above which 99 % of the validation images are classified correctly, if there is
    one."""
    conformal_quantile_90: float | None = None
    """The set of the classes whose calibrated probability is at least 1 - this contains the actual class of 90 % of
    images. None: as for the temperature."""

    @property
    def color_mode(self) -> str:
        """`rgb` or `grayscale`."""
        return "rgb" if self.image_shape[2] == 3 else "grayscale"

    def to_metadata(self) -> dict[str, str]:
        """Return the entries for the metadata of an ONNX file."""
        height, width, _ = self.image_shape
        return {
            "dataset": self.dataset,
            "model": self.model,
            "class_names": json.dumps(self.class_names, ensure_ascii=False),
            "image_size": f"{height}x{width}",
            "color_mode": self.color_mode,
            "white": json.dumps(self.white),
            "keras_md5": self.keras_md5,
            **{name: json.dumps(getattr(self, name)) for name in _CONFIDENCE},
        }


def from_metadata(metadata: Mapping[str, str]) -> ModelInfo:
    """Return what the metadata of an ONNX file says.

    Raises:
        ValueError: the metadata is not that of a model of this project.
    """
    try:
        height, width = map(int, metadata["image_size"].split("x"))
        return ModelInfo(
            dataset=metadata["dataset"],
            model=metadata["model"],
            class_names=tuple(json.loads(metadata["class_names"])),
            image_shape=(height, width, {"rgb": 3, "grayscale": 1}[metadata["color_mode"]]),
            white=json.loads(metadata["white"]),
            keras_md5=metadata["keras_md5"],
            **{name: json.loads(metadata.get(name, "null")) for name in _CONFIDENCE},
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"no ONNX file of this project: its metadata has no valid {error}") from None
