"""An FP32 ONNX network -> its INT8 form, for TensorRT or for CPUs.

They are two different networks. TensorRT wants symmetric Q/DQ at the inputs of convolutions and
nowhere else: between a convolution and its ReLU they would split the fused kernel, the
classifier's layers are 0.3 % of the work, and a quantised bias is refused. CPUs want asymmetric
uint8 all the way through ReLU and pooling: the ReLU folds into the clamp and the pooling moves a
quarter of the bytes (OpenVINO takes 45 ms an image, and 75 ms with the network for TensorRT).

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

from .onnx import INPUT

Target = Literal["int8-trt", "int8-cpu"]
Range = Literal["min-max", "percentile 99.99"]

RANGES: tuple[Range, ...] = ("percentile 99.99", "min-max")

STRIDE_PATCHES = 32
"""Patches whose activations are held at once, 5.5 MiB each; their histograms are merged."""

_BATCH = 16
_METHODS = {"min-max": CalibrationMethod.MinMax, "percentile 99.99": CalibrationMethod.Percentile}


def quantise(fp32: bytes, patches: NDArray[np.float32], target: Target, ranges: Range) -> bytes:
    """Return the INT8 network as ONNX; inputs and outputs stay float32.

    Args:
        fp32: the network, with its final activation.
        patches: (N, C, P, P) normalised calibration patches, N a multiple of STRIDE_PATCHES.
        target: which of the two networks.
        ranges: how the range of an activation is found.
    """
    options: dict[str, Any] = {
        "WeightSymmetric": True,
        "CalibPercentile": 99.99,
        "CalibStridedMinMax": STRIDE_PATCHES // _BATCH,  # strides for every method, whatever its name says
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
        # The classifier stays in float here too: quantised probabilities come in steps of 1/255, and tie.
        what = {"activation_type": QuantType.QUInt8, "op_types_to_quantize": ["Conv", "Relu", "MaxPool"]}
        options |= {"ActivationSymmetric": False, "CalibTensorRangeSymmetric": False}
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("fp32", "prepared", "int8"))
        source.write_bytes(fp32)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # it reports every stride
            quantize_static(
                prepared,
                result,
                _Patches(patches),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                calibrate_method=_METHODS[ranges],
                extra_options=options,
                **what,
            )
        model = onnx.load(result)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Patches(CalibrationDataReader):  # type: ignore[misc] # the base class has no types
    """Hands out calibration patches, a batch at a time, of the stride that is asked for."""

    def __init__(self, patches: NDArray[np.float32]) -> None:
        if not len(patches) or len(patches) % STRIDE_PATCHES:
            raise ValueError(
                f"expected a multiple of {STRIDE_PATCHES} calibration patches, got {len(patches)}"
            )
        self._batches = [patches[start : start + _BATCH] for start in range(0, len(patches), _BATCH)]
        self._left: Iterator[NDArray[np.float32]] = iter(())

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go to a stride; in batches."""
        self._left = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch of the stride, None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {INPUT: batch}
