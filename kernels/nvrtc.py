"""NVRTC, NVIDIA's compiler as a library, from its PyPI packages: no nvcc, no toolkit, no driver, no GPU.

Two releases serve side by side, which their Python bindings cannot: see `RELEASES`.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from colvi_edge.errors import EngineUnavailableError

_INSTALL = "run: pip install 'colvi-edge[kernels]'"


@dataclass(frozen=True)
class Release:
    """A release of NVRTC on PyPI.

    Attributes:
        package: its name there.
        version: how its version begins.
        targets: what it compiles for here: sm_87 is machine code for compute capability 8.7 (a cubin),
            compute_75 is PTX, which a driver compiles for 7.5 and everything newer.
    """

    package: str
    version: str
    targets: tuple[str, ...]


RELEASES = (
    # Drivers refuse PTX that is newer than they are, and cubins of a newer major version. JetPack 6
    # has a driver of CUDA 12.6, so 12.6 compiles all that it can; 13 what 12.6 does not know yet.
    Release(
        "nvidia-cuda-nvrtc-cu12",
        "12.6.",
        ("compute_75", "sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90"),
    ),
    Release("nvidia-cuda-nvrtc", "13.", ("sm_110", "sm_120")),
)


class Nvrtc:
    """A release of NVRTC, loaded.

    Raises:
        EngineUnavailableError: its package is not installed, or is another version.
    """

    def __init__(self, release: Release) -> None:
        self._library = _load(release)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(self, source: str, name: str, target: str, options: Sequence[str]) -> tuple[bytes, str]:
        """Compile a source file that includes no other.

        Args:
            source: CUDA C++.
            name: of the file, for messages.
            target: one of the release's.
            options: NVRTC's own.

        Returns:
            A cubin, or PTX with the NUL at its end that `cuModuleLoadData` wants; and the compiler's log.

        Raises:
            RuntimeError: the source does not compile; holds the log.
        """
        given = [option.encode() for option in (f"--gpu-architecture={target}", *options)]
        program = ctypes.c_void_p()
        self._call("CreateProgram", ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            failure = self._library.nvrtcCompileProgram(
                program, len(given), (ctypes.c_char_p * len(given))(*given)
            )
            log = self._get("ProgramLog", program).rstrip(b"\0").decode()
            if failure:
                raise RuntimeError(f"{name} does not compile for {target}: {self._words(failure)}\n{log}")
            return self._get("CUBIN" if target.startswith("sm_") else "PTX", program), log
        finally:
            self._call("DestroyProgram", ctypes.byref(program))

    def _get(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: object) -> None:
        failure = getattr(self._library, f"nvrtc{function}")(*arguments)
        if failure:
            raise RuntimeError(f"nvrtc{function}: {self._words(failure)}")

    def _words(self, failure: int) -> str:
        words: bytes = self._library.nvrtcGetErrorString(failure)
        return words.decode()


def _load(release: Release) -> ctypes.CDLL:
    wanted = f"{release.package} {release.version}*"
    try:
        package = distribution(release.package)
    except PackageNotFoundError as error:
        raise EngineUnavailableError(f"{wanted} is not installed; {_INSTALL}") from error
    if not package.version.startswith(release.version):
        raise EngineUnavailableError(
            f"found {release.package} {package.version}, expected {wanted}; {_INSTALL}"
        )
    libraries = {
        file.name.split(".so.")[0]: file.locate() for file in package.files or () if ".so." in file.name
    }
    try:
        # Left to itself, 12.6 looks for its other half along LD_LIBRARY_PATH first, where any CUDA may lie.
        ctypes.CDLL(str(libraries["libnvrtc-builtins"]))
        return ctypes.CDLL(str(libraries["libnvrtc"]))
    except (KeyError, OSError) as error:
        raise EngineUnavailableError(
            f"{release.package} {package.version} has no library that can be loaded ({error}); "
            f"install it again: pip install --force-reinstall '{release.package}=={package.version}'"
        ) from error
