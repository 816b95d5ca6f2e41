"""What `colvi-edge doctor` says of a GPU and of what it needs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge import doctor
from colvi_edge.bundle import Bundle
from colvi_edge.doctor import Finding
from colvi_edge.engines import open_engine

pytestmark = pytest.mark.pycuda


@pytest.fixture
def bundle(tmp_path: Path, make_gpu_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Return a bundle whose kernels run on the fake GPU, which the doctor takes for the shipped one."""
    bundle = make_gpu_bundle()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(doctor, "open_bundle", lambda where: bundle)
    return bundle


@pytest.fixture
def findings(cuda: Any, bundle: Bundle) -> Callable[[], dict[str, Finding]]:
    """Return a function that examines this machine."""
    return lambda: {finding.what: finding for finding in doctor.examine()}


def test_all_that_a_gpu_needs(cuda: Any, findings: Callable[[], dict[str, Finding]]) -> None:
    """Name and versions; the engine is not built, and the words say how."""
    found = findings()

    assert found["NVIDIA GPU"] == ("ok", "NVIDIA GPU", "fake GPU, compute capability 8.6, CUDA 12.6", 0)
    assert found["TensorRT"].words == "tensorrt 10.3.0"
    assert found["pycuda"].state == "ok"
    assert found["CUDA kernels"].words == "sm_86 of the bundle small"
    assert found["tensorrt"].state == "note"
    assert (
        "no fp16 engine of the demo bundle was built here; run: colvi-edge build demo"
        in found["tensorrt"].words
    )


def test_a_built_engine_is_tried(
    cuda: Any, bundle: Bundle, findings: Callable[[], dict[str, Finding]]
) -> None:
    """It judges a patch, as every other engine does."""
    open_engine(bundle, "tensorrt").close()

    assert findings()["tensorrt"] == ("ok", "tensorrt", "10.3.0 on fake GPU, self-test passed", 0)
    assert cuda.live() == {}


def test_without_a_gpu_nothing_of_it_is_asked_for(
    cuda: Any, findings: Callable[[], dict[str, Finding]]
) -> None:
    """One note, and the CPU."""
    cuda.set("devices", 0)
    found = findings()

    assert found["NVIDIA GPU"].state == "note"
    assert not {"TensorRT", "pycuda", "CUDA kernels", "tensorrt"} & set(found)


@pytest.mark.parametrize(
    ("modules", "what", "words"),
    [
        (["tensorrt"], "TensorRT", "pip install tensorrt"),
        (["pycuda"], "pycuda", "pip install 'colvi-edge[tensorrt]'"),
    ],
)
def test_what_a_gpu_lacks(
    cuda: Any,
    modules: list[str],
    what: str,
    words: str,
    findings: Callable[[], dict[str, Finding]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Named with its remedy, the GPU is not used for it, and nothing is tried that cannot work."""
    monkeypatch.delitem(sys.modules, "colvi_edge.engines.cuda.thread", raising=False)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    found = findings()

    assert found[what].state == "note"
    assert found[what].words.startswith("the GPU is not used: ")
    assert words in found[what].words
    assert "tensorrt" not in found


def test_kernels_for_other_gpus(cuda: Any, findings: Callable[[], dict[str, Finding]]) -> None:
    """A bundle that was made before this GPU."""
    cuda.set("capability", 120)

    assert "(sm_86) do not run on compute capability 12.0" in findings()["CUDA kernels"].words
