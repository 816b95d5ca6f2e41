"""Every engine against the oracle followed by the torch network, from raw planes to probabilities."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.errors import ImageTooSmallError, PixelTypeError, UsageError
from colvi_edge.patches import grid_shape, network_input
from tests.tools.engines import ENGINES

MakeBundle = Callable[..., tuple[Bundle, Any]]
Noise = Callable[..., NDArray[Any]]


def expected(bundle: Bundle, network: Any, planes: NDArray[Any]) -> NDArray[np.float32]:
    """Oracle, then torch in FP32."""
    config = bundle.config
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], config.patch_px)
    patches = network_input(planes, config.patch_px, config.normalisation)
    with torch.no_grad():
        found = network(torch.from_numpy(patches)).numpy()
    probabilities: NDArray[np.float32] = found.reshape(rows, cols, 2)
    return probabilities


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("shape", "dtype", "mean"),
    [
        ((1, 2, 128, 192), "uint8", 60),
        ((1, 2, 320, 320), "uint16", 900),
        ((1, 2, 640, 704), "uint16", 900),  # more batches than are under way at once
        ((10, 2, 130, 70), "uint16", 3000),
        ((1, 2, 64, 64), "uint16", 60000),
        ((3, 2, 200, 127), "float32", 12),
    ],
)
def test_engines_equal_oracle_and_torch(
    engine: str, shape: tuple[int, ...], dtype: str, mean: float, make_bundle: MakeBundle, noise: Noise
) -> None:
    """Within 1e-4 for integers and 1e-3 for floats, at sizes that do not fill a batch or a patch."""
    bundle, network = make_bundle()
    planes = noise(shape, dtype, mean)

    with closing(open_engine(bundle, engine)) as opened:
        found = opened.field(planes)

    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, expected(bundle, network, planes), atol=1e-3 if dtype == "float32" else 1e-4
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "normalisation",
    [
        {"kind": "patch"},
        {"kind": "patch-channel"},
        {"kind": "fixed", "mean": (900.0, 910.0), "std": (30.0, 28.0)},
        {"kind": "scale", "divisor": 1000.0, "dtype": "uint16"},
    ],
)
def test_every_normalisation_is_in_every_engine(
    engine: str, normalisation: dict[str, Any], make_bundle: MakeBundle, noise: Noise
) -> None:
    """All four kinds, whether the engine computes them itself or not."""
    bundle, network = make_bundle(**normalisation)
    planes = noise((2, 2, 128, 128), "uint16", 450)

    with closing(open_engine(bundle, engine)) as opened:
        found = opened.field(planes)

    np.testing.assert_allclose(found, expected(bundle, network, planes), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_network_alone(engine: str, make_bundle: MakeBundle) -> None:
    """Normalised patches in, the same probabilities out, also when they do not fill a batch."""
    bundle, network = make_bundle()
    patches = np.random.default_rng(4).standard_normal((37, 2, 64, 64), np.float32)

    with closing(open_engine(bundle, engine)) as opened:
        found = opened.network(patches)

    with torch.no_grad():
        np.testing.assert_allclose(found, network(torch.from_numpy(patches)).numpy(), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_networks_with_an_empty_channel(engine: str, make_bundle: MakeBundle, noise: Noise) -> None:
    """Networks trained on RGB pictures get their zeros, and the zeros count in mean and deviation."""
    bundle, network = make_bundle(channels=("empty", "collagen", "nuclei"))
    planes = noise((1, 3, 128, 128))
    planes[:, 0] = 0

    with closing(open_engine(bundle, engine)) as opened:
        found = opened.field(planes)

    np.testing.assert_allclose(found, expected(bundle, network, planes), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["patch", "patch-channel"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_constant_and_nearly_constant_patches(
    engine: str, kind: str, dtype: str, make_bundle: MakeBundle
) -> None:
    """No spread is zeros in; one count on a bright patch keeps its digits."""
    bundle, network = make_bundle(kind=kind)
    top = {"uint8": 255, "uint16": 65535, "float32": 3000.1}[dtype]
    planes = np.full((1, 2, 64, 192), top, dtype)
    planes[0, 1, 10, 70] -= 1
    planes[0, :, :, 128:] = 0

    with closing(open_engine(bundle, engine)) as opened:
        found = opened.field(planes)

    np.testing.assert_allclose(found, expected(bundle, network, planes), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_keeps_nothing_of_the_last_image(
    engine: str, make_bundle: MakeBundle, noise: Noise
) -> None:
    """A large image before a small one changes nothing, and what was returned stays as it was."""
    bundle, _ = make_bundle()
    large, small = noise((1, 2, 384, 384), seed=1), noise((1, 2, 64, 128), seed=2)

    with closing(open_engine(bundle, engine)) as opened:
        alone = opened.field(small)
        kept = alone.copy()
        opened.field(large)
        again = opened.field(small)

    np.testing.assert_array_equal(alone, kept)
    np.testing.assert_array_equal(again, alone)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_demo_network_in_the_engine_is_the_trained_one(
    engine: str, demo_bundle: Bundle, noise: Noise
) -> None:
    """The shipped ONNX file and the shipped checkpoint are one network."""
    from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, load_checkpoint

    checkpoint = load_checkpoint(DEMO_CHECKPOINT)
    planes = noise((1, 2, 128, 128), mean=800)

    with closing(open_engine(demo_bundle, engine)) as opened:
        found = opened.field(planes)

    np.testing.assert_allclose(found, expected(demo_bundle, checkpoint.probabilities(), planes), atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_planes_that_do_not_fit_are_refused(engine: str, make_bundle: MakeBundle, noise: Noise) -> None:
    """A bug of the caller is a ValueError; a small image is the operator's to put right."""
    bundle, _ = make_bundle()
    with closing(open_engine(bundle, engine)) as opened:
        with pytest.raises(ValueError, match=r"expected planes \(Z, 2, H, W\)"):
            opened.field(noise((1, 3, 64, 64)))
        with pytest.raises(ImageTooSmallError, match="at least one patch of 64 x 64"):
            opened.field(noise((1, 2, 63, 640)))


@pytest.mark.parametrize("engine", ENGINES)
def test_scale_refuses_another_depth_in_every_engine(
    engine: str, make_bundle: MakeBundle, noise: Noise
) -> None:
    """A divisor made for 8 bit is not applied to 16."""
    bundle, _ = make_bundle(kind="scale", divisor=255.0, dtype="uint8")

    with (
        closing(open_engine(bundle, engine)) as opened,
        pytest.raises(PixelTypeError, match="made for uint8"),
    ):
        opened.field(noise((1, 2, 64, 64), "uint16"))


def test_auto_takes_openvino_and_says_why(make_bundle: MakeBundle) -> None:
    """What was taken, and why, is known to the sidecar."""
    bundle, _ = make_bundle()

    with closing(open_engine(bundle)) as opened:
        info = opened.info

    assert (info.runtime, info.precision) == ("openvino", "fp32")
    assert "CPU default" in info.reason


def test_a_precision_that_is_not_there_is_not_replaced(make_bundle: MakeBundle) -> None:
    """Asked for INT8, a bundle without it is an error that names what there is."""
    bundle, _ = make_bundle()

    with pytest.raises(UsageError, match="holds no int8-cpu, only fp32"):
        open_engine(bundle, "openvino", "int8")


QUIET = ("CI", "ORT_DISABLE_TELEMETRY")
"""Where these are set, the runtimes keep quiet by themselves."""


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_told_to_anybody(tmp_path: Path, engine: str) -> None:
    """Opening an engine asks for no host and writes no home folder, as both runtimes' telemetry does."""
    script = (
        "import socket\n"
        "def refuse(*arguments, **settings): raise SystemExit(f'asked for {arguments}')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        "from colvi_edge.bundle import open_bundle\n"
        "from colvi_edge.engines import open_engine\n"
        f"open_engine(open_bundle('demo'), '{engine}').close()\n"
    )
    told = {name: value for name, value in os.environ.items() if name not in QUIET}

    subprocess.run(
        [sys.executable, "-c", script], check=True, env=told | {"HOME": str(tmp_path)}, timeout=120
    )

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("used", [False, True])
def test_the_host_keeps_its_telemetry(tmp_path: Path, used: bool) -> None:
    """Whoever else lives in the process has the package as before: as it was used, or still to import."""
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry/__init__.py").write_text("its = 'own'\n")
    script = (
        "import sys\n"
        f"before = __import__('openvino_telemetry') if {used} else None\n"
        "import colvi_edge.engines\n"
        f"assert ('openvino_telemetry' in sys.modules) == {used}\n"
        "import colvi_edge.engines.openvino\n"
        "assert sys.modules.get('openvino_telemetry') is before\n"
        "import openvino.tools.ovc.telemetry_stub\n"  # which it falls back on
        "import openvino_telemetry\n"
        "print(openvino_telemetry.its)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )

    assert done.stdout == "own\n"


@pytest.mark.parametrize(
    ("asked", "named"), [("int8", "int8, here int8-cpu, was asked for"), ("fp32", "; fp32 was asked for")]
)
def test_the_reason_says_which_int8_it_is(demo_bundle: Bundle, asked: str, named: str) -> None:
    """The word that was typed, and the network that it means on this engine."""
    engine = open_engine(demo_bundle, "onnxruntime", asked)
    engine.close()

    assert named in engine.info.reason
