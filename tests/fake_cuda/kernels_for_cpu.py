"""Compiles the kernel of a variant for the fake GPU, which is a CPU; each once in a test run."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

FOLDER = "COLVI_EDGE_FAKE_CUDA_FOLDER"
"""Variable that names the folder in which all this lies."""

_SOURCES = Path(__file__).parents[1] / "cuda_on_cpu"


def compile_for_cpu(macros: Sequence[str]) -> bytes:
    """Return what the fake driver takes for a cubin.

    Args:
        macros: of the variant, as NAME=VALUE.
    """
    emulator = [_compiled(source, "-c", name=f"{source}.o") for source in ("cuda_on_cpu.cpp", "fiber.cpp")]
    flags = [f"-D{macro}" for macro in macros]
    digest = hashlib.sha256(" ".join(flags).encode()).hexdigest()[:16]
    return _compiled("kernels.cpp", *flags, *map(str, emulator), name=f"{digest}.so").read_bytes()


def _compiled(source: str, *flags: str, name: str) -> Path:
    output = Path(os.environ[FOLDER]) / name
    if not output.exists():
        draft = output.with_name(f"{os.getpid()}{name}")
        command = ["g++", f"@{_SOURCES / 'flags.txt'}", "-O1", str(_SOURCES / source), *flags]
        subprocess.run([*command, "-o", draft], check=True)
        draft.rename(output)
    return output
