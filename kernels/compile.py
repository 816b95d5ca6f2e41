"""The kernel's source -> PTX and cubins, with what every entry point takes of a GPU.

`python -m colvi_edge.kernels.compile` prints these figures.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from .nvrtc import RELEASES, Nvrtc
from .variant import NAME, Variant

_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r"\n[^\n]*Used (?P<registers>\d+) registers(?:[^\n]* (?P<shared>\d+) bytes smem)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Entry:
    """What one entry point takes of a GPU.

    Attributes:
        name: see `variant.entry_name`.
        registers: of a thread.
        shared_bytes: of a block.
        stack_bytes: of a thread, in slow local memory.
        spill_bytes: stores and loads of a thread because its registers do not suffice; expected 0.
    """

    name: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


@dataclass(frozen=True)
class Binary:
    """All entry points of a variant, compiled for one target.

    Attributes:
        target: see `nvrtc.Release`.
        code: what `cuModuleLoadData` takes.
        entries: empty for PTX, which gets its registers from a driver.
    """

    target: str
    code: bytes
    entries: tuple[Entry, ...]

    @property
    def file(self) -> str:
        """Its name in a bundle, where it is compressed."""
        return f"{NAME}.{self.target}.{'cubin' if self.target.startswith('sm_') else 'ptx'}.xz"


@cache  # takes seconds
def compile_kernels(variant: Variant) -> tuple[Binary, ...]:
    """Compile the package's kernel for every target; the same versions of NVRTC give the same bytes.

    Raises:
        EngineUnavailableError: NVRTC is not installed, or is another version.
    """
    source = files(__package__).joinpath(f"{NAME}.cu").read_text(encoding="utf-8")
    return compile_source(source, variant)


def compile_source(source: str, variant: Variant) -> tuple[Binary, ...]:
    """Compile another kernel likewise; a fault in it is a RuntimeError with the compiler's words."""
    macros = (f"--define-macro={macro}" for macro in variant.macros())
    # Without a default, NVRTC takes a constexpr function of the source for one of the host, and refuses it.
    options = ["--std=c++17", "--device-as-default-execution-space", "--ptxas-options=--verbose", *macros]
    binaries = []
    for release in RELEASES:
        compiler = Nvrtc(release)
        for target in release.targets:
            code, log = compiler.compile(source, f"{NAME}.cu", target, options)
            binaries.append(Binary(target, code, tuple(map(_entry, _ENTRY.finditer(log)))))
    return tuple(binaries)


def _entry(found: re.Match[str]) -> Entry:
    return Entry(
        name=found["name"],
        registers=int(found["registers"]),
        shared_bytes=int(found["shared"] or 0),
        stack_bytes=int(found["stack"]),
        spill_bytes=int(found["stores"]) + int(found["loads"]),
    )
