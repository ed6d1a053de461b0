"""TensorFlow's CNN on MNIST, with dropout, in plain Keras, written as a reader would type it.

    python mnist_cnn.py DATA.npz [SEED] [EPOCHS]

Method: https://www.tensorflow.org/tutorials/images/cnn, on MNIST and without validation data. Two things differ from a
notebook: images come from an archive with x_train, y_train, x_test and y_test instead of keras.datasets' download; and
there is a seed.
"""

import json
import sys

import keras
import numpy as np
from keras import layers

data = np.load(sys.argv[1])
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
keras.utils.set_random_seed(seed)

train_images = data["x_train"].reshape((-1, 28, 28, 1)) / 255.0
test_images = data["x_test"].reshape((-1, 28, 28, 1)) / 255.0
train_labels, test_labels = data["y_train"], data["y_test"]

model = keras.Sequential()
model.add(keras.Input((28, 28, 1)))
model.add(layers.Conv2D(32, (3, 3), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation="relu"))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation="relu"))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation="relu"))
model.add(layers.Dropout(0.5))
model.add(layers.Dense(10, activation="softmax"))

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train_images, train_labels, epochs=epochs)
test_loss, test_accuracy = model.evaluate(test_images, test_labels)

print(
    json.dumps(
        {"test_accuracy": float(test_accuracy), "test_loss": float(test_loss), "parameters": model.count_params()}
    )
)
