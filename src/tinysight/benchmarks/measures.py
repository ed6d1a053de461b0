"""Every measure by its name, in the order of the page."""

from __future__ import annotations

from tinysight.benchmarks import cifar94, memory, on_gpu, prediction, throughput
from tinysight.benchmarks.measure import Measure
from tinysight.benchmarks.pairs import Pair

_SPRINT = Pair(recipe="sprint", script="tensorflow_cnn.py", data="cifar10", goal=25)
_QUICK = Pair(recipe="quick", script="leaky_adamax.py", data="cifar10", goal=15)
# What TensorFlow's tutorial publishes for its CNN on MNIST.
_MNIST = Pair(recipe="mnist-99", script="mnist_cnn.py", data="mnist", goal=10, accuracy=0.9902)

_GPU_94 = on_gpu.WarmGoal(recipe="cifar10-94", level="94", accuracy=0.94, seconds=1.5)
_GPU_96 = on_gpu.WarmGoal(recipe="cifar10-96", level="96", accuracy=0.96, seconds=12.0)

_ALL = (
    Measure(
        name="sprint",
        title="the `tensorflow` tutorial's own final accuracy with `sprint`",
        against="that tutorial, 10 epochs, plain Keras",
        goal="25 times faster",
        recipes=("sprint",),
        data=("cifar10",),
        take=_SPRINT.take,
    ),
    Measure(
        name="quick",
        title="the `leaky-adamax` tutorial's own final accuracy with `quick`",
        against="that tutorial, 10 epochs, plain Keras",
        goal="15 times faster",
        recipes=("quick",),
        data=("cifar10",),
        take=_QUICK.take,
    ),
    Measure(
        name="mnist-99",
        title="99.02 % on MNIST with `mnist-99`",
        against="the `mnist-cnn` tutorial, 5 epochs, plain Keras",
        goal="10 times faster",
        recipes=("mnist-99",),
        data=("mnist",),
        take=_MNIST.take,
    ),
    Measure(
        name="throughput",
        title="images/s of `tensorflow` and `leaky-adamax`, same net, batch and numbers",
        against="plain Keras `fit`",
        goal="1.3 times at batch 32, never below 1.0",
        recipes=tuple(throughput.NETS),
        data=("cifar10",),
        take=throughput.take,
    ),
    Measure(
        name="cifar10-94",
        title="94.0 % on CIFAR-10 with `cifar10-94`, mean over seeds, on the processor",
        against="0.29 PFLOP at the machine's own matrix-product rate, measured in the same run",
        goal="at most 1.2 times that time",
        recipes=(cifar94.RECIPE,),
        data=("cifar10",),
        take=cifar94.take,
    ),
    Measure(
        name="predict",
        title="images/s of prediction, and one image as a whole process",
        against="Keras `predict`",
        goal="3 times; 10 times",
        recipes=prediction.RECIPES,
        data=("cifar10",),
        take=prediction.take,
    ),
    Measure(
        name="memory",
        title="peak memory of a training on CIFAR-10",
        against="plain Keras",
        goal="at most 1.0 GB",
        recipes=tuple(memory.TRAINED),
        data=("cifar10",),
        take=memory.take,
    ),
    Measure(
        name="gpu-94",
        title="seconds to 94.0 % on CIFAR-10, mean of 25 runs or more, warm, one H200",
        against="1.99 s (best published, A100), 2.59 s (airbench94_muon, A100), and airbench's method in the same run",
        goal="under 1.5 s, and ahead in the same run",
        recipes=(_GPU_94.recipe,),
        data=(on_gpu.DATA,),
        take=_GPU_94.take,
        needs_gpu=True,
    ),
    Measure(
        name="gpu-96",
        title="seconds to 96.0 % on CIFAR-10, likewise",
        against="27.3 s (airbench96, A100)",
        goal="under 12 s",
        recipes=(_GPU_96.recipe,),
        data=(on_gpu.DATA,),
        take=_GPU_96.take,
        needs_gpu=True,
    ),
)
MEASURES = {measure.name: measure for measure in _ALL}
