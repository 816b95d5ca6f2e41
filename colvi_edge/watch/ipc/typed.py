"""Dataclasses from what JSON held, each field checked against its annotation.

Understood are str, bool, int, float, None, Path, Literal, enums of str, dataclasses, `X | None`, list[X],
dict[str, X], and Annotated with a range of numbers or with a pattern that a whole text has to match.
"""

import math
import re
import types
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

LONGEST_TEXT = 1 << 16
"""Characters of a text: of the longest path, 64 folders deep, there are 16,000."""
_INTEGERS = range(-(2**63), 2**63)  # what SQLite can store
_LARGEST_FLOAT = 1e15  # 30 million years in seconds; sums and products of such stay finite

Made = TypeVar("Made")


class WrongTypeError(ValueError):
    """A value is not what its annotation says; the words name the field, and nothing of the value."""


def made(kind: type[Made], values: Any) -> Made:
    """Return a dataclass of a JSON object.

    Args:
        kind: the dataclass.
        values: as json.loads gives them.

    Raises:
        WrongTypeError: a field is missing, unknown, or of another kind than its annotation says.
    """
    if not isinstance(values, dict):
        raise WrongTypeError(f"{kind.__name__} is no object")
    annotations, required = _fields(kind)  # type: ignore[arg-type] # a type that is not known is hashable, too
    if not required <= values.keys() <= annotations.keys():
        raise WrongTypeError(f"{kind.__name__} has not the fields that it should have")
    given = {name: _checked(f"{kind.__name__}.{name}", annotations[name], values[name]) for name in values}
    return kind(**given)


@cache
def _fields(kind: type[Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the annotation of each field, and which fields must be there."""
    annotations = get_type_hints(kind, include_extras=True)
    required = {
        field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING
    }
    return {field.name: annotations[field.name] for field in fields(kind)}, frozenset(required)


def _checked(where: str, annotation: Any, value: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return None if value is None else _checked(where, arguments[0], value)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return made(annotation, value)
    if origin is list and isinstance(value, list):
        return [_checked(where, arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {_checked(where, str, key): _checked(where, arguments[1], value[key]) for key in value}
    if annotation is Path:
        return Path(_checked(where, str, value))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        if not isinstance(value, str) or value not in {member.value for member in annotation}:
            raise WrongTypeError(f"{where} is not {_words(annotation)}")
        return annotation(value)
    if origin is Annotated:
        value = _checked(where, arguments[0], value) if arguments[0] is str else value
        fits = _fits_bound(arguments[1], value)
    elif origin is Literal:
        fits = isinstance(value, str) and value in arguments
    else:
        if annotation is float and type(value) is int and value in _INTEGERS:
            value = float(value)
        fits = type(value) is annotation and _is_bounded(value)
    if not fits:
        raise WrongTypeError(f"{where} is not {_words(annotation)}")
    return value


def _fits_bound(bound: range | re.Pattern[str], value: Any) -> bool:
    if isinstance(bound, range):
        return type(value) is int and value in bound
    return bound.fullmatch(value) is not None


def _is_bounded(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= _LARGEST_FLOAT
    return value in _INTEGERS if type(value) is int else True


def _is_text(value: str) -> bool:
    """Return whether a text can be a file's name: with half a character in it, it could not be encoded."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _words(annotation: Any) -> str:
    return f"a bounded {annotation.__name__}" if isinstance(annotation, type) else "what it can be"
