"""Find pictures of the user whose size or shape loses much when they are prepared."""

from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

from reprocnn.data.archives import members
from reprocnn.data.folder import archive_or_folder
from reprocnn.params import DownloadParams

_TINY = 0.5
"""A picture is tiny if its shorter side is below this part of image_size."""
_LONG = 3.0
"""A picture is long if its longer side is more than this many times its shorter side."""


def odd_sizes(params: DownloadParams, files: list[str]) -> pd.DataFrame:
    """Find pictures that are much smaller than `image_size`, or so long that their square crop shows little.

    Only the start of each file is decoded.

    Args:
        params: `folder` is the folder or archive, `image_size` the pixels per side of the prepared images.
        files: the names of the pictures in it.

    Returns:
        One row per finding: row (index in `files`), kind (`tiny` or `aspect`), score (0-1) and reason. Pictures that
        can't be opened are left out.
    """
    row_of = {file: row for row, file in enumerate(files)}
    findings: list[tuple[int, str, float, str]] = []
    for member in members(archive_or_folder(Path(params.folder))):
        if member.read is None or member.name not in row_of:
            continue
        try:
            with Image.open(BytesIO(member.read())) as picture:
                width, height = picture.size
        except (OSError, SyntaxError, ValueError):  # what Pillow raises on a file that changed since it was read
            continue
        short, long = min(width, height), max(width, height)
        if short < _TINY * params.image_size:
            score, reason = 1 - short / params.image_size, f"{width}x{height} pixels, enlarged to {params.image_size}"
            findings.append((row_of[member.name], "tiny", score, reason))
        if long > _LONG * short:
            reason = f"{width}x{height} pixels; the crop shows {short / long:.0%} of it"
            findings.append((row_of[member.name], "aspect", 1 - short / long, reason))
    table = pd.DataFrame(findings, columns=["row", "kind", "score", "reason"])
    return table.assign(score=table["score"].astype(float).round(4))
