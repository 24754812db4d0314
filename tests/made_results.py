"""Results of the pipeline that nothing trained, in a Git repository."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from scipy.stats import binomtest

from reprocnn.artifacts.files import write_bytes
from reprocnn.artifacts.history import HISTORY, Epoch, write_history
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.split import RAW_TEST, VALIDATION
from reprocnn.artifacts.training import TRAINING
from reprocnn.ledger import revisions
from reprocnn.ledger.git import git

N = 100
"""Number of test images."""
N_VALIDATION = 40
"""Number of validation images."""


class Repository:
    """A Git repository with results of the pipeline that nothing trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".gitignore").write_text(f"/{PREDICTIONS}\n/.dvc\n")
        self._run("init", "-q", "-b", "main")

    def _run(self, *arguments: str) -> None:
        user = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *user, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, **result: Any) -> None:
        """Commit a result; for the arguments see `write`."""
        self.write(**result)
        self._run("add", "-A")
        self._run("commit", "-q", "--allow-empty", "-m", "a result")

    def experiment(self, name: str, **result: Any) -> None:
        """Add an experiment of HEAD; for the arguments see `write`."""
        head = git("rev-parse", "HEAD")
        self.commit(**result)
        self._run("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", "HEAD")
        self._run("reset", "-q", "--hard", head)

    def write(
        self,
        wrong: Sequence[int] = (),
        images: Sequence[int] = range(N),
        validation: float = 0.9,
        has_hashes: bool = True,
        **params: Any,
    ) -> None:
        """Write a result to the workspace, and its predictions to the cache.

        Args:
            wrong: the images that it predicts wrongly.
            images: the images in its test split.
            validation: the validation accuracy.
            has_hashes: whether the predictions have the column `image`.
            **params: parameters of its training.
        """
        rows = [f"{i},cat,{'dog' if image in wrong else 'cat'},0.9,{image:016x}" for i, image in enumerate(images)]
        lines = ["index,actual,predicted,confidence,image", *rows]
        table = "\n".join(line if has_hashes else line.rpartition(",")[0] for line in lines) + "\n"
        cached = self.cached(table)
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(table)
        accuracy = float(np.mean([image not in wrong for image in images]))
        interval = binomtest(round(accuracy * len(images)), len(images)).proportion_ci(method="wilson")
        test = {"accuracy": accuracy, "accuracy_low": interval.low, "accuracy_high": interval.high, "n": len(images)}
        test["macro_f1"] = 2 * accuracy / (1 + accuracy)  # all images are cats
        training = {"validation_loss": 0.5, "validation_accuracy": validation, "parameters": 1234, "mflops": 0.5}
        (self.folder / "reports").mkdir(exist_ok=True)
        for path, values in ((METRICS, test), (TRAINING, training)):
            (self.folder / path).write_text(json.dumps(values) + "\n")
        write_history(self.folder / HISTORY, [Epoch(1, 0.5, 0.6, 0.5, validation, 0.001)])
        params = {"seed": 0, **params}
        model = self.model(validation, wrong, params)
        pixels = np.arange(len(images), dtype=np.uint8)[:, None, None, None]
        splits = {
            RAW_TEST: self._folder("images.npy", np.tile(pixels, (1, 8, 8, 1))),
            VALIDATION: self._folder("labels.npy", np.zeros((N_VALIDATION, 2), np.float32)),
        }
        self._lock(params, {MODEL: model, PREDICTIONS: cached.parent.name + cached.name, **splits})

    def model(self, *parts: Any) -> str:
        """Return a made-up md5 of a model."""
        return hashlib.md5(repr(parts).encode()).hexdigest()

    def cached(self, content: str) -> Path:
        """Return the path of a file in the cache."""
        return revisions.in_cache(hashlib.md5(content.encode()).hexdigest())

    def _folder(self, name: str, array: np.ndarray) -> str:
        """Write a folder with one array to the cache; return its hash."""
        content = BytesIO()
        np.save(content, array)
        file = hashlib.md5(content.getvalue()).hexdigest()
        write_bytes(revisions.in_cache(file), content.getvalue())
        listing = json.dumps([{"md5": file, "relpath": name}])
        folder = f"{hashlib.md5(listing.encode()).hexdigest()}.dir"
        write_bytes(revisions.in_cache(folder), listing.encode())
        return folder

    def _lock(self, params: dict[str, Any], hashes: dict[Path, str]) -> None:
        for report in (METRICS, TRAINING, HISTORY):
            hashes[report] = hashlib.md5((self.folder / report).read_bytes()).hexdigest()
        outs = [{"path": path.as_posix(), "md5": md5} for path, md5 in hashes.items()]
        tested = [{"path": path.as_posix(), "md5": hashes[path]} for path in (MODEL, RAW_TEST)]
        stages = {
            "train": {"params": {"params.yaml": params}, "outs": outs},
            "evaluate": {"deps": tested},
            "plot": {},
        }
        YAML().dump({"schema": "2.0", "stages": stages}, self.folder / "dvc.lock")
