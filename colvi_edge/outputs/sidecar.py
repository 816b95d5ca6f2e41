"""The sidecar `X.tif.colvi.json`: everything that is known about one judged image.

A file that holds several images has a sidecar for each, and in the place of its own an index of them.

The models below are the contract with lab software; `sidecar.schema.json` beside this module
is their published JSON Schema (a test keeps the two equal). A key that does not apply is
absent, never null.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.diagnosis import Verdict, Vote

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
BandName = Literal["cyan", "steelblue", "yellow", "orange", "red"]


class Record(BaseModel):
    """A part of a sidecar: immutable, filled by field name; keys of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Votes(Record):
    """How many patches voted for what."""

    control: int = Field(ge=0)
    patient: int = Field(ge=0)
    tie: int = Field(ge=0, description="Patches whose two outputs were equal; they count for nobody.")


class Patches(Record):
    """The grid of patches, row-major from the top left; every grid is [row][col]."""

    size_px: int = Field(gt=0, description="Edge of one square patch, pixels.")
    rows: int = Field(gt=0)
    cols: int = Field(gt=0)
    p_control: list[list[Probability]]
    p_patient: list[list[Probability]]
    vote: list[list[Vote]]
    band: list[list[BandName]] = Field(description="Colour of p_control, decided once in float32.")


class QualityFlag(Record):
    """One finding about the image itself."""

    name: str
    severity: Literal["warn", "reject"]
    value: float | None = Field(default=None, description="What was measured; absent when unknown.")
    limit: float | None = Field(default=None, description="What it was compared with.")
    words: str = Field(description="The finding as a sentence.")


class FamiliarityMeasure(Record):
    """One number by which the image was compared with those that the network learnt from."""

    name: str
    value: float
    low: float = Field(description="What lies below is unfamiliar, and rejected;")
    typical: float = Field(description="of the training images;")
    high: float = Field(description="what lies above is, too. For an image of this size.")


class OutputFile(Record):
    """A file written together with this sidecar, in the same folder."""

    name: str
    sha256: Sha256


class Image(Record):
    """The raw image. No free text of the file is copied: it may hold names of patients."""

    name: str = Field(description="File name without folders.")
    key: str = Field(default="", description="Which image of a file that holds several; else empty.")
    bytes: int | None = Field(default=None, ge=0)
    sha256: Sha256 | None = Field(default=None, description="Of the raw file; absent if it was unreadable.")
    axes: str | None = Field(default=None, description="Axes as stored, e.g. ZCYX.")
    shape: list[int] | None = Field(default=None, description="Lengths of `axes`.")
    dtype: str | None = None
    planes: int | None = Field(default=None, ge=1, description="Planes summed (Z).")
    pixel_size_um: float | None = Field(default=None, gt=0, description="Absent when the file has none.")
    channels: list[str] | None = Field(default=None, description="Role of each channel, in file order.")
    mtime_ns: int | None = Field(
        default=None, description="When the raw file was last changed, ns since 1970; since sidecar 2."
    )


class Model(Record):
    """The bundle that judged."""

    name: str
    version: str
    sha256: Sha256 = Field(description="Of the bundle's SHA256SUMS, which covers every file of it.")


class EngineRecord(Record):
    """What ran the model."""

    runtime: str
    version: str
    precision: str
    device: str
    reason: str = Field(description="Why this engine and precision were taken.")


class Software(Record):
    """What wrote this file."""

    name: Literal["colvi-edge"] = "colvi-edge"
    version: str


class Sidecar(Record):
    """The result for one image, judged or rejected by the quality rules."""

    schema_: Literal["colvi-edge.sidecar/1", "colvi-edge.sidecar/2"] = Field(
        default="colvi-edge.sidecar/2",
        alias="schema",
        description="2 has what 1 has, and optional keys; more of these may come: pass over unknown ones.",
    )
    result_id: UUID = Field(description="UUIDv5 of raw file, model and settings: equal work, equal id.")
    settings_sha256: Sha256 | None = Field(
        default=None,
        description="Of what decides beside the raw file: bundle, precision, channels; since 2.",
    )
    revision: int = Field(default=1, ge=1, description="Counts results for a raw file that changed.")
    status: Literal["ok", "rejected"]
    diagnosis: Verdict | None = Field(default=None, description="Absent when rejected.")
    score: float | None = Field(
        default=None, ge=0, le=100, description="100 x control votes / patches; absent when rejected."
    )
    votes: Votes | None = Field(default=None, description="Absent when rejected.")
    patches: Patches | None = Field(default=None, description="Absent when rejected.")
    coverage: Probability = Field(description="Share of the pixels that lies in a whole patch.")
    quality: list[QualityFlag]
    familiarity: list[FamiliarityMeasure] | None = Field(
        default=None, description="Since 2; absent where the bundle, or the image, cannot be compared."
    )
    outputs: list[OutputFile]
    image: Image
    model: Model
    engine: EngineRecord
    timings_ms: dict[str, float]
    software: Software
    created: datetime = Field(description="UTC.")
    intended_use: str = RESEARCH_USE_ONLY


class Failure(Record):
    """Why a file has no result."""

    kind: str = Field(description="Stable word for the cause.")
    message: str = Field(description="Found, expected, remedy, in one sentence.")


class ErrorRecord(Record):
    """`X.tif.colvi.error.json`: the file could not be read or judged."""

    schema_: Literal["colvi-edge.error/1"] = Field(default="colvi-edge.error/1", alias="schema")
    status: Literal["error"] = "error"
    error: Failure
    image: Image
    software: Software
    created: datetime = Field(description="UTC.")


class IndexEntry(Record):
    """One image of a file that holds several."""

    key: str = Field(description="Which image, e.g. 0003-Series004: its number from 0, and its name.")
    status: Literal["ok", "rejected", "error"]
    name: str = Field(description="Its sidecar or error record, in the same folder.")
    sha256: Sha256


class Index(Record):
    """`X.lif.colvi.json`: what became of each image of a file that holds several; written last."""

    schema_: Literal["colvi-edge.index/1"] = Field(default="colvi-edge.index/1", alias="schema")
    status: Literal["ok", "rejected", "error"] = Field(
        description="ok: at least one image was judged; else rejected: at least one was read; else error."
    )
    images: list[IndexEntry] = Field(min_length=1)
    image: Image = Field(description="The file itself.")
    software: Software
    created: datetime = Field(description="UTC.")
    intended_use: str = RESEARCH_USE_ONLY


def as_plain(record: Sidecar | ErrorRecord | Index) -> dict[str, Any]:
    """Return the record as plain dicts, lists, numbers and strings; absent keys left out."""
    return record.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_json(record: Sidecar | ErrorRecord | Index) -> bytes:
    """Return the record as the UTF-8 JSON file that is left beside the raw file."""
    return orjson.dumps(as_plain(record), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of everything that `to_json` can write."""
    return TypeAdapter(Sidecar | ErrorRecord | Index).json_schema(by_alias=True, mode="serialization")
