"""Many images classified in plain Keras: `predict` at its default batch size, timed after a first pass.

python predict_many.py MODEL.keras DATA.npz [PASSES]
"""

import json
import sys
import time

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
images = np.load(sys.argv[2])["x_test"]
images = images.reshape((-1, *model.input_shape[1:]))
passes = int(sys.argv[3]) if len(sys.argv) > 3 else 5

model.predict(images)
seconds = []
for _ in range(passes):
    started = time.perf_counter()
    probabilities = model.predict(images)
    seconds.append(time.perf_counter() - started)

print(json.dumps({"num_images": len(images), "seconds": seconds, "classes": np.argmax(probabilities, axis=1).tolist()}))
