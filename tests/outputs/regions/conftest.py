"""A segmentation to view: ellipses of two classes, one with a hole, some at the border, measured here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from skimage.measure import label, regionprops

from colvi_edge.outputs.regions.recorded import recorded
from colvi_edge.outputs.sidecar import Sidecar
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


@pytest.fixture(scope="session")
def make_segmentation() -> Callable[..., Segmentation]:
    """Return `a_segmentation`; as a fixture, because test modules cannot import each other."""
    return a_segmentation


def a_segmentation(planes: int = 1, **how: Any) -> Segmentation:
    """Return a segmentation of some planes; see `segmented`."""
    return segmented(classes_of(planes), **how)


@pytest.fixture(scope="session")
def make_record(make_sidecar: Callable[..., Sidecar]) -> Callable[..., Sidecar]:
    """Return a function that gives the sidecar of a segmentation."""

    def record(result: Segmentation, **changes: Any) -> Sidecar:
        planes, height, width = result.labels.shape
        known = result.regions[0].area_um2 is not None
        rejected = make_sidecar(None)
        image = rejected.image.model_copy(
            update={
                "shape": [planes, height, width],
                "axes": "ZYX",
                "channels": ["intensity"],
                "planes": planes,
                "pixel_size_um": PIXEL_UM if known else None,
            }
        )
        fields = {"status": "ok", "image": image, **recorded(result, "largest"), **changes}
        return make_sidecar(None, **fields)

    return record
