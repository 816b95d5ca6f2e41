"""What `evaluate --json` writes of a network whose classes are not the paper's two: a figure for each class.

What is undefined is null, as in `record`.
"""

from typing import Literal

from pydantic import Field

from .record import Bin, Header, Interval, Model, Part

CellWord = Literal["patch", "image", "slice"]
"""What votes: a patch of an image, the whole image, or a slice of a stack."""


class ClassFigures(Part):
    """How one class was told from all others, each figure 0..1."""

    name: str
    n: int = Field(description="How many are of it.")
    precision: float | None = Field(description="Share of it among all that were judged it.")
    recall: float | None = Field(description="Share of it that was judged it.")
    f1: float | None = Field(description="Harmonic mean of both.")
    auc: float | None = Field(description="Area below the ROC curve of it against the rest.")
    recall_interval: Interval | None = Field(default=None, description="95 %; null for what votes.")


class ClassLevel(Part):
    """How cells, or images, were judged."""

    confusion: tuple[tuple[int, ...], ...] = Field(
        description="[true class][judged class], in the order of the classes; the last column is undecided."
    )
    accuracy: float
    accuracy_interval: Interval | None = Field(default=None, description="95 %; null for what votes.")
    balanced_accuracy: float = Field(description="Mean recall of the classes that are there.")
    f1: float = Field(description="Mean F1 of the classes that are there.")
    classes: tuple[ClassFigures, ...]

    @property
    def n(self) -> int:
        """All that was judged."""
        return sum(map(sum, self.confusion))

    @property
    def right(self) -> int:
        """What was judged right."""
        return sum(row[number] for number, row in enumerate(self.confusion))

    @property
    def undecided(self) -> int:
        """What was judged none of the classes."""
        return sum(row[-1] for row in self.confusion)


class ImageOfClass(Part):
    """One image."""

    name: str
    truth: str
    diagnosis: str
    score: float = Field(description="See `score_of`.")

    @property
    def right(self) -> bool:
        """Whether the diagnosis is the truth."""
        return self.diagnosis == self.truth


class ClassesRecord(Header):
    """One model of any classes on one dataset."""

    schema_: Literal["colvi-edge.evaluation-of-classes/1"] = Field(
        default="colvi-edge.evaluation-of-classes/1", alias="schema"
    )
    model: Model
    classes: tuple[str, ...]
    rule: str = Field(description="majority, threshold or share.")
    score_of: str = Field(description="What a score of 100 means.")
    of: CellWord = Field(description="What votes.")
    cells: ClassLevel | None = Field(description="Null where each image is one vote.")
    image: ClassLevel
    calibration_error: float = Field(description="Expected, of what votes, in ten bins.")
    reliability: tuple[Bin, ...]
    images: tuple[ImageOfClass, ...]
