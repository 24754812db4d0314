"""Check that this Python has the project's packages. Imported first, so it uses only the standard library."""

import sys
from importlib.util import find_spec

_PACKAGES = (
    "dvc",
    "filelock",
    "keras",
    "mlflow",
    "onnx",
    "onnxruntime",
    "pandas",
    "platformdirs",
    "psutil",
    "pydantic",
    "ruamel",
    "sklearn",
    "tensorflow",
    "tf2onnx",
    "tqdm",
)


def check() -> None:
    """Exit with one line that says how to use the project's Python, if this is another one."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13) or not all(map(find_spec, _PACKAGES)):
        sys.exit(
            f"error: {sys.executable} (Python {sys.version.split()[0]}) is not this project's Python: "
            "run `make setup` once, then `source .venv/bin/activate`, then dvc again"
        )
