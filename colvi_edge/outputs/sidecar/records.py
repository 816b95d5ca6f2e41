"""The records themselves: of a judged image, of a failure, and of a file that holds several images."""

from collections import Counter
from itertools import chain
from typing import Literal, cast
from uuid import UUID

from pydantic import (
    Field,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bundle.task import ClassWord
from colvi_edge.outputs.sidecar.cells import Cells, Tally, check_cells, check_place
from colvi_edge.outputs.sidecar.parts import (
    EngineRecord,
    FamiliarityMeasure,
    Image,
    Model,
    OutputFile,
    QualityFlag,
    Software,
)
from colvi_edge.outputs.sidecar.patches import Patches, Votes
from colvi_edge.outputs.sidecar.regions import ObjectsRecord, RegionRecord, TaskRecord, check_regions
from colvi_edge.outputs.sidecar.values import (
    MAX_IMAGES,
    MAX_REVISION,
    FileName,
    Label,
    Moment,
    Number,
    Probability,
    Sha256,
    SidecarPart,
    Slot,
    Text,
    Word,
)
from colvi_edge.tasks.classify import VOTES, Vote

_TALLY = TypeAdapter[Tally](Tally)


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
    task: TaskRecord | None = Field(
        default=None, description="Since 2; absent where control is told from patient, by the majority."
    )
    diagnosis: ClassWord | None = Field(default=None, description="A class, or unsure. Absent when rejected.")
    score: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="100 x control votes / patches; absent when rejected. With a task: of a threshold 100 x "
        "the mean probability of its class, else 100 x the share of the votes for the class of a share, for "
        "the first of two classes, or of more for the one that has most.",
    )
    votes: Votes | Tally | None = Field(
        default=None,
        union_mode="left_to_right",
        description="Absent when rejected. With a task: of each of its classes, and tie.",
    )
    patches: Patches | Cells | None = Field(
        default=None, union_mode="left_to_right", description="Absent when rejected."
    )
    regions: list[RegionRecord] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Since 2; in place of a diagnosis where the task is to segment.",
    )
    objects: ObjectsRecord | None = Field(
        default=None, description="Since 2; where the task is to segment and to tell single objects apart."
    )
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

    @field_validator("votes", mode="wrap")
    @classmethod
    def _votes_of_the_task(
        cls, votes: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Votes | Tally | None:
        """Read the votes of a task as such, also where its classes are named control, patient and another."""
        if isinstance(votes, dict) and info.data.get("task") is not None:
            return _TALLY.validate_python(votes)
        return cast(Votes | Tally | None, handler(votes))

    @model_validator(mode="after")
    def _agree(self) -> "Sidecar":
        """Refuse a record whose diagnosis is not that of its patches: it would be shown as one."""
        if len({output.name for output in self.outputs}) < len(self.outputs):
            raise ValueError("expected each output once")
        if self.task is not None and self.task.kind == "segment":
            self._check_segment(self.task)
            return self
        if self.regions is not None or self.objects is not None:
            raise ValueError("expected regions and objects only where the task is to segment")
        if self.votes is None or self.patches is None or self.diagnosis is None or self.score is None:
            if self.status == "ok" or (self.votes, self.patches, self.diagnosis, self.score) != (None,) * 4:
                raise ValueError("expected diagnosis, score, votes and patches, or none of them if rejected")
            return self
        if self.task is not None or isinstance(self.votes, dict) or isinstance(self.patches, Cells):
            if self.task is None or not isinstance(self.votes, dict) or not isinstance(self.patches, Cells):
                raise ValueError("expected a task with the votes and the cells of its classes")
            if self.status != "ok":
                raise ValueError("expected no diagnosis of an image that was rejected")
            check_place(self.patches, self.image)
            check_cells(self.task, self.patches, self.votes, self.diagnosis, self.score)
            return self
        counts: Counter[Vote] = Counter(chain.from_iterable(self.patches.vote))
        control, patient, tie = (counts[vote] for vote in VOTES)
        majority = "unsure" if control == patient else "control" if control > patient else "patient"
        found = (self.status, self.diagnosis, self.votes.control, self.votes.patient, self.votes.tie)
        if found != ("ok", majority, control, patient, tie):
            raise ValueError("expected the diagnosis and the votes of the patches")
        if abs(self.score - 100 * control / counts.total()) > 1e-6:
            raise ValueError("expected the score to be the share of control votes")
        return self

    def _check_segment(self, task: TaskRecord) -> None:
        if (self.votes, self.patches, self.diagnosis, self.score) != (None,) * 4:
            raise ValueError("expected no diagnosis where the task is to segment")
        if (self.regions is None) != (self.status == "rejected"):
            raise ValueError("expected regions, or none if rejected")
        if self.regions is not None:
            check_regions(task, self.regions, self.objects, self.image.pixel_size_um)
        elif self.objects is not None:
            raise ValueError("expected objects in regions")


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
