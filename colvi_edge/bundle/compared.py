"""How regions and objects of one network differ from another's: what a gate measured."""

from typing import Annotated

from pydantic import Field

from colvi_edge.bundle.parts import Count, Counted, Part, Text

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[float, Field(ge=0, le=10**6)]


class RegionsCompared(Part):
    """The regions of one class, over some images."""

    name: Text
    images: Counted = Field(description="Those of which the reference gives the class 0.1 % or more.")
    median_dice: Share = Field(description="Over these images; 1 if there are none.")
    worst_dice: Share
    largest_dshare: float = Field(ge=0, le=100, description="Of an image's area, over all images, points.")
    boundary_p95_px: Pixels = Field(
        description="95 of 100 boundary pixels of all images, both ways, lie so near to the other's boundary."
    )

    @property
    def median_iou(self) -> float:
        """Intersection over union at the median."""
        return iou_of(self.median_dice)

    @property
    def worst_iou(self) -> float:
        """Intersection over union of the worst image."""
        return iou_of(self.worst_dice)


class ObjectsCompared(Part):
    """The objects of all classes, over some images; a pair shares more than half of its union."""

    reference: Counted
    found: Counted
    matched: Counted
    median_diameter_moves: float = Field(
        ge=0,
        le=1000,
        description="Of those that touch no border, over the reference's; the largest of classes.",
    )

    @property
    def f1(self) -> float:
        """Of the matched among both, 0..1; 1 if there are none."""
        both = self.reference + self.found
        return 2 * self.matched / both if both else 1.0

    @property
    def flips(self) -> int:
        """Objects without a partner, both ways."""
        return self.reference + self.found - 2 * self.matched


class JoinsCompared(Part):
    """Windows joined, against the image as a whole on the same runtime; or blended ones by their steps.

    All None: there are joins, and no image to measure them on.
    """

    largest_dp: float | None = Field(
        default=None, ge=0, le=1000, description="Of FP32, whose joins nothing but the order of sums moves."
    )
    flips: Counted | None = Field(default=None, description="Pixels of another class.")
    step: float | None = Field(
        default=None, ge=0, le=1000, description="Across blended joins, as a multiple of those elsewhere."
    )


class SegmentComparison(Part):
    """How the results of one network differ from the reference's, over some images."""

    images: Count
    broken: Counted = Field(
        default=0, description="Images whose outputs are no probabilities; in nothing else."
    )
    regions: tuple[RegionsCompared, ...] = Field(max_length=63, description="In the order of the classes.")
    objects: ObjectsCompared | None = None
    joins: JoinsCompared | None = Field(default=None, description="Absent where there are none.")


def iou_of(dice: float) -> float:
    """Return the intersection over union, 0..1, of two masks of a Dice coefficient."""
    return dice / (2 - dice)
