"""What all tests share: needs that are demanded or skipped aloud, small bundles and images."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before the libraries that read it are loaded, here and in children: several workers share the cores, and
# threads that find none free spend twice the time in waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, demo_path, open_bundle
from colvi_edge.bundle.manifest import FlatConfig, PrecisionFile
from colvi_edge.cli import main
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.patches import Normalisation
from tests.tools.bundles import edit_config


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


PRESENT = {
    "buildah": all(map(shutil.which, ("buildah", "debootstrap"))) and os.geteuid() == 0,
    "chromium": shutil.which("chromium") is not None,
    "fish": shutil.which("fish") is not None,
    "gpu": find_gpu() is not None,
    "gxx": shutil.which("g++") is not None,
    "imagej": Path("/usr/share/java/ij.jar").exists() and shutil.which("xvfb-run") is not None,
    "libtiff": shutil.which("tiffcp") is not None,
    "mkdocs": all(map(find_spec, ("mkdocs", "material", "mkdocstrings", "nbclient", "ipykernel"))),
    "nspawn": shutil.which("systemd-nspawn") is not None and os.geteuid() == 0,
    "nvrtc": _installed("nvidia-cuda-nvrtc-cu12") and _installed("nvidia-cuda-nvrtc"),
    "pycuda": find_spec("pycuda") is not None and shutil.which("g++") is not None,
    "systemd": shutil.which("systemd-analyze") is not None,
    "tensorrt_rtx": find_spec("tensorrt_rtx") is not None and find_spec("tensorrt") is None,
    "zsh": shutil.which("zsh") is not None,
}
REQUIRED = set(os.environ.get("COLVI_EDGE_REQUIRE", "").split(","))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Give `-n auto` one worker more than cores: tests of the daemon wait more than they compute."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, unless COLVI_EDGE_REQUIRE asks for it, and what cannot share it."""
    for item in items:
        for need, present in PRESENT.items():
            if item.get_closest_marker(need) and not present and need not in REQUIRED:
                item.add_marker(pytest.mark.skip(reason=f"needs {need}: see CONTRIBUTING.md, Set up"))
        if item.get_closest_marker("alone") and hasattr(config, "workerinput"):
            item.add_marker(pytest.mark.skip(reason="needs the machine for itself: make soak machine"))


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests leave for later starts out of the home, and the tester's terminal out of the tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("COLUMNS", raising=False)
        os.unsetenv("COLUMNS")  # children get what readline, which pytest loads, sets behind os.environ
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command line in this process: (exit code, stdout, stderr)."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["colvi-edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture(scope="session")
def demo_bundle() -> Bundle:
    """Return the shipped bundle."""
    return open_bundle("demo")


@pytest.fixture(scope="session")
def tolerant_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy that does not know what its training images were like, and judges collages, too."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path_factory.mktemp("tolerant") / "tolerant.colvi"))
    edit_config(bundle, familiarity=None)
    return bundle


@pytest.fixture
def copied_bundle(tmp_path: Path) -> Path:
    """Return a copy of the shipped bundle that a test may spoil."""
    return Path(shutil.copytree(demo_path(), tmp_path / "copied.colvi"))


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Bundle, Any]]:
    """Return a function that makes a bundle of an untrained network, and gives the torch network too."""

    def make(
        channels: tuple[str, ...] = ("collagen", "nuclei"),
        seed: int = 0,
        patch_px: int = 64,
        **normalisation: Any,
    ) -> tuple[Bundle, Any]:
        torch = pytest.importorskip("torch")  # absent where the runtime is tried alone: make floors

        from colvi_edge.export.converting.manifest import Description, write_bundle
        from colvi_edge.export.converting.onnx import to_onnx
        from colvi_edge.export.networks.patch_cnn import Probabilities, build_network

        torch.manual_seed(seed)
        logits = build_network("paper", len(channels))
        if patch_px != 64:  # which the paper's is made for
            convolution = torch.nn.Conv2d(len(channels), 4, 3, stride=2)
            logits = torch.nn.Sequential(convolution, torch.nn.Flatten(), torch.nn.LazyLinear(2))
            logits(torch.zeros(1, len(channels), patch_px, patch_px))
        with torch.no_grad():  # untrained outputs hover at 0.5; spread out they can disagree
            list(logits.parameters())[-2].mul_(30)  # weights of the last layer
        network = Probabilities(logits, "softmax").eval()
        example = (
            np.random.default_rng(seed).standard_normal((1, len(channels), patch_px, patch_px)).astype("f4")
        )
        with torch.no_grad():
            expected = network(torch.from_numpy(example)).numpy()
        path = tmp_path_factory.mktemp("bundles") / "untrained.colvi"
        write_bundle(
            path,
            Description("untrained", "0.0.0", "An untrained network for tests.", "# Untrained\n"),
            FlatConfig(
                patch_px=patch_px,
                channels=channels,  # type: ignore[arg-type] # strings, which pydantic checks
                normalisation=Normalisation(**normalisation),
                precisions={"fp32": PrecisionFile(file="fp32.onnx", purpose="reference")},
            ).with_task(),
            {"fp32.onnx": to_onnx(network, len(channels), patch_px)},
            example,
            expected,
        )
        return open_bundle(path), network

    return make


@pytest.fixture
def noise() -> Callable[..., NDArray[Any]]:
    """Return a function that gives seeded Poisson noise of any shape and dtype."""

    def make(shape: tuple[int, ...], dtype: str = "uint16", mean: float = 100, seed: int = 0) -> NDArray[Any]:
        return np.random.default_rng(seed).poisson(mean, shape).astype(dtype)

    return make
