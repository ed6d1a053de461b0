"""One image classified in plain Keras: load the model, read the image, predict.

python predict_one.py MODEL.keras IMAGE
"""

import json
import sys

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
height, width, channels = model.input_shape[1:]
image = keras.utils.load_img(
    sys.argv[2], color_mode="grayscale" if channels == 1 else "rgb", target_size=(height, width)
)
pixels = keras.utils.img_to_array(image)[None].astype("uint8")
probabilities = model.predict(pixels)

print(json.dumps({"class": int(np.argmax(probabilities[0])), "score": float(np.max(probabilities[0]))}))
