"""A reproducible DVC + MLflow experiment pipeline for image classifiers in Keras/TensorFlow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reprocnn.notebook import load, load_experiment

__all__ = ["load", "load_experiment"]


def __getattr__(name: str) -> Any:
    """Import `load` and `load_experiment` when they are used: a stage or command does not need them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reprocnn import notebook

    return getattr(notebook, name)
