"""The first convolution of a quantised network as a matrix product.

It sees two or three channels, and OpenVINO's AMX kernel spends most of its time on the empty rest of
its registers: 20 of 34 ms an image. Unfolded, the nine shifted copies of the patch stand side by
side as channels, and a 1 x 1 convolution does the same sums of the same integers in 11 ms; the copies
cost 5. The results are equal to the last bit. (Measured on 2 cores of a Xeon with AMX; without AMX
both ways take as long.) Only of unsigned pixels: on an AMD EPYC with AVX512-VNNI and without AMX, OpenVINO
2026.4.1 computes the 1 x 1 convolution of signed ones otherwise (91 % of the votes of `int8-trt` kept).
"""

import numpy as np

from colvi_edge.engines.openvino.silent import openvino, ops

_ELEMENTWISE = {"FakeQuantize", "Convert", "Subtract", "Multiply"}
"""What quantisation puts in front of a convolution."""

_MOST_CHANNELS = 4
"""With more of them the kernel's registers are full anyway."""


def unfold_first_convolution(model: openvino.Model) -> bool:
    """Rewrite the first convolution of a network, where it can be; return whether it was.

    It can where the convolution follows the input with nothing but scalar quantisation between them, to
    unsigned numbers, has int8 weights, few input channels, and neither stride nor dilation.

    Args:
        model: input (N, C, H, W), H and W known; changed in place.
    """
    convolution = next(
        (node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"), None
    )
    if convolution is None:
        return False
    patches = _source(convolution.input_value(0).get_node(), "Parameter", per_filter=False)
    weights = _source(convolution.input_value(1).get_node(), "Constant", per_filter=True)
    if patches is None or _is_signed(convolution.input_value(0).get_node()):
        return False
    if weights is None or weights.get_element_type() != openvino.Type.i8:
        return False
    settings, (filters, channels, *kernel) = convolution.get_attributes(), weights.data.shape
    before, after = settings["pads_begin"], settings["pads_end"]
    if channels > _MOST_CHANNELS or {*settings["strides"], *settings["dilations"]} != {1} or kernel == [1, 1]:
        return False

    consumers = list(patches.output(0).get_target_inputs())
    columns = _columns(patches.output(0), kernel, before, after)
    for consumer in consumers:
        consumer.replace_source_output(columns)
    flat = weights.data.transpose(0, 2, 3, 1).reshape(filters, -1, 1, 1)
    for consumer in list(weights.output(0).get_target_inputs()):
        consumer.replace_source_output(ops.constant(np.ascontiguousarray(flat)).output(0))
    convolution.set_attribute("pads_begin", [0, 0])
    convolution.set_attribute("pads_end", [0, 0])
    model.validate_nodes_and_infer_types()
    return True


def _source(node: openvino.Node, kind: str, per_filter: bool) -> openvino.Node | None:
    """Return the node of a kind at the beginning of a chain of elementwise ones; None if there is another.

    Their other operands are scalars, so that they do to every element the same, or one number a filter.
    """
    while node.get_type_name() != kind:
        if node.get_type_name() not in _ELEMENTWISE:
            return None
        for operand in node.input_values()[1:]:
            if any(length != 1 for length in operand.get_shape()[per_filter:]):
                return None
        node = node.input_value(0).get_node()
    return node


def _is_signed(node: openvino.Node) -> bool:
    """Return whether pixels become signed numbers, in a chain that `_source` has followed."""
    while node.get_type_name() != "Parameter":
        if node.get_output_element_type(0) == openvino.Type.i8:
            return True
        node = node.input_value(0).get_node()
    return False


def _columns(
    patches: openvino.Output, kernel: list[int], before: list[int], after: list[int]
) -> openvino.Output:
    """Return (N, taps x C, H', W'): the patches, shifted to each tap of the kernel."""
    height, width = (patches.get_partial_shape()[axis].get_length() for axis in (2, 3))
    height += before[0] + after[0] - kernel[0] + 1
    width += before[1] + after[1] - kernel[1] + 1
    padded = ops.pad(patches, np.array([0, 0, *before]), np.array([0, 0, *after]), "constant", np.float32(0))
    shifted = [
        ops.slice(
            padded, np.array([y, x]), np.array([y + height, x + width]), np.array([1, 1]), np.array([2, 3])
        )
        for y in range(kernel[0])
        for x in range(kernel[1])
    ]
    return ops.concat(shifted, 1).output(0)
