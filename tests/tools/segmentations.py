"""Segmentations to view: ellipses of two classes, one with a hole, some at the border, measured here.

What is found is not ours: scikit-image's labels and measures.
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from skimage.measure import label, regionprops

from colvi_edge.choices import OverlayChoice
from colvi_edge.outputs.result import write_result
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import EngineRecord, Image, Model, Sidecar, Software, TaskRecord
from colvi_edge.pipeline.answers import regions_found
from colvi_edge.system.writing import hold_folder
from colvi_edge.tasks.objects import ObjectMeasures, Objects
from colvi_edge.tasks.segment import Region, Segmentation

PIXEL_UM = 0.25
CLASSES = ("background", "nucleus", "vesicle")


def classes_of(planes: int = 1, shape: tuple[int, int] = (160, 220)) -> NDArray[np.uint8]:
    """Return a map of classes (Z, H, W): 20 ellipses a plane, some vesicles, some with a hole."""
    rng = np.random.default_rng(7)
    found = np.zeros((planes, *shape), np.uint8)
    for plane in found:
        picture = Picture.new("L", shape[::-1])
        pen = ImageDraw.Draw(picture)
        for number in range(20):
            x, y = 44 * (number % 5) + rng.uniform(4, 22), 40 * (number // 5) + rng.uniform(4, 18)
            a, b = rng.uniform(6, 13, 2)
            pen.ellipse((x - a, y - b, x + a, y + b), fill=1 + (number % 3 == 0))
            if number % 4 == 0:
                pen.ellipse((x - a / 2, y - b / 2, x + a / 2, y + b / 2), fill=0)
        plane[...] = np.asarray(picture)
    return found


def measured(classes: NDArray[np.uint8], pixel_um: float | None) -> Objects:
    """Return the objects of a map of classes, as scikit-image finds and measures them."""
    labels = np.zeros(classes.shape, np.int32)
    rows: list[ObjectMeasures] = []
    for plane, of in enumerate(classes):
        pieces = label(of, connectivity=2)
        for one in regionprops(pieces):
            labels[plane][pieces == one.label] = len(rows) + 1
            top, left, bottom, right = one.bbox
            diameter = float(one.equivalent_diameter_area)
            rows.append(
                ObjectMeasures(
                    label=len(rows) + 1,
                    class_index=int(of[tuple(one.coords[0])]),
                    plane=plane,
                    x=float(one.centroid[1]),
                    y=float(one.centroid[0]),
                    area_px=int(one.area),
                    area_um2=one.area * pixel_um**2 if pixel_um else None,
                    diameter_px=diameter,
                    diameter_um=diameter * pixel_um if pixel_um else None,
                    roundness=min(1.0, float(4 * one.area / np.pi / one.axis_major_length**2)),
                    circularity=min(1.0, float(4 * np.pi * one.area / one.perimeter_crofton**2)),
                    mean_probability=0.9,
                    touches_border=top == 0 or left == 0 or bottom == of.shape[0] or right == of.shape[1],
                )
            )
    return Objects(labels, tuple(rows))


def segmented(
    classes: NDArray[np.uint8], pixel_um: float | None = PIXEL_UM, with_objects: bool = True
) -> Segmentation:
    """Return the segmentation that a map of classes (Z, H, W) is."""
    regions = []
    for index, name in enumerate(CLASSES[1:], 1):
        pixels = int((classes == index).sum())
        parts = sum(int(label(plane == index, connectivity=2).max()) for plane in classes)
        area = pixels * pixel_um**2 if pixel_um else None
        regions.append(Region(name, pixels, pixels / classes.size, area, parts))
    return Segmentation(
        CLASSES,
        classes,
        np.where(classes > 0, 230, 20).astype(np.uint8),
        tuple(regions),
        measured(classes, pixel_um) if with_objects else None,
    )


def record_of(result: Segmentation, name: str = "cells_01.tif", **changes: Any) -> Sidecar:
    """Return the record of a segmentation; changes replace its fields."""
    known = result.regions[0].area_um2 is not None
    image = Image(
        name=name,
        bytes=1000,
        sha256="ab" * 32,
        axes="ZYX",
        shape=list(result.labels.shape),
        dtype="uint16",
        planes=len(result.labels),
        pixel_size_um=PIXEL_UM if known else None,
        channels=["intensity"],
    )
    fields: dict[str, Any] = {
        "result_id": UUID("12345678-1234-5678-9234-567812345678"),
        "status": "ok",
        "task": TaskRecord(kind="segment", classes=list(result.classes), rule="largest"),
        **regions_found(result),
        "coverage": 1.0,
        "quality": [],
        "outputs": [],
        "image": image,
        "model": Model(name="by its masks", version="1.0", sha256="cd" * 32),
        "engine": EngineRecord(
            runtime="openvino", version="2026.4", precision="fp32", device="CPU", reason="the only one here"
        ),
        "timings_ms": {"read": 1.25},
        "software": Software(version="0.1.0"),
        "created": datetime(2026, 11, 29, 12, 0, tzinfo=timezone.utc),
    }
    return Sidecar(**{**fields, **changes})


def leave(
    folder: Path,
    record: Sidecar,
    result: Segmentation | None,
    projection: NDArray[np.uint16] | None = None,
    overlay: OverlayChoice = OverlayChoice.PNG,
) -> Sidecar:
    """Write the files of a result into a folder, above noise or a projection (H, W); return its record."""
    height, width = result.labels.shape[1:] if result else (160, 220)
    if projection is None:
        projection = np.random.default_rng(1).poisson(90, (height, width)).astype(np.uint16)
    shown = Shown(projection[np.newaxis], ("intensity",))
    with hold_folder(folder, "results") as folder_fd:
        name = record.image.name
        return write_result(folder_fd, name, record, shown, lambda: None, overlay, result=result).sidecar
