"""The pickles of a TorchScript archive: modules and tensors, read with the few words that torch writes.

Nothing of the file is imported or called: every name stands for a harmless thing of ours. What a tensor
says of its storage must agree with the bytes that are there.
"""

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

from colvi_edge.printable import printable_name

_WRITTEN = """
    PROTO GLOBAL MARK STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE
    SHORT_BINUNICODE BINGET LONG_BINGET BINPUT LONG_BINPUT MEMOIZE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT TUPLE
    TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS NEWOBJ REDUCE BUILD BINPERSID
"""
_OPCODES = frozenset(_WRITTEN.split())

_ITEM_BYTES = {
    f"{kind}Storage": size
    for size, kinds in {
        1: "Byte Char Bool",
        2: "Half BFloat16 Short",
        4: "Float Int",
        8: "Double Long",
    }.items()
    for kind in kinds.split()
}


class _Module:
    """Stands for an object of the archive's own classes."""

    def __setstate__(self, state: object) -> None:
        """Take nothing."""


class _Storage:
    """Stands for the type of a storage."""

    def __init__(self, item_bytes: int) -> None:
        self.item_bytes = item_bytes


def refuse_foreign_pickle(data: bytes, folder: str, records: Mapping[str, bytes]) -> None:
    """Raise ValueError if a pickle holds more than modules, plain values and tensors whose bytes are there.

    Args:
        data: the pickle.
        folder: of its tensors, "data" or "constants".
        records: all members of the archive by their name.
    """
    for opcode, _, _ in pickletools.genops(data):
        if opcode.name not in _OPCODES:
            raise ValueError(f"the opcode {opcode.name}")
    _Reader(data, folder, records).load()


class _Reader(pickle.Unpickler):  # Python's own machine, to which every name is one of ours
    def __init__(self, data: bytes, folder: str, records: Mapping[str, bytes]) -> None:
        super().__init__(io.BytesIO(data))
        self._folder = folder
        self._records = records

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("collections", "OrderedDict"): dict,
            ("torch", "device"): str,
            **{
                ("torch.jit._pickle", function): _first
                for function in (
                    "build_intlist",
                    "build_doublelist",
                    "build_boollist",
                    "build_tensorlist",
                    "restore_type_tag",
                )
            },
            **{("torch", kind): _Storage(size) for kind, size in _ITEM_BYTES.items()},
        }
        if f"{module}.".startswith("__torch__.") and not f"{module}.".startswith("__torch__.torch.classes."):
            return _Module
        if (module, name) not in known:
            raise ValueError(f"a pickled {printable_name(f'{module}.{name}')[:200]}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> int:
        """Return the number of items of a storage."""
        word, kind, key, _, count = pid
        record = self._records.get(f"{self._folder}/{key}")
        if (
            word != "storage"
            or not isinstance(kind, _Storage)
            or not isinstance(count, int)
            or record is None
        ):
            raise ValueError("a tensor without its bytes")
        if count * kind.item_bytes != len(record):
            raise ValueError(f"a tensor of {count} items in {len(record)} bytes")
        return count


def _rebuild(count: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> None:
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    items = 1
    for length in size:
        items *= length
    if min((offset, *size, *stride)) < 0 or (items and reach >= count) or items > count:
        raise ValueError("a tensor beyond its storage")


def _first(value: object, *_: object) -> object:
    return value
