"""What the engine does otherwise on TensorRT-RTX: it compiles when it is opened, and keeps what it compiled.

With the double of TensorRT, as in test_tensorrt_engine.py; that TensorRT-RTX has the names that are used is
checked in test_tensorrt_names.py with TensorRT-RTX itself.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.patches import network_input

pytestmark = pytest.mark.pycuda(runtime="tensorrt_rtx")

MakeBundle = Callable[..., Bundle]
Noise = Callable[..., NDArray[Any]]


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that engines are kept in."""
    from colvi_edge.engines.tensorrt import inference as tensorrt_steps

    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(tensorrt_steps, "_WARM_UP_PATCHES", 2)
    return tmp_path / "state" / "engines"


def settings_of_an_engine(bundle: Bundle) -> Any:
    """Open and close an engine, and return what TensorRT-RTX was told."""
    open_engine(bundle, "tensorrt").close()
    return sys.modules["tensorrt_double"].RuntimeConfig.last


def test_planes_to_probabilities(cuda: Any, make_gpu_bundle: MakeBundle, noise: Noise) -> None:
    """As oracle and ONNX Runtime; TensorRT-RTX records its own CUDA graph, so that nobody else does."""
    bundle, planes = make_gpu_bundle(), noise((2, 2, 128, 192))

    with closing(open_engine(bundle, "tensorrt", "fp32")) as engine:
        found = [engine.field(planes) for _ in range(3)]
        info = engine.info

    session = onnxruntime.InferenceSession(bundle.network("fp32"), providers=["CPUExecutionProvider"])
    patches = network_input(planes, 64, bundle.config.normalisation)
    expected = session.run(None, {"patches": patches})[0].reshape(2, 3, 2)
    for probabilities in found:
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert info.runtime == "tensorrt_rtx"
    assert "; launched step by step (TensorRT-RTX records its own graph), " in info.reason
    assert cuda.calls("cuStreamBeginCapture_v2") == 0


def test_every_size_is_compiled_before_it_runs(cuda: Any, make_gpu_bundle: MakeBundle) -> None:
    """Not in the background, which would make the first images slower for a time that nobody knows."""
    settings = settings_of_an_engine(make_gpu_bundle())

    assert settings.dynamic_shapes_kernel_specialization_strategy == "EAGER"
    assert settings.cuda_graph_strategy == "WHOLE_GRAPH_CAPTURE"


def test_what_was_compiled_is_kept(cuda: Any, engines: Path, make_gpu_bundle: MakeBundle) -> None:
    """The second start takes what the first has compiled, and writes nothing."""
    bundle = make_gpu_bundle()
    first = settings_of_an_engine(bundle)
    (kept,) = engines.glob("*.jit")
    written = kept.stat().st_mtime_ns
    second = settings_of_an_engine(bundle)

    assert (first.cache.taken, second.cache.taken) == (b"", sys.modules["tensorrt_double"].KEPT_CODE)
    assert kept.stat().st_mtime_ns == written
    assert sorted(path.suffix for path in engines.iterdir()) == [".engine", ".jit", ".json", ".lock"]


@pytest.mark.parametrize("spoil", [lambda kept: kept[:-1], lambda kept: b"", lambda kept: kept + b"more"])
def test_damaged_code_is_not_taken(
    cuda: Any, spoil: Callable[[bytes], bytes], engines: Path, make_gpu_bundle: MakeBundle
) -> None:
    """Nor shown to TensorRT-RTX; it is compiled and kept again."""
    bundle = make_gpu_bundle()
    settings_of_an_engine(bundle)
    (kept,) = engines.glob("*.jit")
    whole = kept.read_bytes()
    kept.write_bytes(spoil(whole))

    assert settings_of_an_engine(bundle).cache.shown == b""
    assert kept.read_bytes() == whole


def test_code_that_tensorrt_refuses_is_replaced(
    cuda: Any, engines: Path, make_gpu_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows best which code is for this machine."""
    bundle = make_gpu_bundle()
    settings_of_an_engine(bundle)
    (kept,) = engines.glob("*.jit")
    old = kept.read_bytes()
    monkeypatch.setattr(sys.modules["tensorrt_double"], "KEPT_CODE", b"compiled by a newer one")

    assert settings_of_an_engine(bundle).cache.taken == b""
    assert kept.read_bytes() != old


def test_code_of_another_gpu_is_another_file(cuda: Any, engines: Path, make_gpu_bundle: MakeBundle) -> None:
    """As of another driver, version, model or precision: whatever an engine depends on names it."""
    bundle = make_gpu_bundle()
    settings_of_an_engine(bundle)
    cuda.set("capability", 89)

    assert settings_of_an_engine(bundle).cache.taken == b""
    assert len(list(engines.glob("*.jit"))) == 2


def test_code_that_cannot_be_kept(
    cuda: Any, engines: Path, make_gpu_bundle: MakeBundle, noise: Noise
) -> None:
    """A file that can be neither read nor written costs time, no result."""
    bundle = make_gpu_bundle()
    settings_of_an_engine(bundle)
    (kept,) = engines.glob("*.jit")
    kept.unlink()
    (kept / "in the way").mkdir(parents=True)

    with closing(open_engine(bundle, "tensorrt")) as engine:
        assert engine.field(noise((1, 2, 64, 64))).shape == (1, 1, 2)
    assert [path.name for path in engines.glob("*.jit")] == [kept.name]
