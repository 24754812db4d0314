"""Train the text's CIFAR-10 net with `fit` in a plain script, as the reference for the train stage.

Usage: python benchmarks/bare_fit.py FOLDER EPOCHS

FOLDER has the folders train and validation, each with images.npy and labels.npy. The last line that it prints is JSON:
`ends` has the time at the end of each epoch in seconds, `validation_accuracy` the validation accuracy of each epoch.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras import layers

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
train, validation = (
    (np.load(folder / split / "images.npy"), np.load(folder / split / "labels.npy"))
    for split in ("train", "validation")
)
model = keras.Sequential(
    [
        keras.Input(train[0].shape[1:]),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(train[1].shape[1], activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
ends: list[float] = []
note_end = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.monotonic()))
history = model.fit(
    *train, validation_data=validation, epochs=epochs, batch_size=32, verbose=2, callbacks=[note_end]
).history
print(json.dumps({"ends": ends, "validation_accuracy": history["val_accuracy"]}))
