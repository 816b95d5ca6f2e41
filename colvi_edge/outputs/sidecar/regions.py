"""What a record says where each pixel has a class: the regions of the classes, and the objects in them."""

from itertools import pairwise
from math import isclose
from typing import Literal

from pydantic import Field, model_validator

from colvi_edge.bundle.task import ClassWord
from colvi_edge.outputs.sidecar.values import Count, Number, Probability, SidecarPart, Word

_SAME = 1e-6  # of numbers that say the same, each rounded for itself


class TaskRecord(SidecarPart):
    """What the bundle was asked."""

    kind: Literal["classify", "segment"]
    classes: list[ClassWord] = Field(
        min_length=2,
        max_length=64,
        description="In the order of the network; of a segment the first is none.",
    )
    rule: Word = Field(description="By which the outputs of the network became classes.")
    of: ClassWord | None = Field(default=None, description="The class that a threshold or a share is of.")
    at_least: Probability | None = Field(default=None, description="A threshold, which counts as reached.")
    above: Probability | None = Field(default=None, description="A share, 0..1, which has to be passed.")

    @model_validator(mode="after")
    def _agree(self) -> "TaskRecord":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("expected each class once")
        return self


class RegionRecord(SidecarPart):
    """All that is of one class."""

    name: Word
    pixels: Count = Field(description="Of all planes.")
    share: Probability = Field(description="Of all pixels of all planes.")
    area_um2: Number | None = Field(default=None, ge=0, description="Absent when the pixel size is unknown.")
    parts: Count = Field(description="Pieces that do not hang together, also not at corners.")

    @model_validator(mode="after")
    def _agree(self) -> "RegionRecord":
        if self.parts > self.pixels or bool(self.parts) != bool(self.pixels):
            raise ValueError("expected parts of at least one pixel each")
        return self


class SpreadRecord(SidecarPart):
    """Where the middle of some values lies, and half of them around it."""

    median: Number = Field(ge=0)
    mean: Number = Field(ge=0)
    first_quartile: Number = Field(ge=0)
    third_quartile: Number = Field(ge=0)

    @model_validator(mode="after")
    def _agree(self) -> "SpreadRecord":
        if not self.first_quartile <= self.median <= self.third_quartile:
            raise ValueError("expected the median between the quartiles")
        return self


class ObjectsRecord(SidecarPart):
    """The objects in a few numbers; each has a row in the table and, if they are not too many, an outline."""

    count: Count
    by_class: dict[Word, Count] = Field(max_length=64, description="How many of each class.")
    counted: Count = Field(description="Those that do not touch the border: what follows is of these.")
    diameter_px: SpreadRecord | None = None
    diameter_um: SpreadRecord | None = Field(
        default=None, description="Absent when the pixel size is unknown, or nothing was counted."
    )
    roundness: SpreadRecord | None = None

    @model_validator(mode="after")
    def _agree(self) -> "ObjectsRecord":
        if self.counted > self.count or sum(self.by_class.values()) != self.count:
            raise ValueError("expected as many objects as are of the classes, and no more counted")
        if {self.diameter_px is None, self.roundness is None} != {self.counted == 0}:
            raise ValueError("expected diameter and roundness of what was counted")
        if self.diameter_um is not None and self.diameter_px is None:
            raise ValueError("expected diameters in micrometres of what was counted alone")
        return self


def check_regions(
    task: TaskRecord, regions: list[RegionRecord], objects: ObjectsRecord | None, pixel_size_um: float | None
) -> None:
    """Refuse regions and objects that do not agree with each other.

    Raises:
        ValueError: they do not.
    """
    if [region.name for region in regions] != task.classes[1:]:
        raise ValueError("expected a region of each class but the first")
    if sum(region.share for region in regions) > 1 + _SAME:
        raise ValueError("expected regions of at most the whole image")
    there = [region for region in regions if region.pixels]
    wholes = [region.pixels / region.share if region.share else 0 for region in there]
    if not all(isclose(one, other, rel_tol=_SAME) for one, other in pairwise(wholes)) or 0 in wholes:
        raise ValueError("expected shares of one number of pixels")
    if any(region.share for region in regions if not region.pixels):
        raise ValueError("expected no share without pixels")
    if any((region.area_um2 is None) != (pixel_size_um is None) for region in regions):
        raise ValueError("expected areas where the pixel size is known, and only there")
    pixel_areas = [(region.area_um2 or 0) / region.pixels for region in there]
    if not all(isclose(one, other, rel_tol=_SAME) for one, other in pairwise(pixel_areas)):
        raise ValueError("expected areas of pixels of one size")  # whose height only the raw file tells
    if objects is None:
        return
    if list(objects.by_class) != task.classes[1:]:
        raise ValueError("expected a number of objects for each class but the first")
    for region in regions:
        if bool(objects.by_class[region.name]) != bool(region.pixels):
            raise ValueError("expected objects where there are regions, and only there")
    if (objects.diameter_um is None) != (pixel_size_um is None or objects.counted == 0):
        raise ValueError("expected diameters in micrometres where the pixel size is known, and only there")
