"""Train the text's CIFAR-10 net in a plain PyTorch script, as a reference for the train stage.

Usage: PYTHON benchmarks/torch_fit.py FOLDER BATCH_SIZE PRECISION MODE EPOCHS

PYTHON is the Python of an environment with torch and numpy. FOLDER is as for bare_fit.py, PRECISION is float32 or
bfloat16, MODE is eager or compiled. It prints the images per second of the fastest epoch after the first, as JSON.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

folder, batch_size, precision, mode, epochs = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5], int(sys.argv[5])
torch.manual_seed(0)
images, labels = (torch.from_numpy(np.load(folder / "train" / f"{name}.npy")) for name in ("images", "labels"))
images = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
targets = labels.argmax(1)


def block(into: int, out: int) -> list[nn.Module]:
    """Return the layers of two convolutions with ReLU and a pooling."""
    layers = [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2)]


model: nn.Module = nn.Sequential(
    *block(3, 32), *block(32, 64), nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 10)
).to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), fused=True)
cross_entropy = nn.CrossEntropyLoss()
if mode == "compiled":
    model = torch.compile(model)


def step(rows: torch.Tensor) -> None:
    """Train one step with Adam on the images at some rows."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = cross_entropy(model(images[rows].contiguous(memory_format=torch.channels_last)), targets[rows])
    loss.backward()
    optimizer.step()


ends = []
for _ in range(epochs):
    for rows in torch.randperm(len(images)).split(batch_size):
        if len(rows) == batch_size:  # a smaller last batch would be compiled again
            step(rows)
    ends.append(time.monotonic())
steps = len(images) // batch_size
print(json.dumps(steps * batch_size / min(end - start for start, end in pairwise(ends))))
