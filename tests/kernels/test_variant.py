"""The Python half of the kernel's contract, against the source that is the other half."""

import ctypes
import re
from importlib.resources import files
from typing import Any, get_args

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from colvi_edge.bundle.manifest import FlatConfig
from colvi_edge.kernels.variant import (
    ARGUMENTS,
    MAX_CHANNELS,
    MAX_PLANES,
    THREADS,
    OutputType,
    Variant,
    arguments,
    entry_name,
    grid,
)
from colvi_edge.patches import Normalisation, NormalisationKind

SOURCE = files("colvi_edge.kernels").joinpath("project_tile_normalise.cu").read_text(encoding="utf-8")
PATCH = Normalisation("patch")
C_TYPES: dict[str, Any] = {
    "unsigned long long": ctypes.c_ulonglong,
    "unsigned": ctypes.c_uint,
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}


def struct_of_the_source() -> type[ctypes.Structure]:
    """Return `struct Arguments` as a C compiler lays it out."""
    body = re.search(r"struct Arguments \{(.*?)\};", SOURCE, re.DOTALL)
    assert body
    fields = []
    for line in re.sub(r"//.*", "", body[1]).split(";"):
        if declared := re.fullmatch(r"\s*((?:unsigned )?(?:long long|int|float|double|unsigned)) (.+)", line):
            for name, length in re.findall(r"(\w+)(?:\[(\d+)\])?", declared[2]):
                base = C_TYPES[declared[1]]
                fields.append((name, base * int(length) if length else base))
    return type("Arguments", (ctypes.Structure,), {"_fields_": fields})


def test_arguments_are_the_struct_of_the_source() -> None:
    """Every field has the name, place and size that the kernel reads."""
    struct = struct_of_the_source()
    assert ARGUMENTS.fields
    assert ARGUMENTS.names

    places = {
        name: (ARGUMENTS.fields[name][1], ARGUMENTS.fields[name][0].itemsize) for name in ARGUMENTS.names
    }

    assert places == {
        name: (getattr(struct, name).offset, getattr(struct, name).size) for name, *_ in struct._fields_
    }
    assert ARGUMENTS.itemsize == ctypes.sizeof(struct)


def test_numbers_are_those_of_the_source() -> None:
    """What both halves count on is the same: threads, kinds, channels, and how much a thread may add up."""
    kinds = re.search(r"enum Kind \{ (.*?) \};", SOURCE)
    held = re.search(r"MOST_HELD = (\d+)", SOURCE)
    assert kinds
    assert held

    for number, kind in enumerate(kinds[1].lower().replace("_", "-").split(", ")):
        assert f"COLVI_KIND={number}" in Variant(64, 2, kind, ("f32",)).macros()
    assert f"THREADS = {THREADS};" in SOURCE
    assert 65535 * MAX_PLANES * int(held[1]) < 2**32
    assert ARGUMENTS["source"].shape == (MAX_CHANNELS,)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_entry_names_are_made_by_the_source(dtype: str) -> None:
    """A name is put together as the source's macro does."""
    entries = re.search(r"#define COLVI_ENTRIES\(out, Out\)(.*?)\n\n", SOURCE, re.DOTALL)
    assert entries
    types = {"unsigned char": "uint8", "unsigned short": "uint16", "float": "float32"}
    inputs = {types[c]: tag for tag, c in re.findall(r"COLVI_ENTRY\((\w+), ([\w ]+), out, Out\)", entries[1])}

    for output in get_args(OutputType):
        assert entry_name(np.dtype(dtype), output) == f"project_tile_normalise_{inputs[dtype]}_{output}"
        assert re.search(rf"#ifdef COLVI_TO_{output.upper()}\nCOLVI_ENTRIES\({output}, ", SOURCE)


@pytest.mark.parametrize("dtype", ["int16", "float64", ">u2"])
def test_planes_of_other_types_are_refused(dtype: str) -> None:
    """Only what a bundle's acquisition gives is read, and no swapped bytes."""
    with pytest.raises(ValueError, match="expected uint8, uint16, float32 in native byte order"):
        entry_name(np.dtype(dtype), "f32")


def test_a_bundle_cannot_ask_for_more_than_the_kernel_can() -> None:
    """Every patch size and number of channels of a bundle has a variant, and no other has."""
    limits = {name: FlatConfig.model_fields[name].metadata for name in ("patch_px", "channels")}
    lowest, highest = limits["patch_px"][0].ge, limits["patch_px"][1].le

    for px in (lowest, highest):
        Variant(px, limits["channels"][1].max_length, "patch", ("f32",))
    for px, channels in ((lowest - 1, 2), (highest + 1, 2), (64, 0), (64, MAX_CHANNELS + 1)):
        with pytest.raises(ValueError, match=r"found .* the kernel takes"):
            Variant(px, channels, "patch", ("f32",))
    with pytest.raises(ValueError, match="no output"):
        Variant(64, 2, "patch", ())


@pytest.mark.parametrize(
    ("kind", "channels_last", "groups"),
    [("patch", False, 1), ("patch-channel", False, 3), ("fixed", False, 3), ("scale", True, 1)],
)
def test_a_block_owns_the_channels_that_belong_together(
    kind: NormalisationKind, channels_last: bool, groups: int
) -> None:
    """Channels share a block where they share a mean or lie side by side in the output."""
    variant = Variant(64, 3, kind, ("f32",), channels_last)

    assert grid(5, 2, 7, variant) == (14, groups, 5)


@pytest.mark.parametrize(("images", "rows", "cols"), [(0, 1, 1), (65536, 1, 1), (1, 0, 3), (1, 2**16, 2**15)])
def test_a_launch_that_cuda_would_refuse_is_refused_before(images: int, rows: int, cols: int) -> None:
    """No launch is empty, or larger than a grid can be."""
    with pytest.raises(ValueError, match=f"found {images} images of {rows} x {cols} patches"):
        grid(images, rows, cols, Variant(64, 2, "patch", ("f32",)))


def test_strides_are_in_values_and_meaningless_ones_are_zero() -> None:
    """Along an axis of length one NumPy's stride may be anything, which would look like misaligned rows."""
    rgb = np.zeros((1, 4, 100, 200, 3), np.uint16).transpose(0, 1, 4, 2, 3)

    filled = arguments(rgb, (1, 2), 64, PATCH)

    strides = {name: int(filled[f"{name}_stride"]) for name in ("image", "plane", "channel", "row", "column")}
    assert strides == {"image": 0, "plane": 60000, "channel": 1, "row": 600, "column": 3}
    assert [int(filled[name]) for name in ("planes", "rows", "cols")] == [4, 1, 3]
    assert filled["source"].tolist() == [1, 2, -1, -1, -1, -1, -1, -1]


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.5, 1234.56789, -7.25, 2.0**31 - 1, 1e12])
def test_the_two_parts_of_an_offset_are_the_offset(mean: float) -> None:
    """An integer that T can be compared with, and a rest that float32 holds."""
    filled = arguments(
        np.zeros((1, 1, 1, 8, 8), np.uint16), (0,), 8, Normalisation("fixed", mean=(mean,), std=(4.0,))
    )

    assert 0 <= filled["whole"][0] <= 2**31 - 1
    assert filled["whole"][0] + float(filled["part"][0]) == pytest.approx(mean, rel=1e-7)
    assert filled["offset"][0] == mean
    assert filled["scale"][0] == 0.25


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"planes": np.zeros((1, MAX_PLANES + 1, 2, 8, 8), np.uint8)}, "found 1025 planes"),
        ({"planes": np.zeros((1, 0, 2, 8, 8), np.uint8)}, "found 0 planes"),
        ({"planes": np.zeros((1, 1, 2, 8, 8), np.uint8)[..., ::-1]}, "none negative"),
        ({"planes": np.zeros((1, 1, 2, 8, 24), np.uint8).view("u1,u2")["f1"]}, "whole values of 2"),
        (
            {"planes": as_strided(np.zeros(1, "u1"), (1, 1, 2, 8, 0), (0, 0, 0, 2**29, 1))},
            "may span",
        ),
        ({"source": (0, 2)}, "expected 1 to 8 of -1 to 1"),
        ({"source": (-2,)}, "expected 1 to 8 of -1 to 1"),
        ({"source": ()}, "expected 1 to 8"),
        ({"step": 0.0}, "found a step of 0.0"),
        ({"step": float("nan")}, "found a step of nan"),
        ({"step": float("inf")}, "found a step of inf"),
        ({"normalisation": Normalisation("scale", divisor=255, dtype="uint16")}, "these are uint8"),
        ({"normalisation": Normalisation("fixed", mean=(1.0,), std=(1.0,))}, "1 means for 2 channels"),
    ],
)
def test_what_the_kernel_would_read_wrongly_is_refused(changed: dict[str, Any], message: str) -> None:
    """Limits and mistakes are named before anything is launched."""
    usual = {
        "planes": np.zeros((1, 1, 2, 8, 8), np.uint8),
        "source": (0, 1),
        "normalisation": PATCH,
        "step": 1.0,
    }

    with pytest.raises(ValueError, match=message):
        arguments(patch_px=8, **{**usual, **changed})
