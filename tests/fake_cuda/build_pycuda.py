"""Build pycuda where there is neither a CUDA toolkit nor a GPU, and install it for this Python.

    python tests/fake_cuda/build_pycuda.py

PyPI has pycuda as source only. The build needs g++, CUDA's headers, which PyPI has too, and a libcuda to
link with, for which an empty one does: the driver's, or the fake one of the tests, is found at the import.
The wheel is kept in the user's cache folder, so that this takes a minute once.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PYCUDA = "2026.1"
# The oldest CUDA that is promised, JetPack 6's: newer headers name functions that its driver lacks.
HEADERS = ("nvidia-cuda-runtime-cu12==12.6.77", "nvidia-cuda-profiler-api-cu12==12.6.77")


def pip(*arguments: str | Path, **environment: str) -> None:
    """Run this environment's pip."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, env=os.environ | environment)


def build(wheels: Path) -> None:
    """Put the wheel into a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pip("install", "--no-deps", "--target", folder / "headers", *HEADERS)
        pip("download", "--no-deps", "--no-binary=pycuda", "--dest", folder, f"pycuda=={PYCUDA}")
        shutil.unpack_archive(folder / f"pycuda-{PYCUDA}.tar.gz", folder)
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "/dev/null", "-Wl,-soname,libcuda.so.1"]
        subprocess.run([*command, "-o", folder / "libcuda.so"], check=True)
        source = folder / f"pycuda-{PYCUDA}"
        includes = [str(path) for path in (folder / "headers").glob("nvidia/*/include")]
        source.joinpath("siteconf.py").write_text(
            f"CUDA_INC_DIR = {includes!r}\n"
            f"CUDADRV_LIB_DIR = [{str(folder)!r}]\n"
            "CUDA_ENABLE_CURAND = False\n"
            'CXXFLAGS = ["-O1", "-g0"]\n'  # half the time of -O3; the work is the driver's
        )
        # An empty library is needed only if the linker is told so.
        pip("wheel", "--no-deps", "--wheel-dir", wheels, source, LDFLAGS="-Wl,--no-as-needed")


def main() -> None:
    """Build if need be, and install."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tag = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}-{platform.libc_ver()[1]}"
    wheels = cache / "colvi-edge" / f"pycuda-{PYCUDA}-{tag}"
    if not any(wheels.glob("pycuda-*.whl")):
        build(wheels)
    pip("install", *wheels.glob("pycuda-*.whl"))


if __name__ == "__main__":
    main()
