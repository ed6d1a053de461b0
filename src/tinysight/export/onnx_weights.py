"""Large weights go around the converter to ONNX, which holds some forty copies of what it is given."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinysight.errors import ModelError

# Numbers from which on a weight is large; all others are constants to the converter, which it can fold.
LARGE = 2**18


def large_weights(model: keras.Model) -> list[Any]:
    """The variables of a model that hold so many float32 numbers, each once."""
    found = {id(each): each for each in model.variables if each.dtype == "float32" and np.prod(each.shape) >= LARGE}
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
    used = {name for node in nodes for name in node.input}
    for name in used & values.keys():
        graph.graph.initializer.append(numpy_helper.from_array(values[name], name))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
