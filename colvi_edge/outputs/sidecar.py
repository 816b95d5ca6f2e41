"""The sidecar `X.tif.colvi.json`: everything that is known about one judged image.

A file that holds several images has a sidecar for each, and in the place of its own an index of them.

The models below are the contract with lab software; `sidecar.schema.json` beside this module
is their published JSON Schema (a test keeps the two equal). A key that does not apply is
absent, never null.

Records are read back from folders that others may write to, so that every number, text and list has a bound,
and what a sidecar says of its diagnosis must agree: votes, score and diagnosis follow from its patches.
"""

from collections import Counter
from datetime import datetime, timezone
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    model_validator,
)

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.outputs.names import MAX_SLOT_BYTES, slot_of
from colvi_edge.tasks.classify import VOTES, DiagnosisName, Vote

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
BandName = Literal["cyan", "steelblue", "yellow", "orange", "red"]
Item = TypeVar("Item")
Grid = Annotated[list[Annotated[list[Item], FailFast()]], FailFast()]
"""[row][col]; the first value that is none ends the reading, as the errors of 2^21 took a gigabyte."""


class SidecarPart(BaseModel):
    """A part of a sidecar: immutable, filled by field name; keys of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Votes(SidecarPart):
    """How many patches voted for what."""

    control: int = Field(ge=0, le=MAX_PATCHES)
    patient: int = Field(ge=0, le=MAX_PATCHES)
    tie: int = Field(
        ge=0, le=MAX_PATCHES, description="Patches whose two outputs were equal; they count for nobody."
    )


class Patches(SidecarPart):
    """The grid of patches, row-major from the top left; every grid is [row][col]."""

    size_px: int = Field(gt=0, le=2**31 - 1, description="Edge of one square patch, pixels.")
    rows: int = Field(gt=0, le=MAX_PATCHES)
    cols: int = Field(gt=0, le=MAX_PATCHES)
    p_control: Grid[Probability]
    p_patient: Grid[Probability]
    vote: Grid[Vote]
    band: Grid[BandName] = Field(description="Colour of p_control, decided once in float32.")

    @model_validator(mode="after")
    def _agree(self) -> "Patches":
        """Refuse grids of other shapes than the record says."""
        if self.rows * self.cols > MAX_PATCHES:
            raise ValueError(f"expected at most {MAX_PATCHES:,} patches")
        for grid in (self.p_control, self.p_patient, self.vote, self.band):
            if len(grid) != self.rows or any(len(row) != self.cols for row in grid):
                raise ValueError(f"expected {self.rows} x {self.cols} patches in every grid")
        return self


class QualityFlag(SidecarPart):
    """One finding about the image itself."""

    name: Word
    severity: Literal["warn", "reject"]
    value: Number | None = Field(default=None, description="What was measured; absent when unknown.")
    limit: Number | None = Field(default=None, description="What it was compared with.")
    words: Text = Field(description="The finding as a sentence.")


class FamiliarityMeasure(SidecarPart):
    """One number by which the image was compared with those that the network learnt from."""

    name: Word
    value: Number
    low: Number = Field(description="What lies below is unfamiliar, and rejected;")
    typical: Number = Field(description="of the training images;")
    high: Number = Field(description="what lies above is, too. For an image of this size.")


class OutputFile(SidecarPart):
    """A file written together with this sidecar, in the same folder."""

    name: FileName
    sha256: Sha256


class Image(SidecarPart):
    """The raw image. No free text of the file is copied: it may hold names of patients."""

    name: Label = Field(description="File name without folders.")
    key: Label = Field(default="", description="Which image of a file that holds several; else empty.")
    bytes: Count | None = None
    sha256: Sha256 | None = Field(default=None, description="Of the raw file; absent if it was unreadable.")
    axes: Word | None = Field(default=None, description="Axes as stored, e.g. ZCYX.")
    shape: list[Count] | None = Field(default=None, max_length=MAX_WORD, description="Lengths of `axes`.")
    dtype: Word | None = None
    planes: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Planes summed (Z).")
    pixel_size_um: Number | None = Field(
        default=None, gt=0, le=1e6, description="Absent when neither the file nor the operator says it."
    )
    channels: list[Word] | None = Field(
        default=None, max_length=2**16, description="Role of each channel, in file order."
    )
    mtime_ns: int | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        description="When the raw file was last changed, ns since 1970; since sidecar 2.",
    )


class Model(SidecarPart):
    """The bundle that judged."""

    name: Text
    version: Text
    sha256: Sha256 = Field(description="Of the bundle's SHA256SUMS, which covers every file of it.")

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"


class EngineRecord(SidecarPart):
    """What ran the model."""

    runtime: Text
    version: Text
    precision: Text
    device: Text
    reason: Text = Field(description="Why this engine and precision were taken.")


class Software(SidecarPart):
    """What wrote this file."""

    name: Literal["colvi-edge"] = "colvi-edge"
    version: Word

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"


class Sidecar(SidecarPart):
    """The result for one image, judged or rejected by the quality rules."""

    schema_: Literal["colvi-edge.sidecar/1", "colvi-edge.sidecar/2"] = Field(
        default="colvi-edge.sidecar/2",
        alias="schema",
        description="2 has what 1 has, and optional keys; more of these may come: pass over unknown ones.",
    )
    result_id: UUID = Field(description="UUIDv5 of raw file, model and settings: equal work, equal id.")
    settings_sha256: Sha256 | None = Field(
        default=None,
        description="Of what decides beside the raw file: bundle, precision, channels, pixel size; since 2.",
    )
    revision: int = Field(
        default=1,
        ge=1,
        le=MAX_REVISION,
        description="Counts results for a raw file that changed; stays at its maximum.",
    )
    status: Literal["ok", "rejected"]
    diagnosis: DiagnosisName | None = Field(default=None, description="Absent when rejected.")
    score: float | None = Field(
        default=None, ge=0, le=100, description="100 x control votes / patches; absent when rejected."
    )
    votes: Votes | None = Field(default=None, description="Absent when rejected.")
    patches: Patches | None = Field(default=None, description="Absent when rejected.")
    coverage: Probability = Field(description="Share of the pixels that lies in a whole patch.")
    quality: list[QualityFlag] = Field(max_length=256)
    familiarity: list[FamiliarityMeasure] | None = Field(
        default=None,
        max_length=256,
        description="Since 2; absent where the bundle, or the image, cannot be compared.",
    )
    outputs: list[OutputFile] = Field(max_length=64)
    image: Image
    model: Model
    slot: Slot | None = None
    engine: EngineRecord
    timings_ms: dict[Word, Number] = Field(max_length=256)
    software: Software
    created: Moment = Field(description="UTC.")
    intended_use: Text = RESEARCH_USE_ONLY

    @model_validator(mode="after")
    def _agree(self) -> "Sidecar":
        """Refuse a record whose diagnosis is not that of its patches: it would be shown as one."""
        if len({output.name for output in self.outputs}) < len(self.outputs):
            raise ValueError("expected each output once")
        if self.votes is None or self.patches is None or self.diagnosis is None or self.score is None:
            if self.status == "ok" or (self.votes, self.patches, self.diagnosis, self.score) != (None,) * 4:
                raise ValueError("expected diagnosis, score, votes and patches, or none of them if rejected")
            return self
        counts = Counter(chain.from_iterable(self.patches.vote))
        control, patient, tie = (counts[vote] for vote in VOTES)
        majority = "unsure" if control == patient else "control" if control > patient else "patient"
        found = (self.status, self.diagnosis, self.votes.control, self.votes.patient, self.votes.tie)
        if found != ("ok", majority, control, patient, tie):
            raise ValueError("expected the diagnosis and the votes of the patches")
        if abs(self.score - 100 * control / counts.total()) > 1e-6:
            raise ValueError("expected the score to be the share of control votes")
        return self


class Failure(SidecarPart):
    """Why a file has no result."""

    kind: Word = Field(description="Stable word for the cause.")
    message: Text = Field(description="Found, expected, remedy, in one sentence.")


class ErrorRecord(SidecarPart):
    """`X.tif.colvi.error.json`: the file could not be read or judged."""

    schema_: Literal["colvi-edge.error/1"] = Field(default="colvi-edge.error/1", alias="schema")
    status: Literal["error"] = "error"
    error: Failure
    image: Image
    slot: Slot | None = None
    software: Software
    created: Moment = Field(description="UTC.")


class IndexEntry(SidecarPart):
    """One image of a file that holds several."""

    key: Label = Field(description="Which image, e.g. 0003-Series004: its number from 0, and its name.")
    status: Literal["ok", "rejected", "error"]
    name: FileName = Field(description="Its sidecar or error record, in the same folder.")
    sha256: Sha256


class Index(SidecarPart):
    """`X.lif.colvi.json`: what became of each image of a file that holds several; written last."""

    schema_: Literal["colvi-edge.index/1"] = Field(default="colvi-edge.index/1", alias="schema")
    status: Literal["ok", "rejected", "error"] = Field(
        description="ok: at least one image was judged; else rejected: at least one was read; else error."
    )
    images: list[IndexEntry] = Field(min_length=1, max_length=MAX_IMAGES)
    image: Image = Field(description="The file itself.")
    slot: Slot | None = None
    software: Software
    created: Moment = Field(description="UTC.")
    intended_use: Text = RESEARCH_USE_ONLY

    @model_validator(mode="after")
    def _agree(self) -> "Index":
        """Refuse an index that lists an image twice, or is of another status than its images."""
        if len({entry.key for entry in self.images}) < len(self.images):
            raise ValueError("expected each image once")
        found = {entry.status for entry in self.images}
        if self.status != ("ok" if "ok" in found else "rejected" if "rejected" in found else "error"):
            raise ValueError("expected the status of the images")
        return self


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return a text as a record may hold it: not longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def as_plain(record: Sidecar | ErrorRecord | Index) -> dict[str, Any]:
    """Return the record as plain dicts, lists, numbers and strings; absent keys left out."""
    return record.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_json(record: Sidecar | ErrorRecord | Index) -> bytes:
    """Return the record as the UTF-8 JSON file that is left beside the raw file."""
    return orjson.dumps(as_plain(record), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of everything that `to_json` can write."""
    return TypeAdapter(Sidecar | ErrorRecord | Index).json_schema(by_alias=True, mode="serialization")
