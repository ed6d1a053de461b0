"""Trainings of one recipe in one process that has compiled everything: a program of its own, on JAX.

    python -m tinysight.benchmarks.warm_training RECIPE DATA.npz RUNS [EPOCHS]

Prints one JSON object: device, parameters, and for each run its seconds and its accuracy on the test images. A run is
timed from the images on the device to the accuracy: whitening, training, evaluation. Drawing the first weights is not
timed, nor the first run, in which everything is compiled. Source of the rule: airbench, https://arxiv.org/abs/2404.00498.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from tinysight.images import DataSet
    from tinysight.recipe import Recipe

EVALUATION_BATCH = 2000


class WarmTraining:
    """A recipe and its data on the device, to be trained with one seed after the other.

    Args:
        recipe: how; its images must fit the device.
        data: what.
    """

    def __init__(self, recipe: Recipe, data: DataSet) -> None:
        import jax
        import keras

        from tinysight.models.registry import as_saved, build_training_net
        from tinysight.models.serving import serving_model_of
        from tinysight.training.callbacks import state_variables
        from tinysight.training.fit import compile_trainee, make_feed, put_whole_epochs
        from tinysight.training.whole_epochs import program

        self.recipe, self.data = recipe, data
        self.shape, self.num_classes = data.image_shape, len(data.class_names)
        keras.utils.set_random_seed(recipe.seed)
        self.net = build_training_net(recipe, self.shape, self.num_classes)
        self.feed = make_feed(recipe, data.train)
        self.trainee = compile_trainee(recipe, self.net, self.feed.num_steps)
        put_whole_epochs(self.trainee, self.feed)
        self.at_first = [keras.ops.convert_to_numpy(variable) for variable in state_variables(self.trainee)]
        self.run_steps = program(self.trainee.train_step)
        self.saved = as_saved(self.net, recipe, self.shape, self.num_classes)
        self.model = serving_model_of(self.saved, recipe, self.shape)
        self.test = [jax.device_put(array) for array in _in_batches(data)]
        self.count_right = jax.jit(self._count_right)

    def start(self, seed: int) -> None:
        """First weights and random states of a training with `seed`."""
        import keras

        from tinysight.models.registry import build_training_net
        from tinysight.training.callbacks import put_state

        put_state(self.trainee, self.at_first)
        keras.utils.set_random_seed(seed)
        fresh = build_training_net(self.recipe, self.shape, self.num_classes)
        for variable, value in zip(self.net.variables, fresh.get_weights(), strict=True):
            variable.assign(value)
        if self.trainee.augment is not None:
            random = self.trainee.augment.random
            random.state.assign(keras.random.SeedGenerator(seed).state)
        self.feed.seed = seed

    def run(self, seed: int) -> dict[str, float]:
        """One training: its seconds and its accuracy on the test images."""
        import jax

        from tinysight.training.fit import adapt_to

        self.start(seed)
        jax.block_until_ready([variable.value for variable in self.trainee.variables])
        started = time.perf_counter()
        adapt_to(self.net, self.recipe, self.data.train)
        self._train()
        right = int(self.count_right(*self._weights(), *self.test))
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "accuracy": right / len(self.data.test)}

    def _train(self) -> None:
        import jax.numpy as jnp

        from tinysight.training.schedules import count_steps

        groups = self._variable_groups()
        state = tuple([variable.value for variable in group] for group in groups)
        left, size, self.feed.epoch = count_steps(self.recipe, self.feed.num_steps), self.feed.batch_size, 0
        while left:
            order = self.feed.order()[: left * size].astype("int32")
            whole = len(order) // size
            if whole:
                batches = jnp.asarray(order[: whole * size].reshape(whole, size))
                _, state = self.run_steps(state, self.trainee.resident, batches)
            if len(order) % size:
                _, state = self.run_steps(state, self.trainee.resident, jnp.asarray(order[whole * size :])[None])
            left -= min(left, self.feed.num_steps)
            self.feed.epoch += 1
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def _variable_groups(self) -> tuple[list[keras.Variable], ...]:
        """As Keras's `train_step` on JAX takes them."""
        trainee = self.trainee
        return (
            list(trainee.trainable_variables),
            list(trainee.non_trainable_variables),
            list(trainee.optimizer.variables),
            list(trainee.metrics_variables),
        )

    def _weights(self) -> tuple[list[Any], list[Any]]:
        """The saved model's, with what was just trained: it has layers of its own, in the same order."""
        values = {id(to): source.value for to, source in zip(self.saved.variables, self.net.variables, strict=True)}
        groups = (self.model.trainable_variables, self.model.non_trainable_variables)
        trainable, others = ([values.get(id(variable), variable.value) for variable in group] for group in groups)
        return trainable, others

    def _count_right(self, trainable: Any, others: Any, pixels: Any, labels: Any) -> Any:
        import jax

        def count(batch: tuple[Any, Any]) -> Any:
            probabilities, _ = self.model.stateless_call(trainable, others, batch[0], training=False)
            return (probabilities.argmax(axis=-1) == batch[1]).sum()

        return jax.lax.map(count, (pixels, labels)).sum()


def _in_batches(data: DataSet) -> tuple[Any, Any]:
    """Test pixels and labels as (batches, images, ...); what is missing in the last batch has the label -1."""
    import numpy as np

    size = min(EVALUATION_BATCH, len(data.test))
    missing = -len(data.test) % size
    pixels = np.concatenate([data.test.images, np.zeros((missing, *data.image_shape), np.uint8)])
    labels = np.concatenate([data.test.labels, np.full(missing, -1)]).astype(np.int32)
    return pixels.reshape(-1, size, *data.image_shape), labels.reshape(-1, size)


def compiled(name: str, archive: str, epochs: int | None = None) -> WarmTraining:
    """A recipe, by name or path, and an archive, after a first training in which everything was compiled."""
    from tinysight.data.source import load_data
    from tinysight.models.precision import resolve_precision
    from tinysight.recipe import load_recipe
    from tinysight.training.augment import resolve_flip

    data = load_data(archive)
    recipe = resolve_flip(resolve_precision(load_recipe(name)), data.class_names)
    if epochs is not None:
        recipe = recipe.replace(epochs=epochs, steps=None)
    training = WarmTraining(recipe, data)
    training.run(recipe.seed)
    return training


def timed_runs(training: WarmTraining, num_runs: int) -> dict[str, Any]:
    """Trainings with the seeds 0, 1, ..., as the program prints them."""
    from tinysight.training.backend import list_devices

    return {
        "device": list_devices()[-1].description,
        "parameters": training.net.count_params(),
        "runs": [training.run(seed) for seed in range(num_runs)],
    }


def main(words: list[str]) -> None:
    from tinysight.benchmarks.processes import SAME_FOR_BOTH
    from tinysight.training.backend import choose_backend

    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"):
        # As the other measures set it, which are of the processor.
        if os.environ.get(name) == SAME_FOR_BOTH[name]:
            del os.environ[name]
    os.environ["KERAS_BACKEND"] = "jax"
    choose_backend()
    name, archive, num_runs, *epochs = words
    print(json.dumps(timed_runs(compiled(name, archive, *map(int, epochs)), int(num_runs))))


if __name__ == "__main__":
    main(sys.argv[1:])
