"""How far networks that should decide alike are apart, as a manifest records it."""

from pydantic import Field

from colvi_edge.bundle.compared import SegmentComparison
from colvi_edge.bundle.parts import MOST, Count, Part, Text


class Comparison(Part):
    """How a network's probabilities differ from the reference's, over some images: |delta| of p and score."""

    patches: Count
    broken: int = Field(default=0, ge=0, le=MOST, description="Patches whose outputs are no probabilities.")
    agreement: float = Field(ge=0, le=1, description="Share of patches with the same vote.")
    band_flips: float = Field(ge=0, le=1, description="Share of patches with another band; 0 without bands.")
    diagnosis_flips: int = Field(
        ge=0, le=MOST, description="Images with another diagnosis, the undecided ones aside."
    )
    largest_dp: float = Field(ge=0, le=1000, description="Over all classes.")
    p99_dp: float = Field(ge=0, le=1000)
    largest_dscore: float = Field(ge=0, le=1000, description="Over the images, points.")


class _Measured(Part):
    """What was compared."""

    runtime: Text
    version: Text
    images: Count


class Parity(Comparison, _Measured):
    """How far one precision on one runtime was from torch in FP32, on images of the export."""

    faults: tuple[Text, ...] = Field(
        max_length=100, description="What was beyond tolerance; empty for a pass."
    )


class SegmentParity(SegmentComparison, _Measured):
    """The same where each pixel has a class."""

    faults: tuple[Text, ...] = Field(max_length=100)
