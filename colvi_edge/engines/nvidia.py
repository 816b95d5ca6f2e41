"""The NVIDIA GPU of this machine, asked through its driver alone: no toolkit, no context, no memory."""

import ctypes
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


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
        driver: newest CUDA that the driver knows, such as "12.6".
    """

    name: str
    compute_capability: str
    driver: str


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
