"""The unfolded first convolution: the same bits as OpenVINO's own, or left alone."""

import numpy as np
import pytest

from colvi_edge.bundle import open_bundle
from colvi_edge.engines.openvino.silent import openvino, ops
from colvi_edge.engines.openvino.unfold import unfold_first_convolution


def quantised(
    kernel: tuple[int, int] = (3, 3),
    channels: int = 2,
    stride: int = 1,
    dilation: int = 1,
    before: tuple[int, int] = (1, 1),
    after: tuple[int, int] = (1, 1),
    input_zero: float = 114,
    weights_type: str = "i8",
    scale_shape: tuple[int, ...] = (),
) -> openvino.Model:
    """Return input -> uint8 -> convolution with int8 weights, as a quantised network begins; 8 filters."""
    rng = np.random.default_rng(1)
    patches = ops.parameter([4, channels, 16, 12], np.float32, name="patches")
    low, step = -0.05 * input_zero, 0.05
    pixels = ops.fake_quantize(
        patches, np.float32(low), np.float32(low + 255 * step), np.float32(0), np.float32(255), 256
    )
    stored = ops.convert(pixels, "u8")
    shifted = ops.subtract(ops.convert(stored, "f32"), np.float32(input_zero))
    data = ops.multiply(shifted, np.full(scale_shape, step, np.float32))
    integers = rng.integers(-127, 128, (8, channels, *kernel)).astype(
        np.int8 if weights_type == "i8" else np.float32
    )
    scales = rng.uniform(0.01, 0.02, (8, 1, 1, 1)).astype(np.float32)
    weights = ops.multiply(ops.convert(ops.constant(integers), "f32"), scales)
    found = ops.convolution(data, weights, [stride, stride], list(before), list(after), [dilation, dilation])
    return openvino.Model([ops.relu(found)], [patches], "quantised")


def outputs(model: openvino.Model, patches: np.ndarray) -> np.ndarray:
    """Run a model in OpenVINO."""
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(patches)[0])


def test_a_network_of_signed_pixels_is_left_alone() -> None:
    """There a 1 x 1 convolution has other results on processors without AMX."""
    model = openvino.Core().read_model(open_bundle("demo").network("int8-trt"))
    model.reshape((16, 2, 64, 64))
    before = [node.get_friendly_name() for node in model.get_ordered_ops()]

    assert not unfold_first_convolution(model)
    assert [node.get_friendly_name() for node in model.get_ordered_ops()] == before


def test_the_network_of_a_bundle_keeps_every_bit() -> None:
    """Probabilities of random patches, most of them far from 0 and 1, as of the network as it was."""
    bundle = open_bundle("demo")
    patches = np.random.default_rng(0).standard_normal((16, 2, 64, 64), np.float32)
    models = [openvino.Core().read_model(bundle.network("int8-cpu")) for _ in range(2)]
    for model in models:
        model.reshape(patches.shape)

    assert unfold_first_convolution(models[1])
    np.testing.assert_array_equal(outputs(models[0], patches), outputs(models[1], patches))


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 3)])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("before", "after"), [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (1, 2))])
def test_every_kernel_and_border_keeps_every_bit(
    kernel: tuple[int, int], channels: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """The published network pads nothing after its first layer; borders may differ from side to side."""
    rng = np.random.default_rng(2)
    patches = rng.normal(0, 2, (4, channels, 16, 12)).astype(np.float32)
    plain, unfolded = (quantised(kernel, channels, before=before, after=after) for _ in range(2))

    assert unfold_first_convolution(unfolded)
    np.testing.assert_array_equal(outputs(plain, patches), outputs(unfolded, patches))


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 2},
        {"dilation": 2},
        {"kernel": (1, 1), "before": (0, 0), "after": (0, 0)},
        {"channels": 5},
        {"weights_type": "f32"},
        {"scale_shape": (1, 2, 1, 1)},
    ],
)
def test_what_it_does_not_fit_is_left_alone(changes: dict[str, object]) -> None:
    """Another geometry, weights in float, or a scale for each channel: the model stays as it is."""
    model = quantised(**changes)  # type: ignore[arg-type]
    before = [node.get_type_name() for node in model.get_ordered_ops()]

    assert not unfold_first_convolution(model)
    assert [node.get_type_name() for node in model.get_ordered_ops()] == before


def test_a_network_in_float_is_left_alone() -> None:
    """FP32 gains nothing: its first convolution is a sixth of its time."""
    model = openvino.Core().read_model(open_bundle("demo").network("fp32"))
    model.reshape([16, 2, 64, 64])

    assert not unfold_first_convolution(model)
