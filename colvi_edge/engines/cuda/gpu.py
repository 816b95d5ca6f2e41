"""The NVIDIA GPU of this machine, asked through its driver alone: no toolkit, no context, no memory."""

import ctypes
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR

_MODULE, _L4T = Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release")

NO_GPU = (
    "found no NVIDIA GPU, or no driver that works (libcuda.so.1), which TensorRT needs; use --engine auto"
)
"""Why TensorRT cannot run, where `find_gpu` finds none: no package helps then."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA sees.

    Attributes:
        name: such as "Orin" or "NVIDIA GeForce RTX 4060".
        compute_capability: such as "8.7".
        cuda_version: newest CUDA that the driver knows, such as "12.6".
    """

    name: str
    compute_capability: str
    cuda_version: str


def find_gpu() -> Gpu | None:
    """Return the GPU, or None where there is none, or no driver that works."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version, device, major, minor = (ctypes.c_int() for _ in range(4))
    name = ctypes.create_string_buffer(256)
    failures = (
        cuda.cuInit(0),
        cuda.cuDriverGetVersion(ctypes.byref(version)),
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
    )
    if any(failures):
        return None
    return Gpu(
        name.value.decode(errors="replace"),
        f"{major.value}.{minor.value}",
        f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def driver_version(module: Path = _MODULE, l4t: Path = _L4T) -> str:
    """Return the version of the driver, such as "560.35.03"; "unknown" where nothing tells it.

    On a Jetson the libraries of CUDA come with the system, L4T, whose releases may share one kernel module:
    there both are named, "540.4.0, L4T R36.4.3", or what there is of them.

    Args:
        module: what the kernel's module says of itself; absent under WSL, where NVML is asked.
        l4t: what a Jetson's system says of itself; absent elsewhere.
    """
    told = [_matched(module, r"NVRM version:.*?\s(\d+(?:\.\d+)+)\s") or _told_by_nvml()]
    told.append(_matched(l4t, r"# (R\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", "L4T {}.{}"))
    return ", ".join(filter(None, told)) or "unknown"


def _matched(file: Path, pattern: str, form: str = "{}") -> str:
    """Return what a file says, or "" if it is not there or says something else."""
    with suppress(OSError):
        if found := re.search(pattern, file.read_text(errors="replace")):
            return form.format(*found.groups())
    return ""


def _told_by_nvml() -> str:
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return ""
    version = ctypes.create_string_buffer(80)  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
    if nvml.nvmlInit_v2():
        return ""
    failed = nvml.nvmlSystemGetDriverVersion(version, len(version))
    nvml.nvmlShutdown()
    return "" if failed else version.value.decode(errors="replace")
