"""How far a network's form is from the one that was trained, as the export measured it, by task."""

from typing import Annotated

from pydantic import Field

from colvi_edge.bundle.parts import MOST, Count, Counted, Part, Text

_Share = Annotated[float, Field(ge=0, le=1)]
_Points = Annotated[float, Field(ge=0, le=1000)]


class Comparison(Part):
    """How a network's probabilities differ from the reference's, over some images: |delta| of p and score."""

    patches: Count
    broken: int = Field(default=0, ge=0, le=MOST, description="Patches whose outputs are no probabilities.")
    agreement: float = Field(ge=0, le=1, description="Share of patches with the same vote.")
    band_flips: float = Field(ge=0, le=1, description="Share of patches with another band.")
    diagnosis_flips: int = Field(
        ge=0, le=MOST, description="Images with another diagnosis, the undecided ones aside."
    )
    largest_dp: float = Field(ge=0, le=1000, description="Over both classes.")
    p99_dp: float = Field(ge=0, le=1000)
    largest_dscore: float = Field(ge=0, le=1000, description="Over the images, points.")


class SegmentComparison(Part):
    """How a network's maps differ from the reference's, over images and all classes but the background."""

    pixels: Count
    broken: Counted = Field(default=0, description="Images whose outputs are no probabilities.")
    median_dice: _Share | None = Field(
        default=None,
        description="Of each class in each image that it covers 0.1 % of or more; absent where none does.",
    )
    worst_dice: _Share | None = Field(default=None, description="The least of these.")
    largest_dshare: _Points = Field(description="Of the share of an image that a class covers, points.")
    boundary_px: _Points = Field(
        description="95 % of the boundary of a class in an image moves by at most so much; the most of all."
    )
    object_f1: _Share | None = Field(
        default=None, description="Of objects that overlap by half of both together (IoU 0.5)."
    )
    unmatched: Counted | None = Field(default=None, description="Objects without a partner, both ways.")
    miscounted: Counted | None = Field(
        default=None, description="Images with more of them than 1 %, and than one."
    )
    diameter_shift: _Points | None = Field(
        default=None, description="Of the median diameter of all objects, as a share of it."
    )
    joins_dp: _Points | None = Field(
        default=None, description="Largest difference of windows to the image as a whole, on this runtime."
    )
    joins_flips: Counted | None = Field(default=None, description="Pixels of another class, likewise.")
    joins_step: _Points | None = Field(
        default=None, description="Of blended windows: steps across joins, as a multiple of those elsewhere."
    )


class _Measured(Part):
    """What was compared."""

    runtime: Text
    version: Text
    images: Count
    faults: tuple[Text, ...] = Field(
        max_length=100, description="What was beyond tolerance; empty for a pass."
    )


class Parity(Comparison, _Measured):
    """How far one precision on one runtime was from torch in FP32, on images of the export."""


class SegmentParity(SegmentComparison, _Measured):
    """The same of a network that answers for each pixel."""
