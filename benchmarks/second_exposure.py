"""What does a second exposure of the same nuclei change, and what does a precision beside it?

usage: nice python benchmarks/second_exposure.py [--model demo-nuclei] [--images 40] [--precisions int8]

Each culture is drawn twice: the light is the same, photons and read noise are counted anew. Both are outlined
in FP32 and compared as the gate compares; so is what other precisions of a bundle make of the first exposure.
The limits of the gate (`SegmentTolerance`) are set by what the exposure changes. Prints both, and writes
results/second-exposure.json.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bench.measuring.machine import describe
from colvi_edge.bundle import open_bundle
from colvi_edge.bundle.compared import SegmentComparison
from colvi_edge.choices import DEMO_NUCLEI, EngineName, PrecisionChoice
from colvi_edge.export.evaluation.outlining import open_outliner
from colvi_edge.simulate import image_seed, simulate_planes, simulate_projection
from colvi_edge.simulate.images import CHANNELS
from colvi_edge.tasks.classify import CLASSES
from colvi_edge.tasks.segment import Segmentation, SegmentTolerance
from colvi_edge.tasks.segment.comparison import compare

UNSEEN = 34359738368
"""Seed of images that had no part in training, in its evaluation or in the calibration of INT8."""

RESULTS = Path(__file__).parent / "results" / "second-exposure.json"

Image = NDArray[Any]


def exposures(seed: int, number: int) -> tuple[Image, Image]:
    """Return a culture exposed twice, (2, H, W) each: a projection has the light of the planes' sum."""
    label, drawn = CLASSES[number % len(CLASSES)], image_seed(seed, number)
    planes = simulate_planes(label, drawn).sum(axis=0, dtype=np.uint32)
    return simulate_projection(label, drawn), planes.astype(np.uint16)


def outlined(model: str, precision: str, images: list[Image]) -> list[Segmentation]:
    """Return what a precision of a model makes of images (2, H, W); a checkpoint knows FP32 only."""
    chosen = PrecisionChoice.AUTO if Path(model).is_file() else PrecisionChoice(precision)
    with open_outliner(model, EngineName.AUTO, chosen) as outliner:
        wanted = [CHANNELS.index(role) for role in outliner.layout]
        return [outliner.outline(image[wanted][np.newaxis], None) for image in images]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEMO_NUCLEI)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=UNSEEN)
    parser.add_argument("--precisions", nargs="*", default=["int8"])
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    first, second = zip(*(exposures(options.seed, n) for n in range(options.images)), strict=True)
    reference = outlined(options.model, "fp32", list(first))
    changes = {"second exposure": compare(reference, outlined(options.model, "fp32", list(second)))}
    for precision in options.precisions:
        changes[precision] = compare(reference, outlined(options.model, precision, list(first)))
    for name, change in changes.items():
        print(
            f"{name}: {told(change)}; {'; '.join(SegmentTolerance().faults(change)) or 'within the limits'}"
        )
    record = {
        "machine": describe(options.json.parent).model_dump(),
        "model": options.model,
        "model_sha256": _sha256(options.model),
        "images": options.images,
        "seed": options.seed,
        "changes": {name: change.model_dump(mode="json") for name, change in changes.items()},
    }
    options.json.write_text(json.dumps(record, indent=2) + "\n")


def _sha256(model: str) -> str:
    """Return what a record says of a bundle, or of a checkpoint's file."""
    path = Path(model)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else open_bundle(model).sha256


def told(change: SegmentComparison) -> str:
    """Return a comparison in a line."""
    (region,), objects = change.regions, change.objects
    line = (
        f"Dice {region.median_dice:.4f} (worst {region.worst_dice:.4f}), "
        f"area {region.largest_dshare:.3f} points, "
        f"boundary {region.boundary_p95_px:.2f} px"
    )
    if objects is None:
        return line
    return (
        f"{line}, F1 {objects.f1:.4f}, {objects.flips} of {objects.reference} without partner, "
        f"diameter {objects.median_diameter_moves:.2%}"
    )


if __name__ == "__main__":
    main()
