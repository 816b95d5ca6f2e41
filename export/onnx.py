"""A torch network with its final activation inside -> ONNX bytes."""

import io
import warnings

import onnx
import torch
from torch import nn

OPSET = 17
"""The newest that TensorRT 10.3, the one of JetPack 6, reads with FP32 scales."""

INPUT, OUTPUT = "patches", "probabilities"


def to_onnx(network: nn.Module, channels: int, patch_px: int) -> bytes:
    """Return the network as ONNX: (N, channels, P, P) float32 -> (N, 2) float32, N free.

    Equal networks give equal bytes: whatever names this machine or this run is left out.

    Args:
        network: in evaluation mode, with the final activation inside.
        channels: of one patch.
        patch_px: edge of one patch, pixels.
    """
    example = torch.zeros(2, channels, patch_px, patch_px)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # torch announces its newer exporter, which writes file paths of this machine into the graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (example,),
            buffer,  # type: ignore[arg-type] # a file object is documented for dynamo=False
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
