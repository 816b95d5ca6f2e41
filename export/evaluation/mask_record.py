"""What `evaluate --json` writes of a network that outlines regions, and objects in them.

What is undefined is null, as in `record`.
"""

from typing import Literal

from pydantic import Field

from .record import Division, Header, Model, Part


class RegionFigures(Part):
    """How one class was outlined, each figure 0..1; see `overlap`."""

    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None


class RegionOf(Part):
    """One class but the background."""

    name: str
    pooled: RegionFigures = Field(description="Of the pixels of all images together.")
    mean: RegionFigures = Field(description="Mean over the images in which it is, or was found.")
    images: int = Field(description="So many.")


class ObjectsOf(Part):
    """How objects were found; see `matching`."""

    there: int = Field(description="Objects of the truth.")
    found: int
    matched: int = Field(description="Pairs whose intersection is at least half of their union.")
    f1: float | None
    precision: float | None
    recall: float | None
    aji: float | None = Field(description="Aggregated Jaccard index.")
    count_error: float | None = Field(description="(found - there) / there.")
    diameter_error: float | None = Field(
        description="Mean of 1 - min / max of the diameters of a pair, those at the border left out."
    )


class ObjectFigures(Part):
    """Objects of all images."""

    pooled: ObjectsOf = Field(description="Of all images together.")
    mean_f1: float | None = Field(description="Mean over the images that hold objects, or were said to.")
    mean_aji: float | None = Field(description="Likewise.")
    mean_count_error: float | None = Field(description="Mean of its size over the images that hold objects.")


class ImageOutlined(Part):
    """One image."""

    name: str
    dice: tuple[float | None, ...] = Field(description="Of each class but the background.")
    objects: ObjectsOf | None = Field(description="Null where nobody numbered them, or the network does not.")


class MasksRecord(Header):
    """One model that segments, on one dataset of images with masks."""

    schema_: Literal["colvi-edge.evaluation-of-masks/1"] = Field(
        default="colvi-edge.evaluation-of-masks/1", alias="schema"
    )
    model: Model
    regions: tuple[RegionOf, ...] = Field(description="Of every class but the background.")
    objects: ObjectFigures | None
    images: tuple[ImageOutlined, ...] = Field(min_length=1)
    divisions: tuple[Division, ...] = Field(
        default=(), description="Of a training: which images were for what; empty of an evaluation."
    )
