"""What a bench leaves in `--json FILE`: every sample, and what is needed to read them.

`docs/evidence/performance.md` explains the fields to people.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bench.statistics import median, summary
from colvi_edge.errors import UsageError
from colvi_edge.printable import printable_name

SCHEMA: Literal["colvi-edge.bench/1"] = "colvi-edge.bench/1"

END_TO_END = "file to JSON"
READ, ENGINE, NETWORK, REST, WRITE = "read", "engine", "network", "rest", "write"
HELP = "--help"
TO_THE_END = "whole process"

_MOST_BYTES = 2**24
"""A record of four engines on four inputs has 74 kB."""

_MOST_SAMPLES = 10_000
"""Of a series: the interval of so many takes a second, and time grows with the square."""

_LARGEST = 1e15

Pattern = Literal["continuous", "after idle", "cold start", "burst"]
COLD_START: Pattern = "cold start"


class Part(BaseModel):
    """A part of a record: closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Machine(Part):
    """Where it was measured. What the machine does not tell is an empty string."""

    cpu: str
    cores: int = Field(description="That this process may use.")
    governor: str = Field(description="Of the CPU's clock, and its range.")
    power_mode: str = Field(description="Of a Jetson, by nvpmodel.")
    gpu: str = Field(description="Name, driver and limits, by nvidia-smi.")
    memory_gib: float
    system: str = Field(description="Distribution, kernel, architecture.")
    is_virtual: bool = Field(description="A hypervisor lends the CPU.")
    file_system: str = Field(description="Of the folder that results were written to.")
    load_average: float = Field(description="Of the last minute, at the start.")
    busy: float = Field(description="Share of the cores that others kept busy right before the start, 0..1.")
    versions: dict[str, str]


class Clocks(Part):
    """How fast things ran at one moment."""

    when: str
    cpu_mhz: tuple[float, ...] = Field(description="Of each core; none where the machine does not tell.")
    gpu: str = Field(description="Clocks, power state, temperature.")


class Model(Part):
    """The bundle."""

    name: str
    version: str
    sha256: str

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"


class Image(Part):
    """What was diagnosed: the first image of the file. Without its name, which may be a patient's."""

    is_simulated: bool
    sha256: str = Field(description="Of the raw file.")
    axes: str
    shape: tuple[int, ...]
    dtype: str
    file_bytes: dict[str, int] = Field(description="Of each input: the file as it is, and saved again.")


class Settings(Part):
    """How it was measured."""

    rounds: int
    warm_up_images: int = Field(description="Of each engine and input, before anything is counted.")
    idle_s: float
    idle_gaps: int
    cold_starts: int
    burst_images: int


class EngineUsed(Part):
    """An engine as it was opened."""

    name: str = Field(description="What the series call it.")
    runtime: str
    version: str
    precision: str
    device: str
    reason: str = Field(description="Why it was taken and, on a GPU, how it launches and copies.")


class PeerUsed(Part):
    """Something else that ran the bundle's network."""

    name: str = Field(description="What the series call it.")
    version: str
    precision: str
    batch: int


class PeerMissing(Part):
    """Something that was not measured."""

    name: str
    why: str


class Series(Part):
    """How long one thing took, again and again."""

    engine: str = Field(description="Name of an engine or a peer; empty for --help.")
    input: str = Field(description="Which of the image's files; empty where none matters.")
    pattern: Pattern
    stage: str
    within: str = Field(default="", description="The stage that this one is a part of.")
    samples_ms: tuple[float, ...] = Field(min_length=1, description="In the order measured.")
    summary_ms: dict[str, float]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same thing in another record."""
        return self.engine, self.input, self.pattern, self.stage

    @property
    def median_ms(self) -> float:
        """The 50th percentile."""
        return median(self.samples_ms)


class Check(Part):
    """How one engine decides here, compared with FP32."""

    engine: str
    images: str
    reference: str
    patches: int
    agreement: float = Field(description="Share of patches with the same vote, 0..1.")
    band_flips: float = Field(description="Share of patches with another band, 0..1.")
    diagnosis_flips: int
    largest_dp: float
    largest_dscore: float
    faults: tuple[str, ...] = Field(description="What is beyond tolerance; empty for a pass.")


class SegmentCheck(Part):
    """How one engine draws regions and finds objects here, compared with FP32."""

    engine: str
    images: str
    reference: str
    median_dice: float = Field(description="0..1, of the class whose is smallest.")
    worst_dice: float = Field(description="0..1, of the worst class in the worst image.")
    boundary_px: float = Field(description="95th percentile of how far a boundary moves.")
    object_f1: float | None = Field(default=None, description="0..1; absent without objects.")
    object_flips: int | None = Field(default=None, description="Objects without a partner, both ways.")
    faults: tuple[str, ...] = Field(description="What is beyond tolerance; empty for a pass.")


class Record(Part):
    """All of one bench."""

    schema_: Literal["colvi-edge.bench/1"] = Field(default=SCHEMA, alias="schema")
    created: datetime = Field(description="UTC.")
    software: str
    machine: Machine
    clocks: tuple[Clocks, ...]
    model: Model
    image: Image
    settings: Settings
    engines: tuple[EngineUsed, ...]
    series: tuple[Series, ...]
    peers: tuple[PeerUsed, ...] = ()
    peers_missing: tuple[PeerMissing, ...] = ()
    checks: tuple[Check | SegmentCheck, ...] = ()
    intended_use: str = RESEARCH_USE_ONLY

    @property
    def inputs(self) -> list[str]:
        """The image's files, the one that stands for all first."""
        return list(self.image.file_bytes)

    def find(
        self, engine: str, stage: str, pattern: Pattern = "continuous", given: str = ""
    ) -> Series | None:
        """Return a series of an engine, by default of the first input; None if it is not there."""
        wanted = {(engine, name, pattern, stage) for name in (given or self.inputs[0], "")}
        return next((series for series in self.series if series.key in wanted), None)


def timed(
    engine: str, given: str, pattern: Pattern, stage: str, samples_ms: Sequence[float], within: str = ""
) -> Series:
    """Return a series with its summary; microseconds are as fine as anybody can measure."""
    rounded = tuple(round(sample, 3) for sample in samples_ms)
    return Series(
        engine=engine,
        input=given,
        pattern=pattern,
        stage=stage,
        within=within,
        samples_ms=rounded,
        summary_ms=summary(rounded),
    )


def to_json(record: Record) -> bytes:
    """Return the record as the UTF-8 JSON file that `read` takes."""
    return orjson.dumps(record.model_dump(mode="json", by_alias=True), option=orjson.OPT_APPEND_NEWLINE)


def read(path: Path) -> Record:
    """Return the record of an earlier bench; its texts are printable.

    Raises:
        UsageError: the file cannot be read, or is no record of this version's schema.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        return Record.model_validate(_bounded(from_json(data, allow_inf_nan=False)))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; give a file of bench --json") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = printable_name(".".join(map(str, first["loc"])))[:100] or "all of it"
        raise _no_record(path, f"{place}: {first['msg']}") from error
    except ValueError as error:  # no JSON, or JSON deeper than 200 levels
        raise _no_record(path, str(error)) from error


def _no_record(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} is no record of schema {SCHEMA} ({printable_name(why)[:200]}); "
        "give a file that bench --json of this version wrote"
    )


def _bounded(value: Any) -> Any:
    """Return a value of JSON with its texts made printable; raise ValueError for what no bench measures."""
    if isinstance(value, dict):
        return {printable_name(key): _bounded(part) for key, part in value.items()}
    if isinstance(value, list):
        if len(value) > _MOST_SAMPLES:
            raise ValueError(f"a list of {len(value)}, at most {_MOST_SAMPLES} are compared")
        return [_bounded(part) for part in value]
    if isinstance(value, int | float) and abs(value) > _LARGEST:
        raise ValueError("a number that nothing has")
    return printable_name(value) if isinstance(value, str) else value
