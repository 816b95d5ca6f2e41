"""A torch network with its final activation inside -> ONNX bytes."""

import copy
import io
import warnings

import onnx
import torch
from torch import nn

from colvi_edge.errors import ModelError
from colvi_edge.onnx import NetworkError

OPSET = 17
"""The newest that TensorRT 10.3, the one of JetPack 6, reads with FP32 scales."""

INPUT, OUTPUT = "patches", "probabilities"
DENSE_INPUT = "windows"


def input_of(*, dense: bool) -> str:
    """Return what the input of a network is called in its file."""
    return DENSE_INPUT if dense else INPUT


def to_onnx(
    network: nn.Module,
    channels: int,
    size_px: int | tuple[int, int],
    *,
    half: bool = False,
    dense: bool = False,
) -> bytes:
    """Return the network as ONNX: (N, channels, h, w) -> (N, K) or, dense, (N, K, h, w) float32, N free.

    Equal networks give equal bytes: whatever names this machine or this run is left out.

    Args:
        network: in evaluation mode, with the final activation inside.
        channels: of its input.
        size_px: edge of its square input, or height and width, pixels; of a dense one an example.
        half: type the graph float16 throughout, from its input to the logits.
        dense: it answers for each pixel; height and width stay free.

    Raises:
        ModelError: torch cannot write the network as ONNX, or a part of it insists on float32.
    """
    height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
    example = torch.zeros(2, channels, height, width)
    name, free = input_of(dense=dense), {0: "N", 2: "h", 3: "w"} if dense else {0: "N"}
    if half:
        with torch.no_grad():  # else the parameters of copied TorchScript are no leaves, and torch warns
            network, example = copy.deepcopy(network).half(), example.half()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # torch announces its newer exporter, which writes file paths of this machine into the graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        # What else it warns of (its own tracing, resizing, padding, normalisation) is not guessed at: parity
        # with torch is measured.
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        try:
            if any(isinstance(part, torch.jit.ScriptModule) for part in network.modules()):
                network = _traced(network.eval(), example)
            torch.onnx.export(
                network.eval(),
                (example,),
                buffer,  # type: ignore[arg-type] # a file object is documented for dynamo=False
                input_names=[name],
                output_names=[OUTPUT],
                dynamic_axes={name: free, OUTPUT: free},
                opset_version=OPSET,
                dynamo=False,
            )
        except RuntimeError as error:
            why = str(error).strip().splitlines()[-1].strip()
            raise ModelError(f"the network cannot be written as ONNX ({why})") from error
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def refused_as_onnx(error: NetworkError) -> ModelError:
    """Return the error that says that bundles do not take a network that could be written."""
    return ModelError(
        f"the network as ONNX {error}; save one of the usual layers (as of ResNet, DenseNet or U-Net)"
    )


def _traced(network: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a plain module that holds TorchScript as TorchScript altogether.

    The exporter cannot step from the one into the other; the tracer can. Saved and loaded, because
    names of nodes otherwise depend on what was run before.
    """
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(network, example), buffer)  # type: ignore[no-untyped-call]
    buffer.seek(0)
    return torch.jit.load(buffer)  # type: ignore[no-untyped-call]
