"""What the values of a record may be: every number, text and list has a bound."""

from datetime import datetime, timezone
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, FailFast, Field

from colvi_edge.outputs.names import MAX_SLOT_BYTES, slot_of

MAX_REVISION = 2**31 - 1
MAX_PATCHES = 2**18
"""Of one image: 32,768 x 32,768 pixels in patches of 64, 4,096 x 4,096 in patches of 8."""
MAX_IMAGES = 2**16
"""Of one file."""
MAX_TEXT, MAX_WORD = 4096, 256
"""Characters that are written; longer texts are cut, with `cut`."""

_LONGEST_TEXT = 2**20  # that is read: earlier versions listed each channel of a file of 20,000
_LONGEST_NAME = 2048  # 255 bytes, each of which may be escaped in six characters
_FILE_NAME = r"^[^/\x00]+$"
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)  # of a machine whose clock was never set


def _short(name: str) -> str:
    if len(name) > _LONGEST_NAME:  # by hand, as pydantic measures no name that is not text
        raise ValueError(f"expected at most {_LONGEST_NAME} characters")
    return name


def _plausible(moment: datetime) -> datetime:
    if moment < _EARLIEST or moment.year == datetime.max.year:
        raise ValueError("expected a moment since 1970")
    return moment


def _slot(slot: str) -> str:
    if len(slot) > MAX_SLOT_BYTES or slot != slot_of(slot):
        raise ValueError("expected a slot as colvi-edge writes it")
    return slot


Probability = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Exact also for readers who keep every number as float64."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=MAX_WORD)]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Label = Annotated[str, AfterValidator(_short), Field(json_schema_extra={"maxLength": _LONGEST_NAME})]
Slot = Annotated[
    str,
    AfterValidator(_slot),
    Field(
        json_schema_extra={"minLength": 1, "maxLength": MAX_SLOT_BYTES},
        description="Of several bundles, which one's files these are: part of their names; absent for the "
        "first, whose files have the plain names.",
    ),
]
FileName = Annotated[str, Field(max_length=_LONGEST_NAME, pattern=_FILE_NAME)]
Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Item = TypeVar("Item")
Grid = Annotated[list[Annotated[list[Item], FailFast()]], FailFast()]
"""[row][col]; the first value that is none ends the reading, as the errors of 2^21 took a gigabyte."""


class SidecarPart(BaseModel):
    """A part of a sidecar: immutable, filled by field name; keys of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return a text as a record may hold it: not longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."
