"""What a bundle answers, and by which rule its network's numbers become the answer."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from colvi_edge.bands import BANDS
from colvi_edge.bundle.parts import Part, Probability

MOST_CLASSES = 64

ClassWord = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}$")]
"""The name of a class: it stands in tables, in names of columns and in other programs."""

Classes = Annotated[tuple[ClassWord, ...], Field(min_length=2, max_length=MOST_CLASSES)]

RESERVED = frozenset({"tie", "unsure", "rejected", "error"})
"""Words that stand in a result where no class does."""


class Majority(Part):
    """The class that most cells vote for; a tie is "unsure" (Bazaga et al. 2019, section 3)."""

    rule: Literal["majority"]


class AtLeast(Part):
    """Of two classes, one from a probability on, the other below."""

    rule: Literal["threshold"]
    of: ClassWord
    at_least: Probability


class Share(Part):
    """Of two classes, one if a share of the cells above a limit votes for it, else the other."""

    rule: Literal["share"]
    of: ClassWord
    above: Probability = Field(description="Equality is not above.")


class Classify(Part):
    """A class for every cell: patch, image or plane of a stack; and one for the image."""

    kind: Literal["classify"]
    classes: Classes = Field(description="In the order of the network's outputs.")
    decision: Annotated[Majority | AtLeast | Share, Field(discriminator="rule")]
    bands: dict[str, float] | None = Field(
        default=None, description="Colours of the first class's probability, and where each begins."
    )

    @field_validator("bands")
    @classmethod
    def _bands_of_the_paper(cls, bands: dict[str, float] | None) -> dict[str, float] | None:
        known = {band.name: band.at_least for band in BANDS}
        if bands is not None and bands != known:
            raise ValueError(f"found bands {bands}, this version draws {known}")
        return bands

    @model_validator(mode="after")
    def _fit(self) -> "Classify":
        _check(self.classes)
        if not isinstance(self.decision, Majority):
            if len(self.classes) != 2:
                raise ValueError(f"the rule {self.decision.rule} tells two classes apart")
            _check_held(self.decision.of, self.classes)
        if self.bands and (self.classes != ("control", "patient") or not isinstance(self.decision, Majority)):
            raise ValueError("bands are the colours of patches of control and patient, by majority")
        return self


class _Tidied(Part):
    """How a map of classes is tidied before regions and objects are found in it."""

    open_px: int = Field(
        default=0, ge=0, le=64, description="Radius of the disc that regions are opened with; 0 for not."
    )
    smallest_px: int = Field(default=0, ge=0, le=10**9, description="Pixels that a piece has at least.")


class Largest(_Tidied):
    """A pixel's class is that of its largest output."""

    rule: Literal["largest"]


class Threshold(_Tidied):
    """A pixel belongs to one class from a probability on, else to the background."""

    rule: Literal["threshold"]
    of: ClassWord
    at_least: Probability
    smooth_px: float = Field(
        default=0, ge=0, le=64, description="Standard deviation by which the probability is smoothed first."
    )


class Objects(Part):
    """How the pieces of a region become objects."""

    split: Literal["none", "radon", "watershed"] = Field(
        default="none", description="How pieces that are several objects are cut."
    )
    depth: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="How deep a neck is, of its shallower side (radon), or of the smaller object's "
        "radius (watershed), that is cut.",
    )


class Segment(Part):
    """A class for every pixel: regions, and the objects in them."""

    kind: Literal["segment"]
    classes: Classes = Field(description="In the order of the network's outputs; the first is background.")
    decision: Annotated[Largest | Threshold, Field(discriminator="rule")]
    objects: Objects | None = Field(default=None, description="Absent where only regions are asked for.")

    @model_validator(mode="after")
    def _fit(self) -> "Segment":
        _check(self.classes)
        if isinstance(self.decision, Threshold):
            if len(self.classes) != 2:
                raise ValueError("the rule threshold tells two classes apart")
            _check_held(self.decision.of, self.classes[1:])
        return self


TaskPart = Annotated[Classify | Segment, Field(discriminator="kind")]


def _check(classes: tuple[str, ...]) -> None:
    if len({name.casefold() for name in classes}) < len(classes) or RESERVED & set(classes):
        raise ValueError(f"classes need names of their own, none of {', '.join(sorted(RESERVED))}")


def _check_held(name: str, classes: tuple[str, ...]) -> None:
    if name not in classes:
        raise ValueError(f"the decision is of {name!r}, expected one of {', '.join(classes)}")
