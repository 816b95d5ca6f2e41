"""The TensorRT that is installed: the classic one, else TensorRT-RTX.

Both have the same Python API for what is used here, so the rest says `trt` and builds and runs
with either. A pip wheel or JetPack brings it; neither may be bundled.
"""

import platform
from importlib import import_module
from pathlib import Path
from types import ModuleType

from colvi_edge.errors import EngineUnavailableError

WITHOUT = "do without it: --engine openvino of run and watch"
"""What helps where TensorRT does not, also who has asked `build` or `doctor`, which have no such option."""

_PACKAGES = ("tensorrt", "tensorrt_rtx")
_OLDEST = (10, 3)
"""Classic TensorRT of JetPack 6; before it there are no strongly typed networks as they are used here."""


def load() -> ModuleType:
    """Return the module, classic TensorRT before TensorRT-RTX.

    Raises:
        EngineUnavailableError: neither is installed, or the one that is cannot be used.
    """
    for name in _PACKAGES:
        try:
            return _checked(import_module(name))
        except (ImportError, OSError) as error:
            if not isinstance(error, ModuleNotFoundError) or error.name != name:
                raise EngineUnavailableError(
                    f"{name} is installed but does not load ({error}); install it again, or {WITHOUT}"
                ) from error
    raise EngineUnavailableError(missing(Path("/"), platform.machine()))


def missing(root: Path, machine: str) -> str:
    """Return the sentence that says how this machine gets TensorRT.

    Args:
        root: of the file system, where the marks of a Jetson are looked for.
        machine: as `platform.machine` names it.
    """
    if is_jetson(root):
        return (
            "TensorRT is not visible to this Python; on a Jetson it comes with JetPack: run "
            "sudo apt install nvidia-jetpack, and install colvi-edge into an environment made by "
            "python3 -m venv --system-site-packages"
        )
    if machine not in ("x86_64", "aarch64"):
        return f"TensorRT does not exist for {machine}; {WITHOUT}"
    return (
        "TensorRT is not installed; run: pip install tensorrt (or, for a GeForce RTX, "
        f"pip install tensorrt-rtx-cu13), or {WITHOUT}"
    )


def is_jetson(root: Path) -> bool:
    """Return whether this is a Jetson, also inside a container, which has the second mark only."""
    if (root / "etc/nv_tegra_release").exists():
        return True
    try:
        model = (root / "proc/device-tree/model").read_text(errors="replace")
    except OSError:
        return False
    return "NVIDIA" in model or "Jetson" in model


def _checked(module: ModuleType) -> ModuleType:
    version = module.__version__
    if module.__name__ == "tensorrt" and tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise EngineUnavailableError(
            f"found TensorRT {version}, expected {_OLDEST[0]}.{_OLDEST[1]} or later; "
            f"update it (on a Jetson: JetPack 6), or {WITHOUT}"
        )
    return module
