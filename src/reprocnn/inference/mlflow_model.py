"""Predict as an MLflow model: base64 of image files in, classes and probabilities out.

MLflow runs this file where somebody loads the model, perhaps without this project. The other modules of this folder are
logged with it, as the package `reprocnn_inference`, so that they don't hide an installed `reprocnn`. It is the only
module of the folder that imports MLflow.
"""

import base64
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

_CODE = "reprocnn_inference"
_FIX_WHITE = "save it with 8 bits per channel, or take a model that was trained with the right `white`"


class PictureClassifier(PythonModel):
    """The model of a training, for pictures of any size and any format that Pillow reads."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ONNX file."""
        # The package is importable only from here on: MLflow adds it to the path when it loads the model.
        self._classifier = import_module(f"{_CODE}.classifier").Classifier(Path(context.artifacts["onnx"]))
        self._read_picture = import_module(f"{_CODE}.pictures").read_picture
        self._errors = import_module(f"{_CODE}.unreadable")

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  # MLflow passes both by name
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Classify pictures.

        Args:
            context: not used.
            model_input: one row per picture; the column `image` has the bytes of an image file in base64.
            params: not used.

        Returns:
            One row per picture: class (name), confidence (its probability, 0-1), and probabilities (one per class, 0-1,
            in the order of the classes).

        Raises:
            MlflowException: a value is not base64 or not an image; names the row.
        """
        shape = self._classifier.info.image_shape
        pixels = [self._pixels(row, value) for row, value in model_input["image"].items()]
        probabilities = self._classifier.probabilities(np.asarray(pixels, np.uint8).reshape(-1, *shape))
        names = np.array(self._classifier.class_names, dtype=object)
        return pd.DataFrame(
            {
                "class": names[probabilities.argmax(axis=1)],
                "confidence": probabilities.max(axis=1).astype(float),
                "probabilities": probabilities.astype(float).tolist(),
            },
            index=model_input.index,
        )

    def _pixels(self, row: Any, value: Any) -> NDArray[np.uint8]:
        """Decode a value of the column `image` to uint8 (height, width, channels), 0-255."""
        try:
            # Programs such as `base64` break it into lines.
            content = base64.b64decode("".join(value.split()), validate=True)
        except (AttributeError, ValueError) as error:
            raise _error(row, f"expected the bytes of an image file in base64, found other text: {error}") from None
        try:
            return self._read_picture(self._classifier.info, "", lambda: content)
        except self._errors.UnreadableError as error:
            detail = f" ({error.detail})" if error.detail else ""
            fix = _FIX_WHITE if isinstance(error, self._errors.WhiteError) else error.fix
            raise _error(row, f"{error.cause}{detail}; {fix}") from None


def _error(row: Any, problem: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"row {row} of the column `image`: {problem}")


set_model(PictureClassifier())
