"""Protobuf's wire format, read without trusting it: a file says what it holds, a schema says what it may.

Stricter than protobuf itself, which merges a message that comes twice and passes over what it does not
know: two readers could take one file for two things. Here a field is known, of its kind, and there once.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

MOST_TEXT_BYTES = 1024

_VARINT_BYTES = 10
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class DamagedError(ValueError):
    """The bytes are none of a message of the schema; says why, and names no file."""


class Kind(Enum):
    """What a field holds."""

    INTEGER = auto()  # int32, int64, uint64 or an enum: an int of 64 bits with its sign
    FLOAT = auto()
    TEXT = auto()  # a str of at most MOST_TEXT_BYTES
    BYTES = auto()  # a memoryview: bytes, or a message with a schema of its own
    REFUSED = auto()  # the field's name says what it would be


class Field(NamedTuple):
    """A field of a schema; one that repeats is read into a list, one that is not there is left out."""

    name: str
    kind: Kind
    repeats: bool = False


Schema = Mapping[int, Field]


@dataclass
class Budget:
    """How many fields may still be read: a short file can hold a great many empty ones."""

    fields: int

    def take(self, fields: int = 1) -> None:
        """Count fields that are read."""
        self.fields -= fields
        if self.fields < 0:
            raise DamagedError("holds more parts than any network here has")


def read(data: memoryview, schema: Schema, budget: Budget) -> dict[str, Any]:
    """Return the fields of a message by name.

    Args:
        data: the message, not one byte more.
        schema: its fields by number.
        budget: of all messages of the file.

    Raises:
        DamagedError: it has an end too early, or a field that the schema has not, has otherwise or has once.
    """
    found: dict[str, Any] = {}
    at, end = 0, len(data)
    while at < end:
        budget.take()
        key, at = _varint(data, at)
        field = schema.get(key >> 3)
        if field is None:
            raise DamagedError(f"has a field {key >> 3} that is not known here")
        if field.kind is Kind.REFUSED:
            raise DamagedError(f"holds {field.name}, which no network here needs")
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            values = _integers(field, value)
        else:
            if wire == _LENGTH:
                length, at = _varint(data, at)
            elif wire in (_FOUR_BYTES, _EIGHT_BYTES):
                length = 4 if wire == _FOUR_BYTES else 8
            else:
                raise DamagedError(f"has bytes that are no {field.name}")
            if length > end - at:
                raise DamagedError(f"ends within {field.name}")
            values = _values(field, wire, data[at : at + length], budget)
            at += length
        if field.repeats:
            found.setdefault(field.name, []).extend(values)
        elif field.name in found:
            raise DamagedError(f"has {field.name} twice")
        else:
            (found[field.name],) = values
    return found


def varints(data: memoryview, most: int) -> list[int]:
    """Return packed integers.

    Raises:
        DamagedError: these are more of them, or something else.
    """
    found: list[int] = []
    at = 0
    while at < len(data):
        if len(found) >= most:
            raise DamagedError("holds more numbers than it says")
        value, at = _varint(data, at)
        found.append(_signed(value))
    return found


def _values(field: Field, wire: int, data: memoryview, budget: Budget) -> list[Any]:
    """Return what lies in the bytes of a field: packed numbers may be several."""
    kind = field.kind
    if wire == _LENGTH and kind is Kind.BYTES:
        return [data]
    if wire == _LENGTH and kind is Kind.TEXT:
        return [_text(field, data)]
    if wire == _LENGTH and field.repeats and kind is Kind.INTEGER:
        integers = varints(data, budget.fields)
        budget.take(len(integers))
        return integers
    packed = wire == _LENGTH and field.repeats and len(data) % 4 == 0
    if kind is Kind.FLOAT and (packed or wire == _FOUR_BYTES):
        budget.take(len(data) // 4)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    raise DamagedError(f"has bytes that are no {field.name}")


def _integers(field: Field, value: int) -> list[int]:
    if field.kind is not Kind.INTEGER:
        raise DamagedError(f"has a number that is no {field.name}")
    return [_signed(value)]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(field: Field, data: memoryview) -> str:
    if len(data) > MOST_TEXT_BYTES:
        raise DamagedError(f"has {field.name} of {len(data)} bytes, at most {MOST_TEXT_BYTES} are read")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise DamagedError(f"has {field.name} that is no text") from None


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned number of 64 bits, and where the next byte is."""
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + place + 1
    raise DamagedError("has a number without an end")
