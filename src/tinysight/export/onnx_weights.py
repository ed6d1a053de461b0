"""Large weights go around the converter to ONNX, which holds some forty copies of what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from tinysight.errors import ModelError
from tinysight.models.walk import leaf_layers

# Numbers from which on a weight is large.
LARGE = 2**18
# Whose kernels are large weights. All other weights are constants to the converter, which folds normalisation and knows
# recurrent layers by theirs.
KINDS = (layers.Conv2D, layers.Dense)


def large_weights(model: keras.Model) -> list[Any]:
    """The float32 kernels of a model that hold so many numbers, each once."""
    kernels = [layer.kernel for layer in leaf_layers(model) if isinstance(layer, KINDS)]
    found = {id(each): each for each in kernels if each.dtype == "float32" and np.prod(each.shape) >= LARGE}
    return list(found.values())


def called_with(model: keras.Model, images: Any, weights: list[Any], values: list[Any]) -> Any:
    """What the model predicts of `images` if its variables `weights` had the given values, tensors."""
    given = {id(weight): value for weight, value in zip(weights, values, strict=True)}
    trainable, fixed = (
        [given.get(id(each), each.value) for each in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return model.stateless_call(trainable, fixed, images, training=False)[0]


def put_weights(graph: Any, weights: list[Any]) -> None:
    """Makes constants of the inputs of an ONNX model after its first one; transposed where the graph transposes them.

    Args:
        graph: an ONNX model that was made of `called_with`.
        weights: the variables, in the order of the inputs.

    Raises:
        ModelError: when the model has another number of inputs.
    """
    from onnx import helper, numpy_helper

    names = [each.name for each in graph.graph.input][1:]
    if len(names) != len(weights):
        raise ModelError(f"the converted model has {len(names)} inputs for weights; expected {len(weights)}")
    del graph.graph.input[1:]
    values = dict(zip(names, map(keras.ops.convert_to_numpy, weights), strict=True))
    nodes = []
    for node in graph.graph.node:
        if node.op_type == "Transpose" and node.input[0] in values:
            (order,) = (helper.get_attribute_value(entry) for entry in node.attribute if entry.name == "perm")
            turned = np.ascontiguousarray(values[node.input[0]].transpose(order))
            graph.graph.initializer.append(numpy_helper.from_array(turned, node.output[0]))
        else:
            nodes.append(node)
    for name in values.keys() & set(_names(nodes)):
        graph.graph.initializer.append(numpy_helper.from_array(values[name], name))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _names(nodes: Any) -> Iterator[str]:
    """What nodes read; those of the branches that lie in them, too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                yield from _names(branch.node)
