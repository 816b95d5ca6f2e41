"""PTX and cubins for every GPU from PyPI's compiler alone; what they take of a GPU is read off twice."""

import hashlib
import io
import re
import struct
import subprocess
import sys
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from rich.console import Console

from colvi_edge.bundle import Bundle
from colvi_edge.engines.cuda.kernel_choice import variant_for
from colvi_edge.kernels.__main__ import as_table
from colvi_edge.kernels.compile import Binary, compile_kernels, compile_source
from colvi_edge.kernels.nvrtc import RELEASES
from colvi_edge.kernels.variant import OutputType, Variant, entry_name
from colvi_edge.patches import NormalisationKind

pytestmark = pytest.mark.nvrtc

SMALL = r"""
#if COLVI_PATCH_PX == 48 && COLVI_CHANNELS == 3 && COLVI_KIND == 1 && !COLVI_CHANNELS_LAST && COLVI_TO_F16
extern "C" __global__ void shares(const float* from, float* to) {
    __shared__ float all[512];
    all[threadIdx.x] = from[threadIdx.x];
    __syncthreads();
    to[threadIdx.x] = all[511 - threadIdx.x];
}
#endif
#ifndef COLVI_TO_F32
extern "C" __global__ void __maxnreg__(32) spills(const float* from, float* to, int n) {
    float held[60];
#pragma unroll
    for (int k = 0; k < 60; ++k) held[k] = from[k * n + threadIdx.x];
    __syncthreads();
    for (int round = 0; round < n; ++round)
#pragma unroll
        for (int k = 0; k < 60; ++k) held[k] = held[k] * held[(k + 7) % 60] + held[k * 3 % 60];
#pragma unroll
    for (int k = 0; k < 60; ++k) to[k * n + threadIdx.x] = held[k];
}
#endif
"""
OTHER = Variant(48, 3, "patch-channel", ("f16",))


@pytest.fixture(scope="module")
def small() -> tuple[Binary, ...]:
    """Return a kernel that shares memory and one whose registers do not suffice."""
    return compile_source(SMALL, OTHER)


def cubins(binaries: tuple[Binary, ...]) -> list[Binary]:
    """Return those of machine code."""
    return [binary for binary in binaries if binary.code[:4] == b"\x7fELF"]


def figures(target: str, cubin: bytes) -> dict[str, tuple[int, int, int]]:
    """Return registers, stack and shared bytes of each entry, as the ELF file tells them to the driver."""

    def text(table: int, offset: int) -> str:
        start = headers[table][4] + offset
        return cubin[start : cubin.index(0, start)].decode()

    (start,), (count, names) = struct.unpack_from("<Q", cubin, 40), struct.unpack_from("<HH", cubin, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", cubin, start + 64 * k) for k in range(count)]
    index = {text(names, header[0]): k for k, header in enumerate(headers)}
    symbols, info = headers[index[".symtab"]], headers[index[".nv.info"]]
    found: dict[str, dict[int, int]] = defaultdict(dict)
    at = info[4]
    while at < info[4] + info[5]:
        form, attribute, size = struct.unpack_from("<BBH", cubin, at)
        assert (form, size) == (4, 8)
        symbol, value = struct.unpack_from("<II", cubin, at + 4)
        (name,) = struct.unpack_from("<I", cubin, symbols[4] + 24 * symbol)
        found[text(index[".strtab"], name)][attribute] = value
        at += 12
    own = 1024 if int(target[3:]) >= 90 else 0  # what a driver keeps for itself where a block shares memory
    shared = {
        name: headers[index[section]][5] - own if (section := f".nv.shared.{name}") in index else 0
        for name in found
    }
    # What is called and not inlined has a stack, but no registers of its own.
    return {name: (of[0x2F], of[0x11], shared[name]) for name, of in found.items() if 0x2F in of}


def printed(binary: Binary) -> dict[str, tuple[int, int, int]]:
    """Return the same as we say it."""
    return {entry.name: (entry.registers, entry.stack_bytes, entry.shared_bytes) for entry in binary.entries}


def test_the_figures_are_those_in_the_machine_code(small: tuple[Binary, ...]) -> None:
    """Registers, stack and shared memory that we print are what a driver will set aside."""
    assert len(cubins(small)) == 8
    for binary in cubins(small):
        assert printed(binary) == figures(binary.target, binary.code)
        assert printed(binary)["shares"][2] == 2048


def test_spilled_registers_are_seen(small: tuple[Binary, ...]) -> None:
    """60 floats do not fit 32 registers; the other kernel needs few."""
    for binary in cubins(small):
        entries = {entry.name: entry for entry in binary.entries}
        assert entries["shares"].spill_bytes == 0
        # What lies on the stack was stored and loaded at least once.
        assert entries["spills"].spill_bytes >= 2 * entries["spills"].stack_bytes > 0


def test_the_table_holds_every_figure(small: tuple[Binary, ...]) -> None:
    """Registers, shared, stack and spilled bytes of each entry below its target and the size of its file."""
    page = io.StringIO()
    Console(file=page, width=100).print(as_table(small))
    header, *rows = [line.split() for line in page.getvalue().splitlines()]

    assert header == ["target", "bytes", "entry", "registers", "shared", "stack", "spilled"]
    expected = []
    for binary in small:
        expected.append([binary.target, str(len(binary.code))])
        for of in sorted(binary.entries, key=lambda entry: entry.name):
            figures = (of.registers, of.shared_bytes, of.stack_bytes, of.spill_bytes)
            expected.append([of.name, *map(str, figures)])
    assert rows == expected


def test_a_file_for_every_target_says_its_target(small: tuple[Binary, ...]) -> None:
    """Each once, named as what it is: PTX begins as such, cubins are ELF; PTX holds the same entries."""
    targets = [target for release in RELEASES for target in release.targets]

    assert [binary.target for binary in small] == targets
    assert small[0].file == "project_tile_normalise.compute_75.ptx.xz"
    assert small[0].entries == ()
    assert set(re.findall(r"\.entry (\w+)\(", small[0].code.decode())) == {"shares", "spills"}
    assert [b.file for b in cubins(small)] == [f"project_tile_normalise.{t}.cubin.xz" for t in targets[1:]]


def test_a_source_is_compiled_for_the_variant_alone() -> None:
    """The macros say which: with other channels and another output both kernels are gone."""
    for binary in cubins(compile_source(SMALL, Variant(48, 2, "patch-channel", ("f16", "f32")))):
        assert binary.entries == ()


def test_the_same_source_gives_the_same_bytes(
    small: tuple[Binary, ...], tmp_path: pytest.TempPathFactory
) -> None:
    """In another process, another folder, another hash seed: no time, path or order gets in."""
    code = f"""
import hashlib
import io
from colvi_edge.kernels.compile import compile_source
from colvi_edge.kernels.variant import Variant
for binary in compile_source({SMALL!r}, {OTHER!r}):
    print(hashlib.sha256(binary.code).hexdigest())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=str(tmp_path), capture_output=True, check=True)

    assert done.stdout.decode().split() == [hashlib.sha256(binary.code).hexdigest() for binary in small]


# --- the kernel of the package ---


@pytest.mark.parametrize(
    ("channels", "kind", "outputs"),
    [
        (2, "patch", ("f32", "f16")),
        (3, "patch", ("f32",)),
        (2, "patch-channel", ("i8",)),
        (2, "fixed", ("f16",)),
        (2, "scale", ("f32",)),
    ],
)
def test_no_entry_spills_or_is_missing(
    channels: int, kind: NormalisationKind, outputs: tuple[OutputType, ...]
) -> None:
    """Every pair of input and output is there for every GPU, and its registers suffice."""
    inputs = [np.dtype(name) for name in ("uint8", "uint16", "float32")]
    expected = {entry_name(source, output) for source, output in product(inputs, outputs)}
    ptx, *machine_code = compile_kernels(Variant(64, channels, kind, outputs))

    assert set(re.findall(r"\.entry (\w+)\(", ptx.code.decode())) == expected
    assert len(machine_code) == 8
    for binary in machine_code:
        assert printed(binary).keys() == expected
        assert printed(binary) == figures(binary.target, binary.code)
        assert [entry for entry in binary.entries if entry.spill_bytes or entry.stack_bytes] == []


def test_the_shipped_kernels_are_those_of_the_source(demo_bundle: Bundle) -> None:
    """After a change of the source the demo bundle has to be exported again."""
    shipped = {kernel.target: demo_bundle.kernel(kernel) for kernel in demo_bundle.config.kernels}
    compiled = compile_kernels(variant_for(demo_bundle.config))

    assert list(shipped) == [binary.target for binary in compiled]
    for binary in compiled:
        if (
            binary.target in RELEASES[0].targets
        ):  # the bytes of the other release change from version to version
            assert shipped[binary.target] == binary.code
        else:
            assert figures(binary.target, shipped[binary.target]).keys() == printed(binary).keys()
