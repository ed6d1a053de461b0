"""Four leaky convolutions and a falling rate on CIFAR-10 in plain Keras, written as a reader would type it.

    python leaky_adamax.py DATA.npz [SEED] [EPOCHS]

The net, optimizer and schedule are those of `tinysight recipes show leaky-adamax`. Three things differ from a notebook:
images come from an archive with x_train, y_train, x_test and y_test instead of keras.datasets' download; there is a
seed; and a clock notes how long each epoch trains.
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers

BATCH_SIZE = 64
START_RATE = 0.005

data = np.load(sys.argv[1])
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
keras.utils.set_random_seed(seed)

x_train, x_test = data["x_train"] / 255.0 - 0.5, data["x_test"] / 255.0 - 0.5
y_train = keras.utils.to_categorical(data["y_train"], 10)
y_test = keras.utils.to_categorical(data["y_test"], 10)

model = keras.Sequential()
model.add(keras.Input((32, 32, 3)))
model.add(layers.Conv2D(16, (3, 3), padding="same"))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.Conv2D(32, (3, 3), padding="same"))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Dropout(0.25))
model.add(layers.Conv2D(32, (3, 3), padding="same"))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.Conv2D(64, (3, 3), padding="same"))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Dropout(0.25))
model.add(layers.Flatten())
model.add(layers.Dense(256))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.Dropout(0.5))
model.add(layers.Dense(10))
model.add(layers.Activation("softmax"))

model.compile(
    optimizer=keras.optimizers.Adamax(learning_rate=START_RATE),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)

begun, trained = [], []
clock = keras.callbacks.LambdaCallback(
    on_epoch_begin=lambda epoch, logs: begun.append(time.perf_counter()),
    # The first batch of validation ends the epoch's training.
    on_test_begin=lambda logs: trained.append(time.perf_counter() - begun[-1]),
)
falling_rate = keras.callbacks.LearningRateScheduler(lambda epoch: START_RATE * 0.9**epoch)
model.fit(
    x_train,
    y_train,
    batch_size=BATCH_SIZE,
    epochs=epochs,
    validation_data=(x_test, y_test),
    callbacks=[falling_rate, clock],
)
test_loss, test_accuracy = model.evaluate(x_test, y_test)

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
