"""Draw what the model looks at: heat maps over images."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from reprocnn.artifacts.explanations import Explanations
from reprocnn.reporting.thumbnails import data_uri

KINDS = {"mistake": "Mistakes", "near miss": "Near misses", "hit": "Hits"}
"""Kind of an explanation -> its heading, in the order of the report."""


def overlay(image: NDArray[np.uint8], heat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a heat map over an image in grey. The colours become lighter with the heat, so that they need no colour.

    Args:
        image: uint8 (height, width, 1 or 3), 0-255.
        heat: uint8 (height, width), 0-255.

    Returns:
        uint8 (height, width, 3), 0-255.
    """
    grey = image.mean(axis=2, keepdims=True)
    colours = 255 * colormaps["viridis"](heat)[..., :3]
    return np.asarray(0.35 * grey + 0.65 * colours).round().astype(np.uint8)


def explained(explanations: Explanations) -> dict[str, list[dict[str, Any]]]:
    """Return the explained images of each kind, each with its picture and one picture per explained class.

    Args:
        explanations: images with heat maps; the rows of one image follow each other.
    """
    found: dict[str, list[dict[str, Any]]] = {heading: [] for heading in KINDS.values()}
    for number, row in enumerate(explanations.rows.to_dict("records")):
        image, heat = explanations.images[number], explanations.maps[number]
        group = found[KINDS[row["kind"]]]
        if not group or group[-1]["file"] != row["file"]:
            group.append({**row, "image": data_uri(image), "maps": []})
        group[-1]["maps"].append((row["explained"], row["probability"], data_uri(overlay(image, heat))))
    return {heading: group for heading, group in found.items() if group}
