"""An FP32 ONNX network -> its INT8 form, for TensorRT or for CPUs.

They are two different networks. TensorRT wants symmetric Q/DQ at the inputs of convolutions and
nowhere else: between a convolution and its ReLU they would split the fused kernel, the
classifier's layers are 0.3 % of the work, and a quantised bias is refused. CPUs want asymmetric
uint8 all the way through ReLU and pooling: the ReLU folds into the clamp and the pooling moves a
quarter of the bytes (OpenVINO takes 45 ms an image, and 75 ms with the network for TensorRT).

A network that answers for each pixel is quantised in two ways. All of it that a runtime has integers for; or,
where that moves its answers, the body alone: what makes the answer (the last convolution, those of 1x1) and
what doubles the maps stay in float, a few hundredths of the work.

Ranges come from calibration patches, as the extremes ("min-max") or as the 99.99th percentile,
which cuts off the rare brightest pixel; which of the two is better is measured, not assumed.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Target = Literal["int8-trt", "int8-cpu"]
Range = Literal["min-max", "percentile 99.99"]

RANGES: tuple[Range, ...] = ("percentile 99.99", "min-max")

STRIDE_PATCHES = 32
"""Patches whose activations are held at once, 5.5 MiB each; their histograms are merged."""

STRIDE_PX = STRIDE_PATCHES * 64 * 64
"""The same of windows, in pixels of them; of larger ones one at a time."""

Held = Literal["", "heads"]
"""What of a dense network stays in float: what has no integers; or heads and doublings, too."""

_BATCH = 16
_METHODS = {"min-max": CalibrationMethod.MinMax, "percentile 99.99": CalibrationMethod.Percentile}


def stride_of(windows_px: int) -> int:
    """Return how many windows of so many pixels have their activations held at once."""
    return max(1, STRIDE_PX // windows_px)


def quantise(
    fp32: bytes, windows: NDArray[np.float32], target: Target, ranges: Range, *, held: Held | None = None
) -> bytes:
    """Return the INT8 network as ONNX; inputs and outputs stay float32.

    Args:
        fp32: the network, with its final activation.
        windows: (N, C, h, w) normalised calibration patches or windows as they will be run, N a multiple of
            `stride_of` their pixels.
        target: which of the two networks.
        ranges: how the range of an activation is found.
        held: what stays in float of a dense network; None for one that is none.
    """
    stride = stride_of(windows.shape[2] * windows.shape[3])
    batch = min(_BATCH, stride)
    options: dict[str, Any] = {
        "WeightSymmetric": True,
        "CalibPercentile": 99.99,
        "CalibStridedMinMax": stride // batch,  # strides for every method, whatever its name says
    }
    if target == "int8-trt":
        what = {"activation_type": QuantType.QInt8, "op_types_to_quantize": ["Conv"]}
        options |= {
            "ActivationSymmetric": True,
            "CalibTensorRangeSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm", "Relu", "MaxPool"],
        }
    else:
        more = [] if held is None else ["Concat", *([] if held else ["ConvTranspose"])]
        # The classifier stays in float here too: quantised probabilities come in steps of 1/255, and tie.
        what = {
            "activation_type": QuantType.QUInt8,
            "op_types_to_quantize": ["Conv", "Relu", "MaxPool", *more],
        }
        options |= {"ActivationSymmetric": False, "CalibTensorRangeSymmetric": False}
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("fp32", "prepared", "int8"))
        source.write_bytes(fp32)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        plain = onnx.load(prepared)
        with contextlib.redirect_stdout(io.StringIO()):  # it reports every stride
            quantize_static(
                prepared,
                result,
                _Windows(windows, batch, stride, plain.graph.input[0].name),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                calibrate_method=_METHODS[ranges],
                extra_options=options,
                nodes_to_exclude=_heads(plain) if held else [],
                **what,
            )
        model = onnx.load(result)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _heads(model: onnx.ModelProto) -> list[str]:
    """Return the names of the last convolution and of all of 1x1."""
    kernels = {tensor.name: list(tensor.dims[2:]) for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [
        node.name for node in convolutions if node is convolutions[-1] or kernels[node.input[1]] == [1, 1]
    ]


class _Windows(CalibrationDataReader):  # type: ignore[misc] # the base class has no types
    """Hands out calibration windows, a batch at a time, of the stride that is asked for."""

    def __init__(self, windows: NDArray[np.float32], batch: int, stride: int, name: str) -> None:
        if not len(windows) or len(windows) % stride:
            raise ValueError(f"expected a multiple of {stride} calibration patches, got {len(windows)}")
        self._name = name
        self._batches = [windows[start : start + batch] for start in range(0, len(windows), batch)]
        self._left: Iterator[NDArray[np.float32]] = iter(())

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go to a stride; in batches."""
        self._left = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch of the stride, None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}
