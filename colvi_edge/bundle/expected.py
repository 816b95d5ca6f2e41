"""What a network's training images were like, as far as later images are compared with them."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from colvi_edge.bundle.parts import MOST, Count, FileName, Measured, Part, PixelSize


class Expected(Part):
    """What the training images were like; other images are flagged, never changed."""

    pixel_size_um: PixelSize | None = None
    planes: Count | None = None
    patches_at_least: Count = Field(
        default=16, description="A majority of fewer is that of a corner of the culture; in schema 2."
    )


MeasureName = Literal[
    "nuclei_background",
    "nuclei_size",
    "nuclei_speckle",
    "straight_lines",
    "collagen_structure",
]
"""What images are compared by with those of the training; see `quality.familiarity`."""


class FamiliarityLimits(Part):
    """Between what a measure of an image of the assay lies, in the measure's own unit.

    The measures are positive; `low` of a wide spread is below what any image has.
    """

    low: Measured
    typical: Measured
    high: Measured

    @model_validator(mode="after")
    def _in_order(self) -> "FamiliarityLimits":
        if not self.low <= self.typical <= self.high:
            raise ValueError(
                f"expected low <= typical <= high, found {self.low}, {self.typical}, {self.high}"
            )
        return self


class Familiarity(Part):
    """What the training images measured, and how far from it an image may be; see `quality.familiarity`."""

    images: int = Field(
        ge=4, le=MOST, description="Those with collagen outside the cells; fewer give wider limits."
    )
    pixels: int = Field(
        ge=1, le=2**32, description="Of a typical one; in smaller images the limits are wider."
    )
    coverage: float = Field(
        gt=0, lt=1, description="Share of images of the assay within the tolerance limits"
    )
    confidence: float = Field(gt=0, lt=1, description="that is met with this probability (normal tail).")
    stretched: float = Field(
        ge=1,
        le=1000,
        description="How much wider the limits are than those, for other days and other cultures;",
    )
    structure_stretched: float = Field(ge=1, le=1000, description="the same of collagen_structure.")
    rejected_left_out: int = Field(
        ge=0,
        le=MOST,
        description="Training images that limits made without them would reject (cross-validation).",
    )
    limits: dict[MeasureName, FamiliarityLimits]
    references: FileName = Field(
        description="(M, 10) float32, .npy: the collagen's structure in the training images, and after them "
        "in what the disease could have made of some of them."
    )

    @model_validator(mode="after")
    def _complete(self) -> "Familiarity":
        if missing := sorted(set(get_args(MeasureName)) - set(self.limits)):
            raise ValueError(f"limits lack {', '.join(missing)}")
        return self
