"""A recipe is one flat, frozen record of everything that makes a training: declared once, here.

A recipe file is TOML and holds only what differs from the defaults. Values given as text (`--set key=value`) are
parsed by the type of their field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tinysight.errors import InvalidValueError, UnknownNameError

Scaling = Literal["0..1", "-0.5..0.5", "-1..1", "none"]
Activation = Literal["relu", "leaky_relu", "elu", "sigmoid", "tanh", "maxout", "gelu", "silu"]
Pooling = Literal["max", "average", "sum"]
Padding = Literal["same", "valid"]
Loss = Literal["sparse_categorical_crossentropy", "categorical_crossentropy"]
Optimizer = Literal["adam", "adamw", "adamax", "nadam", "rmsprop", "sgd", "muon"]
Schedule = Literal["constant", "exponential", "triangular", "cosine", "one_cycle", "recorded"]
Validation = Literal["stratified", "last", "test", "none"]
Flip = Literal["none", "random", "alternating", "auto"]
Keep = Literal["last", "best"]
ClassWeights = Literal["none", "balanced"]
Sampling = Literal["all", "balanced"]


class Recipe(BaseModel):
    """Everything that makes a training, from data to seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    # What it is.
    name: str = Field("custom", description="what runs are called after")
    description: str = Field("", description="one line for people")
    source: str = Field("", description="where the tutorial or method was published")
    published_accuracy: float | None = Field(None, ge=0, le=1, description="test accuracy that the source gives")
    parameters: int | None = Field(None, ge=0, description="numbers that the net holds; counted anew in every run")

    # What goes in.
    data: str = Field("cifar10", description="data set by name, or a folder of images")
    image_size: tuple[int, ...] = Field((), description="of own images: height and width, or one side; empty proposes")
    channels: int | None = Field(None, ge=1, le=3, description="of own images: 1 (grey) or 3 (colour); none proposes")
    test_split: float = Field(0.2, gt=0, lt=1, description="of own images: share cut off for testing")
    test_seed: int | None = Field(None, ge=0, lt=2**31, description="of own images: of that cut; none for the seed")
    group_by: str | None = Field(None, description="of own images: column or pattern; keeps an object on one side")
    scaling: Scaling = Field("0..1", description="what raw pixels 0..255 become; part of the saved model")

    # The net.
    model: str = Field("cnn", description="a net by name, or path/to/file.py:function")
    layers: tuple[str, ...] = Field((), description="the layers of model=cnn up to the output, as in 'conv 32', 'pool'")
    activation: Activation = Field("relu", description="after every convolution and hidden dense layer")
    leaky_slope: float = Field(0.1, ge=0, lt=1, description="slope of leaky_relu below zero")
    maxout_pieces: int = Field(2, ge=2, le=16, description="linear pieces that maxout takes the largest of")
    kernel_size: int = Field(3, ge=1, le=15, description="height and width of a convolution's window")
    strides: int = Field(1, ge=1, le=8, description="step of a convolution's window")
    padding: Padding = Field("valid", description="valid: windows inside the image only; same: zeros around it")
    pooling: Pooling = Field("max", description="what a pooling window is reduced to")
    pool_size: int = Field(2, ge=1, le=8, description="height, width and step of a pooling window")
    dropout: float = Field(0.5, ge=0, lt=1, description="rate of a 'dropout' layer that names none")
    widths: tuple[int, ...] = Field((64, 128, 256), description="filters of each group of model=fast")
    group_convolutions: int = Field(1, ge=1, le=3, description="convolutions in each group of model=fast")
    stem_strides: int = Field(2, ge=1, le=4, description="step of the whitening first layer of model=fast")
    stem_kernel: int = Field(3, ge=1, le=9, description="height and width of a whitening window of model=fast")
    stem_padding: Padding = Field("same", description="of the whitening first layer of model=fast")
    stem_filters: int = Field(24, ge=1, le=96, description="whitening filters of model=fast, besides their negatives")
    group_pooling: Literal["before", "after"] = Field(
        "before", description="pooling before or after the first convolution of each group of model=fast"
    )
    residual: bool = Field(False, description="adds to the last convolution of a group of model=fast what went into it")
    logit_scale: float = Field(0.125, gt=0, description="factor on the outputs of model=fast before softmax")
    batchnorm_momentum: float = Field(0.6, ge=0, lt=1, description="of the followed means and variances of model=fast")

    # How it learns.
    loss: Loss = Field("sparse_categorical_crossentropy", description="integer labels (sparse) or one-hot")
    class_weights: ClassWeights = Field(
        "none", description="balanced: in the loss, rare classes count as frequent ones"
    )
    sampling: Sampling = Field("all", description="balanced: an epoch draws as many images, the same of each class")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of a label spread over all classes")
    metric: Literal["accuracy", "sparse_categorical_accuracy", "categorical_accuracy"] = Field(
        "accuracy", description="Keras's name for what is followed while training"
    )
    optimizer: Optimizer = Field("adam", description="Keras's optimizer")
    learning_rate: float = Field(0.001, gt=0, description="the highest rate that the schedule reaches")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and rmsprop")
    nesterov: bool = Field(True, description="Nesterov's momentum, of sgd")
    kernel_rate: float = Field(0.1, gt=0, description="of muon: the highest rate of convolution kernels")
    kernel_momentum: float = Field(0.6, ge=0, lt=1, description="of muon: momentum of convolution kernels")
    weight_decay: float = Field(0.0, ge=0, description="decoupled: weights shrink by rate x decay a step; kernels only")
    schedule: Schedule = Field("constant", description="how the rate moves")
    schedule_decay: float = Field(0.9, gt=0, le=1, description="factor an epoch, of schedule=exponential")
    warmup: float = Field(0.2, ge=0, lt=1, description="share of the steps that rise, of triangular and one_cycle")
    schedule_steps: tuple[int, ...] = Field((), description="of schedule=recorded: the steps at which the rate changes")
    schedule_rates: tuple[float, ...] = Field((), description="of schedule=recorded: the rate from each of them on")
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32", description="numbers that training computes in; auto: bfloat16 where the hardware multiplies it"
    )
    batch_size: int = Field(32, ge=1, le=65536, description="images a step")
    micro_batch_size: int | None = Field(
        None, ge=1, description="images of a step that pass the net at once, on TensorFlow: less memory; none for all"
    )
    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training images")
    steps: int | None = Field(None, ge=1, description="steps in all, instead of epochs; the last epoch may be a part")
    validation: Validation = Field(
        "stratified",
        description="stratified: held out of the training split, by class and seeded; last: its last part; "
        "test: the test split, as many tutorials do; none",
    )
    validation_split: float = Field(0.1, gt=0, lt=1, description="share held out, of stratified and last")
    keep: Keep = Field("last", description="the weights to save: of the last epoch, or of the best by validation")
    flip: Flip = Field(
        "none",
        description="mirror images: at random, or every second epoch (alternating); "
        "auto: alternating, unless the classes are characters",
    )
    translate: int = Field(0, ge=0, le=64, description="shift by up to so many pixels each way")
    cutout: int = Field(0, ge=0, le=64, description="side of a square that is blanked, pixels")
    shift_predictions: int = Field(
        0, ge=0, le=8, description="average over shifts by so many pixels, too; part of the saved model"
    )
    flip_predictions: bool = Field(False, description="average over image and mirror image; part of the saved model")
    seed: int = Field(0, ge=0, lt=2**31, description="of weights, order, splits, dropout and augmentation")

    @model_validator(mode="after")
    def _check_combinations(self) -> Recipe:
        if self.label_smoothing and self.loss != "categorical_crossentropy":
            raise ValueError("label_smoothing spreads one-hot labels: it needs loss=categorical_crossentropy")
        if self.class_weights == self.sampling == "balanced":
            raise ValueError("class_weights=balanced and sampling=balanced would even out classes twice: choose one")
        if self.weight_decay and self.optimizer not in ("adamw", "sgd", "muon"):
            raise ValueError(f"weight_decay is of adamw, sgd and muon, not of {self.optimizer}")
        if self.schedule == "recorded" and (
            not self.schedule_steps or len(self.schedule_steps) != len(self.schedule_rates) or self.schedule_steps[0]
        ):
            raise ValueError("schedule=recorded needs schedule_steps, from 0 on, and as many schedule_rates")
        if self.keep == "best" and self.validation in ("test", "none"):
            why = "would choose by the test images" if self.validation == "test" else "has nothing to choose by"
            raise ValueError(f"keep=best with validation={self.validation} {why}; try validation=stratified")
        # Keras would count wrongly (categorical_accuracy on integers) or fail within a step.
        coding = self.metric.removesuffix("_accuracy")
        if self.metric != "accuracy" and coding != self.loss.removesuffix("_crossentropy"):
            raise ValueError(f"metric={self.metric} has other labels than loss={self.loss}; metric=accuracy fits both")
        return self

    @property
    def num_views(self) -> int:
        """How often an image goes through the net when the saved model predicts."""
        return (1 + self.flip_predictions) * (3 if self.shift_predictions else 1)

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some fields changed, checked like a new one.

        Raises:
            UnknownNameError: for a field that does not exist.
            InvalidValueError: for a value that does not fit its field.
        """
        return make_recipe({**self.model_dump(), **changes})

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from field values.

    Raises:
        UnknownNameError: for a field that does not exist; names the closest one.
        InvalidValueError: for a value that does not fit its field.
    """
    for key in values:
        if key not in Recipe.model_fields:
            raise UnknownNameError("recipe field", key, Recipe.model_fields)
        # pydantic would take true for 1.
        if isinstance(values[key], bool) and Recipe.model_fields[key].annotation is not bool:
            raise InvalidValueError(f"{key} = {values[key]}: expected no true or false ({_words(key)})")
    try:
        return Recipe(**values)
    except ValidationError as error:
        raise InvalidValueError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    field = str(first["loc"][0])
    expected = first["msg"][0].lower() + first["msg"][1:]
    return f"{field} = {first['input']!r}: {expected} ({_words(field)})"


def _words(field: str) -> str:
    return str(Recipe.model_fields[field].description)


def parse_assignments(assignments: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Field values from `key=value` texts; lists are separated by commas, `none` empties an optional field.

    Raises:
        InvalidValueError: for a text without `=`.
        UnknownNameError: for a field that does not exist.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        key = key.strip()
        if not separator:
            raise InvalidValueError(f"'{assignment}' sets nothing: expected key=value, as in epochs=5")
        if key not in Recipe.model_fields:
            raise UnknownNameError("recipe field", key, Recipe.model_fields)
        values[key] = _parse(key, text.strip())
    return values


def _parse(key: str, text: str) -> Any:
    annotation = Recipe.model_fields[key].annotation
    if get_origin(annotation) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if text.lower() == "none" and type(None) in get_args(annotation):
        return None
    return text


# What `tinysight train` trains when nothing is named.
DEFAULT_RECIPE = "quick"
# In the order in which a learner meets them.
TUTORIALS = ("tensorflow", "mnist-softmax", "mnist-cnn", "two-conv", "leaky-adamax", "day4")


def recipe_names() -> list[str]:
    """The names of the shipped recipes: the tutorials in their order, then the others by name."""
    return [*TUTORIALS, *sorted(set(_shipped()) - set(TUTORIALS))]


def _shipped() -> dict[str, str]:
    folder = resources.files("tinysight") / "recipes"
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def recipe_text(name_or_path: str) -> str:
    """The TOML text of a shipped recipe, or of a file of the user's own.

    Raises:
        UnknownNameError: when it is neither; names the closest shipped recipe.
    """
    shipped = _shipped()
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise InvalidValueError(f"cannot read the recipe file {path}: {reason}") from None
    raise UnknownNameError("recipe", name_or_path, shipped)


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """A shipped recipe by name, or a recipe file (.toml) of the user's own, with some fields changed.

    Raises:
        UnknownNameError: for a recipe or field that does not exist.
        InvalidValueError: for a file that is no TOML, or a value that does not fit its field.
    """
    text = recipe_text(name_or_path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValueError(f"the recipe file {name_or_path} is no TOML: {error}") from None
    values.setdefault("name", Path(name_or_path).stem if name_or_path.endswith(".toml") else name_or_path)
    if "epochs" in changes:
        # Whoever says how many epochs means those, not the recipe's own number of steps.
        values.pop("steps", None)
    return make_recipe({**values, **changes})


def to_toml(recipe: Recipe, header: str = "") -> str:
    """The recipe as TOML, every field, in their order; a field that is None is left out, as TOML has no null."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    lines += [f"{name} = {_toml_value(value)}" for name, value in recipe if value is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        return _toml_string(value)
    return repr(value)


def _toml_string(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text) + '"'
