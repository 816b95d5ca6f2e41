"""`python -m colvi_edge.kernels`: what the kernel takes of every GPU that it is compiled for."""

from collections.abc import Iterable
from typing import get_args

from rich.console import Console
from rich.table import Table

from colvi_edge.kernels.compile import Binary, compile_kernels
from colvi_edge.kernels.variant import KINDS, NAME, OutputType, Variant


def as_table(binaries: Iterable[Binary]) -> Table:
    """Return the figures for a person."""
    table = Table("target", "bytes", "entry", "registers", "shared", "stack", "spilled", box=None)
    for binary in binaries:
        table.add_row(binary.target, str(len(binary.code)))
        for entry in sorted(binary.entries, key=lambda entry: entry.name):
            figures = (entry.registers, entry.shared_bytes, entry.stack_bytes, entry.spill_bytes)
            table.add_row("", "", entry.name.removeprefix(f"{NAME}_"), *map(str, figures))
    return table


if __name__ == "__main__":
    for kind in KINDS:
        variant = Variant(patch_px=64, channels=2, kind=kind, outputs=get_args(OutputType))
        Console().print(f"\n{kind}, 2 channels of 64 x 64:", as_table(compile_kernels(variant)))
