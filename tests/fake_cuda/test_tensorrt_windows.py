"""Windows on TensorRT, all of it but TensorRT: the real pycuda on the fake driver, and the double.

What is expected comes from the oracle, followed by the network in torch on the whole image.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName
from colvi_edge.engines import Engine
from colvi_edge.engines.opening import open_exactly
from colvi_edge.errors import EngineLostError, ImageTooLargeError
from colvi_edge.patches import normalise_image, project
from tests.tools.unets import to_onnx, unet, whole
from tests.tools.windowed_bundles import windowed_bundle

pytestmark = pytest.mark.pycuda

TILED = {"px": 112, "halo_px": 24, "step_px": 4}


@pytest.fixture(autouse=True)
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the double of TensorRT; and let what is built be forgotten afterwards."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    module = sys.modules["tensorrt_double"]
    module.profiles.clear()
    module.given_shapes.clear()
    return module


def bundle_of(folder: Path, windows: dict[str, Any], **settings: Any) -> tuple[Bundle, torch.nn.Module]:
    """Return a bundle of a small U-Net, and that."""
    network = unet(seed=5, depth=2)
    data: dict[Precision, bytes] = {
        "fp32": to_onnx(network, 2, 64),
        "fp16": to_onnx(network, 2, 64, half=True),
    }
    return windowed_bundle(folder, data, windows, **settings), network


def engine(bundle: Bundle, precision: Precision = "fp32") -> Engine:
    """Open TensorRT, unverified."""
    return open_exactly(EngineName.TENSORRT, bundle, precision, "a test")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("windows", [TILED, {"px": "whole", "step_px": 4}], ids=["tiles", "whole"])
def test_planes_to_a_field(
    cuda: Any, double: Any, precision: Precision, windows: dict[str, Any], tmp_path: Path
) -> None:
    """As the oracle and torch, and as what is kept of it; the engine is built for every window."""
    bundle, network = bundle_of(tmp_path / "bundle", windows)
    planes = np.random.default_rng(1).poisson(90, (2, 2, 203, 101)).astype(np.uint16)

    with closing(engine(bundle, precision)) as one:
        found = one.field(planes)
        kept = one.field(planes, lambda part: part.argmax(-1).astype(np.uint8))

    given = normalise_image(project(planes), bundle.config.normalisation)
    np.testing.assert_allclose(found, whole(network, given, 4), atol=2e-5 if precision == "fp32" else 3e-2)
    np.testing.assert_array_equal(kept, found.argmax(-1))
    ((smallest, usual, largest),) = [profile.shapes for profile in double.profiles]
    for shape in double.given_shapes:
        assert all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True))
    assert usual in double.given_shapes, "the warm-up is of the usual size"


def test_tiles_equal_the_whole_image(cuda: Any, tmp_path: Path) -> None:
    """On this runtime as on the others: 1e-6 apart at most."""
    planes = np.random.default_rng(2).poisson(90, (1, 2, 150, 171)).astype(np.uint16)
    fields = []
    for name, windows in (("tiles", TILED), ("whole", {"px": "whole", "step_px": 4})):
        with closing(engine(bundle_of(tmp_path / name, windows)[0])) as one:
            fields.append(one.field(planes))

    assert np.abs(fields[0] - fields[1]).max() <= 1e-6


def test_the_network_alone_and_what_is_left(cuda: Any, double: Any, tmp_path: Path) -> None:
    """Normalised windows in, K numbers a pixel out; closed, it leaves no memory, thread or object."""
    bundle, network = bundle_of(tmp_path / "bundle", TILED)
    windows = np.random.default_rng(3).standard_normal((9, 2, 112, 100), np.float32)
    threads = threading.active_count()

    one = engine(bundle)
    one.field(np.ones((1, 2, 130, 64), np.uint16))
    found = one.network(windows)
    assert one.info.reason == (
        "a test; windows of 112 pixels, 24 of them thrown away at inner edges, normalised by the host"
    )
    one.close()
    one.close()

    with torch.no_grad():
        expected = network(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (cuda.live(), list(double.alive), threading.active_count()) == ({}, [], threads)


def test_an_image_that_is_longer_than_the_engine_was_built_for(cuda: Any, tmp_path: Path) -> None:
    """TensorRT bounds each side; the remedy names an engine that does not."""
    bundle, _ = bundle_of(tmp_path / "bundle", {"px": "whole", "step_px": 4})

    with (
        closing(engine(bundle)) as one,
        pytest.raises(ImageTooLargeError, match=r"found 2052 x 8 pixels, .* or use --engine openvino"),
    ):
        one.field(np.ones((1, 2, 8, 2049), np.uint16))


def test_a_device_that_is_lost_between_windows(cuda: Any, tmp_path: Path) -> None:
    """One error with its remedy, whatever is under way; and closing is silent."""
    one = engine(bundle_of(tmp_path / "bundle", TILED)[0])
    cuda.set("sticky", 1)
    cuda.fail("cuMemcpyDtoHAsync_v2", 719, 2)

    for _ in range(2):
        with pytest.raises(EngineLostError, match="the GPU went away"):
            one.field(np.ones((1, 2, 300, 300), np.uint16))
    one.close()
