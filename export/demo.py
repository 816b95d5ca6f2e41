"""Train the demo checkpoint on synthetic projections: the model that colvi-edge ships.

Reproducible from its seed: `make demo-bundle` runs this, then `colvi-edge export`. The test images come from
a series of their own, and none of the three series can be had with `colvi-edge simulate`.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colvi_edge.culture import DIFFICULTY
from colvi_edge.simulate import CHANNELS, LABELS, simulate_projection

from .checkpoint import Checkpoint, save_checkpoint
from .evaluation import evaluate
from .patch_set import LAYOUT, PatchSet, collect_patches
from .training import Settings, train

DEMO_CHECKPOINT = Path(__file__).with_name("demo.pt")
"""The checkpoint of the shipped model; it lies in the repository and is not installed."""

SERIES = {"training": 144, "validation": 24, "test": 40}
"""Images of each series, half of them controls."""

SETTINGS = Settings(epochs=7)


def make_demo_checkpoint(
    path: Path,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
    images: dict[str, int] = SERIES,
    settings: Settings = SETTINGS,
) -> Checkpoint:
    """Simulate, train, test and write the checkpoint; 17 minutes on two busy cores.

    Args:
        path: of the checkpoint, .pt.
        seed: of everything random.
        progress: called with a line for a person after each step.
        images: of each series of SERIES.
        settings: of the training; their seed is replaced.
    """
    sets = {}
    for number, (series, count) in enumerate(images.items()):
        sets[series] = simulate_patches((seed, number + 1), count)
        progress(f"{series}: {count} synthetic images, {len(sets[series].label)} patches")
    checkpoint = train(
        sets["training"],
        sets["validation"],
        replace(settings, seed=seed),
        progress=lambda epoch: progress(
            f"epoch {epoch.number}: loss {epoch.training_loss:.3f}, validation loss "
            f"{epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}"
        ),
    )
    tested = evaluate(checkpoint, sets["test"])
    facts = {"data": "synthetic (colvi-edge simulate)", "difficulty": DIFFICULTY, "series": dict(images)}
    checkpoint = replace(checkpoint, training={**checkpoint.training, **facts, "test": asdict(tested)})
    save_checkpoint(path, checkpoint)
    progress(f"test: {tested}, scores {[round(score) for score in tested.scores]}")
    return checkpoint


def simulate_patches(entropy: tuple[int, ...], images: int) -> PatchSet:
    """Return the patches of a series of synthetic projections, in turn control and patient.

    Args:
        entropy: seed of the series; two numbers or more, so that no series of `simulate` is met.
        images: how many.
    """
    order = [CHANNELS.index(role) for role in LAYOUT]

    def draw(k: int) -> tuple[NDArray[np.uint16], str]:
        seed = np.random.SeedSequence(entropy, spawn_key=(k,))
        return simulate_projection(LABELS[k % 2], seed)[np.newaxis, order], LABELS[k % 2]

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy draws and blurs without the interpreter lock
        return collect_patches(threads.map(draw, range(images)))


if __name__ == "__main__":
    make_demo_checkpoint(Path(sys.argv[1]), progress=lambda line: print(line, flush=True))  # noqa: T201
