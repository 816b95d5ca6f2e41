"""How well does a bundle outline the nuclei of unseen simulated images, and how many does it count?

usage: nice python benchmarks/nuclei.py [--bundle demo-nuclei] [--images 40] [--precision int8,fp32]

Images are drawn in memory, of both classes in turn, and held against the masks of what was drawn: overlap of
the pixels, objects at an IoU of 0.5, counts, diameters. Prints a row for each precision and writes
results/nuclei.json, whose times are of the machine that ran it, which the record does not name.
"""

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from colvi_edge.choices import DEMO_NUCLEI, EngineName, PrecisionChoice
from colvi_edge.export.evaluation.mask_figures import Outlined, masks_record, outlined
from colvi_edge.export.evaluation.outlining import open_outliner
from colvi_edge.export.evaluation.record import Dataset
from colvi_edge.simulate import image_seed, simulate_mask, simulate_projection
from colvi_edge.simulate.images import CHANNELS
from colvi_edge.tasks.classify import CLASSES

UNSEEN = 30064771072
"""Seed of images that had no part in training, in choosing the epoch or in the calibration of INT8."""

RESULTS = Path(__file__).parent / "results" / "nuclei.json"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default=DEMO_NUCLEI)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=UNSEEN)
    parser.add_argument("--precision", default="int8,fp32")
    options = parser.parse_args()
    found = measured(options.bundle, options.precision.split(","), options.seed, options.images)
    for word, record in found.items():
        print(row(word, record))
    RESULTS.write_text(json.dumps({"seed": options.seed, "precisions": found}, indent=1) + "\n")


def measured(bundle: str, words: Sequence[str], seed: int, images: int) -> dict[str, dict[str, Any]]:
    """Return for each precision the record of an evaluation on fresh images, and their median time, ms."""
    held: dict[str, list[Outlined]] = {word: [] for word in words}
    took: dict[str, list[float]] = {word: [] for word in words}
    with ExitStack() as running:
        outliners = {
            word: running.enter_context(open_outliner(bundle, EngineName.AUTO, PrecisionChoice(word)))
            for word in words
        }
        for number in range(images):
            label, drawn = CLASSES[number % len(CLASSES)], image_seed(seed, number)
            projection, objects = (
                simulate_projection(label, drawn),
                simulate_mask(label, drawn).astype(np.int32),
            )
            for word, outliner in outliners.items():
                planes = projection[np.newaxis, [CHANNELS.index(role) for role in outliner.layout]]
                began = time.perf_counter()
                found = outliner.outline(planes, None)
                took[word].append(time.perf_counter() - began)
                said = None if found.objects is None else found.objects.labels[0]
                truth = (objects > 0).astype(np.uint8)
                classes = outliner.task.classes
                held[word].append(outlined(str(number), truth, found.labels[0], classes, objects, said))
        dataset = Dataset(name=f"simulated, seed {seed}", is_simulated=True)
        records = {
            word: masks_record(
                held[word], outliner.task.classes, model=outliner.model, dataset=dataset, notes=()
            )
            for word, outliner in outliners.items()
        }
    return {
        word: {
            "median_ms": round(1000 * median(took[word]), 1),
            "fastest_ms": round(1000 * min(took[word]), 1),
            **record.model_dump(mode="json", by_alias=True),
        }
        for word, record in records.items()
    }


def row(word: str, found: dict[str, Any]) -> str:
    """Return a line for people."""
    dice, objects = found["regions"][0]["pooled"]["dice"], found["objects"]
    pooled = objects["pooled"]
    return (
        f"{word}: Dice {dice:.4f}, F1 {pooled['f1']:.4f}, AJI {pooled['aji']:.4f}, {pooled['found']} found "
        f"of {pooled['there']} ({100 * pooled['count_error']:+.2f} %, of an image "
        f"{100 * objects['mean_count_error']:.2f} % in the mean), {found['median_ms']} ms an "
        f"image, at best {found['fastest_ms']}"
    )


if __name__ == "__main__":
    main()
