"""HDF5 of others: nothing that leads out of the file, or round in it, is followed."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from colvi_edge.errors import ModelError
from colvi_edge.export.reading.foreign import hdf5
from colvi_edge.export.reading.foreign.hdf5 import refuse_foreign_file
from colvi_edge.export.reading.keras import read_keras

PLUG_IN = 32015
"""Zstandard, as HDF5's registry numbers it; the library would search folders for it."""


def external_storage(file: h5py.File) -> None:
    """Let the numbers of a dataset lie in another file."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_external(b"/etc/hostname", 0, 8)
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((8,)), plan)


def virtual(file: h5py.File) -> None:
    """Let a dataset be made of another file's."""
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,), "f4")
    file.create_virtual_dataset("x", layout)


def plug_in(file: h5py.File) -> None:
    """Let a dataset be packed by a filter that is not part of HDF5."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_filter(PLUG_IN, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,)), plan)


def circle(file: h5py.File) -> None:
    """Let a group hold the root."""
    file.create_group("a")["b"] = file["/"]


def deep(file: h5py.File) -> None:
    """Put group in group."""
    file.create_group("/".join("a" * 30))


def many(file: h5py.File) -> None:
    """Make more groups than a network has layers."""
    for number in range(60):
        file.create_group(f"g{number}")


def references(file: h5py.File) -> None:
    """Point at an object from a dataset."""
    file.create_dataset("x", data=np.array([file.ref], h5py.ref_dtype), dtype=h5py.ref_dtype)


def region(file: h5py.File) -> None:
    """Point at a part of a dataset from an attribute."""
    numbers = file.create_dataset("x", data=np.zeros(4, np.float32))
    file.attrs["part"] = numbers.regionref[:2]


def large(file: h5py.File) -> None:
    """Declare 4 TiB that were never written."""
    file.create_dataset("x", (2**20, 2**20), np.float32, chunks=(1024, 1024))


def chunk(file: h5py.File) -> None:
    """Declare a few numbers in a chunk of gigabytes, which the library would take memory for."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2**29,))
    space = h5py.h5s.create_simple((4,), (h5py.h5s.UNLIMITED,))
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, space, plan)


def unwritten(file: h5py.File) -> None:
    """Declare 64 MiB of which not a byte is there."""
    file.create_dataset("x", (2**24,), np.float32, chunks=(2**16,))


KINDS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "external link": (
        lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/hostname", "/")),
        "a link to another file, /x",
    ),
    "soft link": (lambda file: file.__setitem__("x", h5py.SoftLink("/missing")), "a soft link, /x"),
    "soft circle": (lambda file: file.__setitem__("x", h5py.SoftLink("/x")), "a soft link, /x"),
    "external storage": (external_storage, "external storage: the numbers of /x lie in another file"),
    "virtual": (virtual, "a virtual dataset, /x, which is read from other files"),
    "plug-in": (plug_in, f"a filter, number {PLUG_IN} of /x, that is a plug-in"),
    "circle": (circle, "/a/b twice, under another name or in a circle"),
    "deep": (deep, "groups more than 20 deep"),
    "many": (many, "61 objects in its root"),
    "references": (references, "references to other objects, in /x"),
    "region": (region, "references to other objects, in the attribute part of its root"),
    "text": (lambda file: file.create_dataset("x", data="abc"), "neither numbers nor text, in /x"),
    "type": (lambda file: file.__setitem__("x", np.dtype("f4")), "/x, which is neither group nor dataset"),
    "large": (large, "more than 256 MiB of numbers, up to /x"),
    "chunk": (chunk, "more than 256 MiB of numbers, up to /x"),
    "unwritten": (unwritten, "67108864 bytes of /x packed into 0"),
    "attribute": (
        lambda file: file.attrs.__setitem__("layer_names", [f"layer {n}" for n in range(11_000)]),
        "the attribute layer_names of its root with 11000 values",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_weights_do_not_need_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a sentence of its own, before a number is read."""
    make, sentence = KINDS[kind]
    if kind == "many":
        monkeypatch.setattr(hdf5, "_MOST_OBJECTS", 60)
    with h5py.File(tmp_path / "weights.h5", "w", track_order=kind == "attribute") as file:
        file.create_group("layer")
        make(file)
    monkeypatch.setattr(h5py.Dataset, "__array__", lambda *_: pytest.fail("was read"))
    with pytest.raises(ModelError, match=sentence) as caught:
        read_keras(tmp_path / "weights.h5")

    assert caught.value.exit_code == 2
    assert "; save the weights by model.save_weights('model.h5')" in str(caught.value)


def test_packed_numbers_are_taken(tmp_path: Path) -> None:
    """With each filter that HDF5 itself has, in groups, with attributes of text."""
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        group = file.create_group("layer/kernel")
        group.attrs["weight_names"] = [b"a", b"b"]
        group.attrs["words"] = ["of any", "length"]
        group.attrs["trainable"] = True
        numbers = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
        group.create_dataset("plain", data=numbers)
        group.create_dataset("gzip", data=numbers, compression="gzip", shuffle=True, fletcher32=True)
        group.create_dataset("lzf", data=numbers, compression="lzf")
        group.create_dataset("zeros", data=np.zeros((64, 64)), compression="gzip")
        group.create_dataset("step", data=np.int64(3))
    with h5py.File(tmp_path / "weights.h5") as file:
        refuse_foreign_file(file, tmp_path)
