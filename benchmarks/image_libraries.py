"""Labelling, measuring, smoothing, opening, distances: our own against four libraries in size, time, memory.

usage: python benchmarks/image_libraries.py [--sizes 2048 8192] [--rounds 3] [--json RESULTS]

Run with a Python that has scipy, scikit-image, opencv-python-headless and connected-components-3d beside
colvi-edge; what is not there is left out. Each library works in a process of its own, with one thread, on the
same mask of wavering ellipses (268 in 2048 x 2048 pixels), so that import, time and peak memory are its own.
Times are processor time, for other work on the machine moves the clock's.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results" / "image-libraries.json"

LIBRARIES = {
    "own": (),
    "scipy": ("scipy",),
    "scikit-image": ("scikit-image", "scipy", "networkx", "imageio", "lazy-loader"),
    "opencv": ("opencv-python-headless",),
    "connected-components-3d": ("connected-components-3d",),
}
"""And the packages that each brings along, but for what colvi-edge has."""

OBJECTS, SIGMA, DEPTH = 268, 3.0, 0.15

Operations = dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], object]]


def scene(size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a mask (size, size) of ellipses that waver and touch here and there, and probabilities."""
    random = np.random.default_rng(3)
    mask = np.zeros((size, size), np.uint8)
    rows, columns = np.mgrid[-45:46, -45:46]
    for _ in range(OBJECTS * size * size // 2048**2):
        half_minor, turned = random.uniform(8, 18), random.uniform(0, np.pi)
        along = columns * np.cos(turned) + rows * np.sin(turned)
        across = rows * np.cos(turned) - columns * np.sin(turned)
        around = np.arctan2(across, along)
        waver = 1 + 0.04 * np.sin(3 * around + random.uniform(0, 6)) + 0.03 * np.sin(7 * around)
        inside = np.hypot(along / (half_minor * random.uniform(1, 2.4)), across / half_minor) <= waver
        y, x = random.integers(46, size - 46, 2)
        mask[y - 45 : y + 46, x - 45 : x + 46] |= inside
    return mask, np.where(mask, np.uint8(220), np.uint8(20))


def own() -> Operations:
    """Return what the package does itself."""
    from colvi_edge.tasks.objects import find_objects
    from colvi_edge.tasks.objects.runs import components, paint, runs_of
    from colvi_edge.tasks.segment.masks import opened, smoothed_at_least

    def label(mask: NDArray[np.uint8], _: NDArray[np.uint8]) -> object:
        runs, labels = runs_of(mask), np.empty(mask.shape, np.int32)
        paint(runs, components(runs) + 1, labels)
        return labels

    return {
        "label": label,
        "label and measure": lambda mask, p: find_objects(mask[np.newaxis], p[np.newaxis]),
        "smooth": lambda _, p: smoothed_at_least(p, SIGMA, 0.4, 1),
        "open": lambda mask, _: opened(mask, 1),
        "objects, parted by necks": lambda mask, p: find_objects(mask[None], p[None], "radon", DEPTH),
        "objects, parted by saddles": lambda mask, p: find_objects(mask[None], p[None], "watershed", DEPTH),
    }


def scipy() -> Operations:
    """Return scipy's; its watershed is that of the image foresting transform, of 8 bits."""
    from scipy import ndimage

    around = np.ones((3, 3))
    return {
        "label": lambda mask, _: ndimage.label(mask, around),
        "smooth": lambda _, p: ndimage.gaussian_filter(p, SIGMA, output=np.float32),
        "open": lambda mask, _: ndimage.binary_opening(mask, around),
        "distance": lambda mask, _: ndimage.distance_transform_edt(mask),
    }


def scikit_image() -> Operations:
    """Return scikit-image's."""
    from skimage import filters, measure, morphology

    names = ("label", "area", "centroid", "axis_major_length", "perimeter_crofton", "intensity_mean", "bbox")
    return {
        "label": lambda mask, _: measure.label(mask, connectivity=2),
        "label and measure": lambda mask, p: measure.regionprops_table(
            measure.label(mask, connectivity=2), p, properties=names
        ),
        "smooth": lambda _, p: filters.gaussian(p, SIGMA),
        "open": lambda mask, _: morphology.opening(mask, np.ones((3, 3))),
    }


def opencv() -> Operations:
    """Return OpenCV's."""
    import cv2  # type: ignore[import-not-found]

    cv2.setNumThreads(1)
    return {
        "label": lambda mask, _: cv2.connectedComponentsWithStats(mask, connectivity=8),
        "smooth": lambda _, p: cv2.GaussianBlur(p.astype(np.float32), (0, 0), SIGMA),
        "open": lambda mask, _: cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)),
        "distance": lambda mask, _: cv2.distanceTransform(mask, cv2.DIST_L2, 0),
    }


def connected_components() -> Operations:
    """Return the one thing that connected-components-3d does."""
    import cc3d  # type: ignore[import-not-found]

    return {"label": lambda mask, _: cc3d.connected_components(mask, connectivity=8)}


MAKERS = {
    "own": own,
    "scipy": scipy,
    "scikit-image": scikit_image,
    "opencv": opencv,
    "connected-components-3d": connected_components,
}


def measured(library: str, size: int, rounds: int) -> dict[str, Any]:
    """Return what a library takes here, in this process, of which it is the only one."""
    mask, probability = scene(size)
    before = _memory_mb()
    started = time.process_time()
    operations = MAKERS[library]()
    import_ms = 1000 * (time.process_time() - started)
    times: dict[str, float] = {}
    for name, operation in operations.items():
        samples = []
        for _ in range(rounds):
            started = time.process_time()
            operation(mask, probability)
            samples.append(1000 * (time.process_time() - started))
        times[name] = round(float(np.median(samples)), 1)
    return {
        "import_ms": round(import_ms),
        "peak_bytes_a_pixel": round((_memory_mb() - before) * 1024**2 / size**2, 1),
        "ms": times,
    }


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def installed_mb(packages: tuple[str, ...]) -> int:
    """Return how much the files of some packages take, with their libraries."""
    sizes = [
        path.locate().stat().st_size  # type: ignore[attr-defined]
        for package in packages
        for path in distribution(package).files or ()
        if path.locate().is_file()  # type: ignore[attr-defined]
    ]
    return round(sum(sizes) / 1e6)


def main() -> None:
    """Measure all that is installed, each in a process of its own."""
    options = argparse.ArgumentParser(description="Our own labelling and measuring against four libraries.")
    options.add_argument("--sizes", type=int, nargs="+", default=[2048, 8192])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path, default=RESULTS)
    options.add_argument("--alone", nargs=2, metavar=("LIBRARY", "SIZE"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.alone:
        print(json.dumps(measured(chosen.alone[0], int(chosen.alone[1]), chosen.rounds)))
        return
    found: dict[str, Any] = {}
    for library, packages in LIBRARIES.items():
        try:
            versions = {package: distribution(package).version for package in packages}
            found[library] = {"versions": versions, "installed_mb": installed_mb(packages)}
        except PackageNotFoundError as missing:
            print(f"{library}: {missing} is not installed", file=sys.stderr)
            continue
        for size in chosen.sizes:
            command = [
                sys.executable,
                __file__,
                "--rounds",
                str(chosen.rounds),
                "--alone",
                library,
                str(size),
            ]
            one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
            answer = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=True)  # noqa: S603
            found[library][str(size)] = json.loads(answer.stdout)
            print(library, size, answer.stdout.strip())
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    chosen.json.write_text(
        json.dumps({"machine": machine, "objects": OBJECTS, "libraries": found}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
