"""How often each defect raises each flag, and how often a good image is flagged, by class and severity.

usage: nice python benchmarks/quality.py [--images 200] [--every 5] [--seed 8] [--bundle demo]

Good images are drawn once: so many controls, and so many patients of each severity. Every fifth is spoilt in
every way of `defects.py`; every 25th is drawn as a stack of planes, too. With a bundle, the spoilt controls
are also diagnosed, whatever the rules say of them: how many would have been called patients? Writes
results/quality.json, now and then and at the end, and prints the tables.
"""

import argparse
import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from defects import DEFECTS, Defect, acquired, as_rgb

from colvi_edge import __version__
from colvi_edge.acquisition import Acquisition
from colvi_edge.bundle import open_bundle
from colvi_edge.bundle.expected import Expected
from colvi_edge.engines import open_engine
from colvi_edge.quality import Flag, assess
from colvi_edge.quality.measures import channel_statistics, emptier_half, noise_at_nuclei, relief, sharpness
from colvi_edge.simulate import image_seed, simulate_planes, simulate_projection
from colvi_edge.simulate.images import PIXEL_SIZE_UM
from colvi_edge.tasks.classify import ClassName, diagnose

EXPECTED = Expected(pixel_size_um=PIXEL_SIZE_UM, planes=10)
PATCH_PX = 64
GROUPS: tuple[tuple[ClassName, float | None], ...] = (
    ("control", None),
    ("patient", 0.2),
    ("patient", 0.5),
    ("patient", 0.8),
    ("patient", 1.0),
)
STACKS = 5
"""One in so many of the spoilt images is drawn as a stack, too, which takes five times as long."""

RESULTS = Path(__file__).parent / "results" / "quality.json"

Verdict = Callable[[Acquisition], str]


@dataclass
class Tally:
    """What `assess` said of a series of images."""

    images: int = 0
    flagged: int = 0
    rejected: int = 0
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, flags: Sequence[Flag]) -> None:
        """Count the flags of one more image."""
        self.images += 1
        self.flagged += bool(flags)
        self.rejected += any(flag.severity == "reject" for flag in flags)
        self.flags.update(flag.name for flag in flags)


@dataclass
class Spoilt(Tally):
    """The same, whether the flags were the right ones, and what the network would have said of controls."""

    found: int = 0
    found_in_rgb: int = 0
    diagnosed: Counter[str] = field(default_factory=Counter)

    def add_spoilt(self, defect: Defect, image: Acquisition, verdict: Verdict | None) -> None:
        """Count one more image with the defect."""
        flags = _flags(image)
        self.add(flags)
        self.found += any(flag.name in defect.flags for flag in flags)
        self.found_in_rgb += any(flag.name in defect.flags for flag in _flags(as_rgb(image)))
        if verdict is not None:
            self.diagnosed[verdict(image)] += 1


class Results:
    """All that is counted and measured."""

    def __init__(self) -> None:
        self.clean: dict[str, Tally] = {}
        self.defects = {defect: Spoilt() for defect in DEFECTS}
        self.measured: dict[str, list[float]] = {}

    def add_good(self, group: str, good: Acquisition) -> None:
        """Assess a good image in all its forms, and measure it."""
        forms = {
            "16 bits": good,
            "8-bit RGB": as_rgb(good),
            "32-bit floats": replace(good, planes=good.planes.astype(np.float32) / 10),
            "channels not named": replace(good, channels_assumed=True),
        }
        for form, image in forms.items():
            self.clean.setdefault(f"{group}, {form}", Tally()).add(_flags(image))
        for name, value in _measured(good):
            self.measured.setdefault(name, []).append(value)

    def add_stack(self, group: str, stack: Acquisition) -> None:
        """Assess an image of single planes."""
        self.clean.setdefault(f"{group}, ten planes", Tally()).add(_flags(stack))

    def shown(self, seed: int) -> dict[str, Any]:
        """Return what the JSON file holds."""
        return {
            "software": {
                "colvi-edge": __version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "seed": seed,
            "clean": {name: vars(self.clean[name]) for name in sorted(self.clean)},
            "defects": [
                {"name": defect.name, "level": defect.level, "strong": defect.strong, **vars(tally)}
                for defect, tally in self.defects.items()
            ],
            "measured": {
                name: [min(values), float(np.median(values)), max(values)]
                for name, values in self.measured.items()
            },
        }


def main() -> None:
    """Draw, spoil, assess, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="of each class and severity")
    parser.add_argument("--every", type=int, default=5, help="image that is spoilt")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--bundle", help="to diagnose the spoilt controls with")
    arguments = parser.parse_args()

    verdict = _verdict(arguments.bundle) if arguments.bundle else None
    measured = Results()
    for number in range(arguments.images):
        for place, (label, severity) in enumerate(GROUPS):
            seed = image_seed(1000 * arguments.seed + place, number)
            good = acquired(simulate_projection(label, seed, severity=severity)[np.newaxis])
            group = label if severity is None else f"{label} {severity}"
            measured.add_good(group, good)
            if number % arguments.every:
                continue
            stack = None
            if number % (STACKS * arguments.every) == 0:
                stack = acquired(simulate_planes(label, seed, severity=severity))
                measured.add_stack(group, stack)
            for defect, tally in measured.defects.items():
                image = stack if defect.of_stack else good
                if image is not None:
                    rng = np.random.default_rng([arguments.seed, place, number])
                    tally.add_spoilt(
                        defect, defect.spoil(image, rng), verdict if label == "control" else None
                    )
        if number % arguments.every == 0:
            _write(measured.shown(arguments.seed))  # all of it takes half an hour
            sys.stderr.write(f"{number + 1} of {arguments.images}\n")
    results = measured.shown(arguments.seed)
    _write(results)
    sys.stdout.writelines(line + "\n" for line in tables(results))


def _flags(image: Acquisition) -> list[Flag]:
    """Return all but what is familiar, which has tables of its own (familiarity.py)."""
    found = assess(image, EXPECTED, PATCH_PX, familiar=None).flags
    return [flag for flag in found if flag.name != "familiarity_unknown"]


def _measured(good: Acquisition) -> Iterator[tuple[str, float]]:
    for role, planes in zip(good.channels, np.moveaxis(good.planes, 1, 0), strict=True):
        found = channel_statistics(planes)
        yield f"{role}: unevenness", found.unevenness
        yield f"{role}: area", found.area
        yield f"{role}: relief", relief(found)
        if role == "nuclei":
            yield "nuclei: sharpness", sharpness(found)
            yield "nuclei: signal to noise", found.contrast / noise_at_nuclei(planes, found)
            yield "nuclei: emptier half", emptier_half(found.bright)


def _write(results: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _verdict(bundle_name: str) -> Verdict:
    bundle = open_bundle(bundle_name)
    engine = open_engine(bundle)

    def diagnosed(acquisition: Acquisition) -> str:
        return diagnose(engine.field(acquisition.laid_out(bundle.config.channels))).name

    return diagnosed


def tables(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the Markdown tables."""
    names = sorted({name for row in results["defects"] for name in row["flags"]})
    heads = ["defect", "level", "found", "in RGB", "rejected", "controls called patients", *names]
    yield from _row(heads)
    yield from _row("-" * len(head) for head in heads)
    for row in results["defects"]:
        n, called = row["images"], row["diagnosed"]
        yield from _row(
            [
                row["name"],
                row["level"] if row["strong"] else f"{row['level']} (mild)",
                *(_percent(row[key], n) for key in ("found", "found_in_rgb", "rejected")),
                _percent(called.get("patient", 0), sum(called.values())) if called else "",
                *(_percent(row["flags"][name], n) if row["flags"].get(name) else "" for name in names),
            ]
        )
    yield ""
    forms = list(dict.fromkeys(name.partition(", ")[2] for name in results["clean"]))
    yield from _row(["good images", *forms])
    yield from _row(["---"] * (1 + len(forms)))
    for group in dict.fromkeys(name.partition(", ")[0] for name in results["clean"]):
        rows = [results["clean"][f"{group}, {form}"] for form in forms]
        yield from _row([group, *(_mistakes(row) for row in rows)])
    yield ""
    yield from _row(["measured", "least", "median", "most"])
    yield from _row(["---"] * 4)
    for name, values in results["measured"].items():
        yield from _row([name, *(f"{value:.3g}" for value in values)])


def _row(cells: Iterable[str]) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def _mistakes(row: dict[str, Any]) -> str:
    flags = "".join(f"; {flag} {count}" for flag, count in row["flags"].items())
    return f"{row['flagged']} of {row['images']} flagged, {row['rejected']} rejected{flags}"


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.3g} %"


if __name__ == "__main__":
    main()
