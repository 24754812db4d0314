"""Train K. Jordan's airbench94_muon on a CPU, as a reference for the preset `record`.

Usage: PYTHON benchmarks/torch_airbench.py AIRBENCH FOLDER SEED

PYTHON is the Python of an environment with torch and numpy, AIRBENCH a checkout of
github.com/KellerJordan/cifar10-airbench, FOLDER the raw data, as the stage download writes them. The script of the
checkout runs as it is, except for what needs CUDA: its float16 becomes autocast to bfloat16, its compiled functions run
eagerly, and its timer is the clock. It prints one line of JSON: the accuracy on the test split, plain and with its
test-time augmentation, and the seconds of training, without loading and evaluation.
"""

import contextlib
import json
import re
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

SCRIPT = "airbench94_muon.py"
REPLACED = {
    r"^@torch\.compile\n": "",
    r"\.half\(\)": ".float()",
    r'torch\.device\("cuda"\)': 'torch.device("cpu")',
    r"torch\.cuda\.Event\(enable_timing=True\)": "Event()",
    r"torch\.cuda\.synchronize\(\)": "None",
    r"^torch\.backends\.cudnn\.benchmark = True\n": "",
}
"""What of the script needs CUDA (a regular expression that must be found), and what stands there instead."""


class Event:
    """A torch.cuda.Event on the clock of the CPU."""

    def record(self) -> None:
        """Take the time."""
        self.seconds = time.monotonic()

    def elapsed_time(self, end: "Event") -> float:
        """Return the milliseconds until another event."""
        return 1000 * (end.seconds - self.seconds)


class Normalize:
    """torchvision.transforms.Normalize, the one part of torchvision that the script needs."""

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        self._mean, self._std = mean.view(-1, 1, 1), std.view(-1, 1, 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise images (N, channels, height, width)."""
        return (images - self._mean) / self._std


def load(airbench: Path) -> dict[str, Any]:
    """Return the names that the script defines."""
    code = (airbench / SCRIPT).read_text()
    for pattern, replacement in REPLACED.items():
        code, count = re.subn(pattern, replacement, code, flags=re.MULTILINE)
        if not count:
            sys.exit(f"error: {airbench / SCRIPT} has no {pattern}; this benchmark needs the version of 2024-11")
    vision = types.ModuleType("torchvision")
    vision.transforms = types.ModuleType("torchvision.transforms")  # type: ignore[attr-defined]
    vision.transforms.Normalize = Normalize  # type: ignore[attr-defined]
    sys.modules |= {"torchvision": vision, "torchvision.transforms": vision.transforms}
    names: dict[str, Any] = {"__name__": "airbench", "Event": Event}
    exec(compile(code, SCRIPT, "exec"), names)
    return names


def write_data(source: Path, target: Path) -> None:
    """Write the splits in the files that the script keeps after its download."""
    target.mkdir()
    for split in ("train", "test"):
        images, labels = (torch.from_numpy(np.load(source / split / f"{name}.npy")) for name in ("images", "labels"))
        torch.save({"images": images, "labels": labels.long(), "classes": []}, target / f"{split}.pt")


def in_bfloat16(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return the forward pass with autocast; its results are float32, as the loss needs them on a CPU."""

    def cast(*arguments: Any, **options: Any) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*arguments, **options).float()

    return cast


def main() -> None:
    """Train once."""
    airbench, data, seed = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3])
    names = load(airbench)
    rows: list[dict[str, Any]] = []
    names["print_training_details"] = lambda variables, **_: rows.append(dict(variables))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_data(data, Path("cifar10"))
        torch.manual_seed(seed)
        model = names["CifarNet"]().to(memory_format=torch.channels_last)
        model.forward = in_bfloat16(model.forward)
        names["main"](seed, model)
    trained, last = rows[-2:]  # the last row is that of the test-time augmentation
    accuracies = {"accuracy": last["val_acc"], "tta_accuracy": last["tta_val_acc"]}
    print(json.dumps(accuracies | {"seconds": trained["time_seconds"]}))


if __name__ == "__main__":
    main()
