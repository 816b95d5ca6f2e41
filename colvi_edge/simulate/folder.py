"""A folder of synthetic images, of both classes in turn, and on demand with their masks."""

from collections.abc import Callable
from pathlib import Path

from colvi_edge.simulate.culture import DIFFICULTY
from colvi_edge.simulate.images import image_seed, refuse_foreign, simulate_projection, write_imagej
from colvi_edge.simulate.masks import simulate_mask, write_mask
from colvi_edge.tasks.classify import CLASSES

MASKS = "masks"
"""The sub-folder of the masks; each is called as its image."""


def simulate_folder(
    out: Path,
    images: int,
    *,
    difficulty: float = DIFFICULTY,
    severity: float | None = None,
    seed: int = 0,
    masks: bool = False,
    progress: Callable[[Path], None] = lambda path: None,
) -> list[Path]:
    """Write so many projections, in turn to OUT/control and OUT/patient, and return their paths.

    Image k is the same whatever `images` and `masks` are. With `masks`, OUT/masks gets one for each image,
    before the image is there. `progress` is called with each path of an image written.

    Raises:
        UsageError: a file that was not written here has one of the names, or a knob is out of
            range; nothing is written then.
        OutputError: one cannot be written.
    """
    targets = [out / CLASSES[k % 2] / f"{CLASSES[k % 2]}_{seed}_{k:04}.tif" for k in range(images)]
    mask_of = {path: out / MASKS / path.name for path in targets} if masks else {}
    for path in (*targets, *mask_of.values()):
        refuse_foreign(path)
    for k, path in enumerate(targets):
        label, drawn = CLASSES[k % 2], image_seed(seed, k)
        if masks:
            write_mask(mask_of[path], simulate_mask(label, drawn, difficulty=difficulty, severity=severity))
        write_imagej(path, simulate_projection(label, drawn, difficulty=difficulty, severity=severity))
        progress(path)
    return targets
