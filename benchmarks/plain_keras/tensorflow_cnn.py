"""TensorFlow's CNN tutorial on CIFAR-10 in plain Keras, written as a reader would type it.

    python tensorflow_cnn.py DATA.npz [SEED] [EPOCHS]

Method: https://www.tensorflow.org/tutorials/images/cnn. Three things differ from a notebook: images come from an
archive with x_train, y_train, x_test and y_test instead of keras.datasets' download; there is a seed; and a clock notes
how long each epoch trains. (The file is not called tensorflow.py: Python would import it in place of TensorFlow.)
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers

data = np.load(sys.argv[1])
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
keras.utils.set_random_seed(seed)

train_images, test_images = data["x_train"] / 255.0, data["x_test"] / 255.0
train_labels, test_labels = data["y_train"], data["y_test"]

model = keras.Sequential()
model.add(keras.Input((32, 32, 3)))
model.add(layers.Conv2D(32, (3, 3), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation="relu"))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation="relu"))
model.add(layers.Dense(10))

model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)

begun, trained = [], []
clock = keras.callbacks.LambdaCallback(
    on_epoch_begin=lambda epoch, logs: begun.append(time.perf_counter()),
    # The first batch of validation ends the epoch's training.
    on_test_begin=lambda logs: trained.append(time.perf_counter() - begun[-1]),
)
model.fit(
    train_images,
    train_labels,
    epochs=epochs,
    validation_data=(test_images, test_labels),
    callbacks=[clock],
)
test_loss, test_accuracy = model.evaluate(test_images, test_labels)

print(
    json.dumps(
        {
            "test_accuracy": float(test_accuracy),
            "test_loss": float(test_loss),
            "parameters": model.count_params(),
            "epoch_seconds": trained,
        }
    )
)
