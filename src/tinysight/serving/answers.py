"""What the service answers, declared once: the documentation at /openapi.json is made from these records."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassScore(_Answer):
    """One class and its probability."""

    name: str
    score: float = Field(ge=0, le=1.0001, description="Probability; those of all classes sum to 1.")


class Prediction(_Answer):
    """The answer for one image."""

    classes: list[ClassScore] = Field(description="The top classes, best first.")


class Predictions(_Answer):
    """The answer to `POST /predict`."""

    model: str = Field(description="Name of the recipe that the model was trained with.")
    version: str = Field(description="First 12 digits of the model file's SHA-256.")
    predictions: list[Prediction] = Field(description="One per image, in the order they came.")


class Explanation(_Answer):
    """The answer to `POST /explain`."""

    model: str = Field(description="Name of the recipe that the model was trained with.")
    version: str = Field(description="First 12 digits of the model file's SHA-256.")
    class_name: str = Field(description="The class that is explained.")
    input: str = Field(description="What the model really saw: a PNG of its input size, in base64.")
    heat: str = Field(description="A grey PNG of that size: the brighter, the more the class loses if it is covered.")


class ExamplePicture(_Answer):
    """A test picture and what the run said of it."""

    image: str = Field(description="A PNG in base64.")
    predicted: str
    score: float = Field(ge=0, le=1.0001, description="Probability of the predicted class.")
    is_right: bool


class ExamplePictures(_Answer):
    """The answer to `GET /examples`."""

    class_name: str
    examples: list[ExamplePicture] = Field(description="The one it was surest of first; none without the run's data.")


class Health(_Answer):
    """The answer to `GET /health`."""

    status: str


class Limits(_Answer):
    """What one request may cost."""

    max_body_bytes: int
    max_pixels: int
    max_images: int
    max_queue: int
    max_seconds: float


class Model(_Answer):
    """The answer to `GET /model`."""

    model: str = Field(description="Name of the recipe that the model was trained with.")
    version: str = Field(description="First 12 digits of the model file's SHA-256.")
    class_names: list[str]
    image_shape: list[int] = Field(description="Height, width and channels that pictures are brought to.")
    created: str = Field(description="When the model file was written, ISO 8601.")
    package_version: str = Field(description="Version of Tinysight that wrote it.")
    extra: dict[str, Any] = Field(description="Whatever else travels with the model.")
    limits: Limits


class Problem(_Answer):
    """Every answer that is not 200."""

    detail: str = Field(description="The reason, one line.")
