"""GELU for tf2onnx: TensorFlow computes it with Erfc, which ONNX lacks; 1 - Erf is the same."""

from __future__ import annotations

from typing import Any


def teach_erfc() -> None:
    """Makes tf2onnx's converters know Erfc; harmless when called twice."""
    import numpy as np
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            """Named after the first version of ONNX's operators that has Erf, as tf2onnx wants it."""
            shapes, types = node.output_shapes, node.output_dtypes
            error_function = graph.make_node("Erf", list(node.input), shapes=shapes, dtypes=types)
            one = graph.make_const(utils.make_name("one"), np.array(1, utils.map_onnx_to_numpy_type(types[0])))
            graph.remove_node(node.name)
            operands = [one.output[0], error_function.output[0]]
            graph.make_node("Sub", operands, outputs=list(node.output), shapes=shapes, dtypes=types)
