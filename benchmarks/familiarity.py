"""Are good images familiar, and is other fluorescence not? How far from the limits of a bundle do both lie?

usage: nice python benchmarks/familiarity.py [--images 1000] [--each 10] [--bundle demo] [--workers 2]

Good images are drawn of every class and severity at every difficulty, in turn in every form that an ordinary
day brings. Counted is what the rules say that ask whether this is the assay at all; the others have their own
tables (quality.py). Other fluorescence is that of fluorescence.py. Writes results/familiarity.json and
docs/images/familiarity.png, and prints the tables.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from defects import acquired, as_rgb, blurred
from fluorescence import DRAWN
from numpy.typing import NDArray
from quality import GROUPS
from scipy.stats import beta

from colvi_edge.acquisition import Acquisition
from colvi_edge.bundle import open_bundle
from colvi_edge.quality import assess
from colvi_edge.quality.familiarity import Familiar, remoteness
from colvi_edge.simulate import image_seed, simulate_planes, simulate_projection

DIFFICULTIES = (0.0, 0.25, 0.5, 0.75, 1.0)
NEW_RULES = {"unfamiliar", "one_recording", "collagen_constant", "nuclei_constant"}

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "familiarity.json"
PICTURE = HERE.parent / "docs" / "images" / "familiarity.png"

Image = NDArray[Any]
Random = np.random.Generator
Row = dict[str, Any]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000, help="good ones")
    parser.add_argument("--each", type=int, default=10, help="drawings of a kind of other fluorescence")
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        good = list(pool.map(partial(good_image, options.bundle), range(options.images), chunksize=8))
        kinds = [(kind, number) for kind in DRAWN for number in range(options.each)]
        other = list(pool.map(partial(other_image, options.bundle), kinds, chunksize=4))
    lines = [",\n".join(map(json.dumps, rows)) for rows in (good, other)]  # a line for each image
    RESULTS.write_text(f'{{"good": [\n{lines[0]}],\n"other": [\n{lines[1]}]}}\n')
    for line in tables(good, other):
        print(line)
    draw(good, other)


def good_image(bundle: str, number: int) -> Row:
    """Draw and assess one good image of the series."""
    label, severity = GROUPS[number % len(GROUPS)]
    difficulty = DIFFICULTIES[number // len(GROUPS) % len(DIFFICULTIES)]
    form = list(FORMS)[number // len(GROUPS) // len(DIFFICULTIES) % len(FORMS)]
    make = simulate_planes if form == "ten planes" else simulate_projection
    planes = make(label, image_seed(77, number), difficulty=difficulty, severity=severity)
    image = acquired(planes if planes.ndim == 4 else planes[np.newaxis])
    row = {
        "class": label if severity is None else f"{label} of severity {severity}",
        "difficulty": f"difficulty {difficulty}",
        "form": form,
    }
    return row | assessed(bundle, FORMS[form](image, np.random.default_rng([77, number])))


def other_image(bundle: str, of: tuple[str, int]) -> Row:
    """Draw and assess one picture of other fluorescence."""
    kind, number = of
    picture = DRAWN[kind](np.random.default_rng([number, len(kind), 78]))
    image = replace(
        acquired(np.ascontiguousarray(picture.transpose(2, 0, 1))[np.newaxis]),
        channels=("other", "collagen", "nuclei"),
    )
    return {"kind": kind} | assessed(bundle, image)


def assessed(bundle_name: str, image: Acquisition) -> Row:
    """Return which rules reject an image, and how far its farthest measure is, in limits."""
    bundle = open_bundle(bundle_name)
    found = assess(image, bundle.config.expected, bundle.config.patch_px, Familiar.of(bundle))
    return {
        "rejected": [flag.name for flag in found.flags if flag.severity == "reject"],
        "remoteness": round(max(map(remoteness, found.measures)), 4) if found.measures else None,
    }


def _as_acquired(image: Acquisition, rng: Random) -> Acquisition:
    return image


def _each_in_8_bits(image: Acquisition, rng: Random) -> Acquisition:
    planes = image.planes.astype(np.float64)
    scale = 255 / planes.max(axis=(0, 2, 3), keepdims=True)
    return replace(image, planes=(planes * scale).astype(np.uint8))


def _gain_and_offset(image: Acquisition, rng: Random) -> Acquisition:
    gain, offset = rng.lognormal(0, 0.4, (2, 1, 1)), rng.uniform(0, 1500, (2, 1, 1))
    return _counts(image, image.planes * gain + offset)


def _noisier(image: Acquisition, rng: Random) -> Acquisition:
    deviation = rng.uniform(20, 120, (2, 1, 1))  # the detector's own, in a sum of ten planes, is 13 to 28
    return _counts(image, image.planes + deviation * rng.standard_normal(image.planes.shape))


def _softer(image: Acquisition, rng: Random) -> Acquisition:
    return _counts(image, blurred(image.planes[0], rng.uniform(0.5, 1.5))[np.newaxis])


def _all_of_it(image: Acquisition, rng: Random) -> Acquisition:
    return as_rgb(_noisier(_gain_and_offset(_softer(image, rng), rng), rng))


def _counts(image: Acquisition, planes: Image) -> Acquisition:
    return replace(image, planes=np.rint(planes).clip(0, 65535).astype(np.uint16))


FORMS: dict[str, Callable[[Acquisition, Random], Acquisition]] = {
    "16 bits": _as_acquired,
    "8-bit RGB": lambda image, rng: as_rgb(image),
    "8 bits, each channel its own": _each_in_8_bits,
    "ten planes": _as_acquired,
    "other gain and offset": _gain_and_offset,
    "more noise": _noisier,
    "blurred by 0.5 to 1.5 px": _softer,
    "all of it, in RGB": _all_of_it,
}


def tables(good: list[Row], other: list[Row]) -> Iterator[str]:
    """Yield the lines of the Markdown tables."""
    yield "| good images | rejected by the new rules | upper 95 % limit | farthest, in limits |"
    yield "| --- | --- | --- | --- |"
    for name, rows in _grouped(good, ("class", "difficulty", "form")):
        n, wrong = len(rows), sum(bool(NEW_RULES & set(row["rejected"])) for row in rows)
        upper = 1.0 if wrong == n else float(beta.ppf(0.95, wrong + 1, n - wrong))
        yield f"| {name} | {wrong} of {n} | {upper:.2%} | {_remoteness(rows).max():.2f} |"
    yield ""
    yield "| other fluorescence | rejected | nearest, in limits | reasons |"
    yield "| --- | --- | --- | --- |"
    for name, rows in _grouped(other, ("kind",)):
        reasons = Counter(reason for row in rows for reason in row["rejected"])
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        rejected = sum(bool(row["rejected"]) for row in rows)
        yield f"| {name} | {rejected} of {len(rows)} | {_remoteness(rows).min():.2f} | {told} |"
    yield ""
    yield "| limits | good images rejected | other fluorescence rejected |"
    yield "| --- | --- | --- |"
    for wide in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0):
        shares = [np.mean(_remoteness(rows) > wide) for rows in (good, other)]
        yield f"| {wide:g} times as wide | {shares[0]:.1%} | {shares[1]:.1%} |"
    ours, theirs = _remoteness(good), _remoteness(other)
    area = np.mean(theirs[:, np.newaxis] > ours) + np.mean(theirs[:, np.newaxis] == ours) / 2
    yield ""
    yield f"Area under the ROC curve: {area:.4f}."


def _grouped(rows: list[Row], keys: tuple[str, ...]) -> Iterator[tuple[str, list[Row]]]:
    for key in keys:
        for name in dict.fromkeys(row[key] for row in rows):
            yield name, [row for row in rows if row[key] == name]
    yield "all", rows


def _remoteness(rows: list[Row]) -> NDArray[np.float64]:
    """Return the farthest measure of each image; one that cannot be measured is none of the assay."""
    return np.array([np.inf if row["remoteness"] is None else row["remoteness"] for row in rows])


def draw(good: list[Row], other: list[Row]) -> None:
    """Draw where images lie, a dot each, in limits from the typical."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams |= {"font.size": 9}
    from matplotlib import pyplot as plt

    rows = [*_grouped(good, ("class", "form")), *_grouped(other, ("kind",))]
    rows = [(name, group) for name, group in rows if name != "all"]
    figure, axes = plt.subplots(figsize=(8, 6.4), layout="constrained")
    rng = np.random.default_rng(0)
    for place, (name, group) in enumerate(rows):
        at = _remoteness(group)
        colour = "#c0392b" if name in DRAWN else "#2c7fb8"
        axes.plot(at.clip(0.1, 60), place + rng.uniform(-0.3, 0.3, at.size), ".", ms=3, color=colour)
    axes.axvline(1, color="black", lw=1)
    axes.set(
        xscale="log", xlim=(0.1, 30), xlabel="farthest measure, in limits (1: the limit; beyond: rejected)"
    )
    ticks = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
