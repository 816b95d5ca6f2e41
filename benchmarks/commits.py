"""What does a change cost on the way from a file to its results? Two commits in turns, process by process.

usage: python benchmarks/commits.py BASE [--change HEAD] [--pairs 12] [--images 30] [--limit-ms 3]
                                         [--json FILE]

Each commit is checked out into a folder of its own, and both run on this interpreter's packages. A pair is
a new process of each; they take turns, an image each, so that what else the machine does hits both. Of a
pair counts the difference of their medians: processes differ from one start to the next (where memory lies,
which core), images within one hardly. The interval holds the median of all differences whatever their
distribution: between two order statistics, by the binomial. Exit code 1 if its upper end is above the limit.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import comb
from pathlib import Path
from typing import NamedTuple

import numpy as np
from serving import Contestant

from colvi_edge.bench.measuring.machine import describe
from colvi_edge.bench.statistics import CONFIDENCE
from colvi_edge.simulate import simulate_projection, write_imagej

_HERE = Path(__file__).parent
_WARM_UP = 5
_STILL_S = 0.05  # until threads of the other have stopped spinning


class Interval(NamedTuple):
    """Where the median lies, with what confidence; less than `CONFIDENCE` only of fewer than six samples."""

    low: float
    high: float
    confidence: float


def main() -> None:
    """Run the command line."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="colvi-edge-commits-") as made:
        folder = Path(made)
        raw = folder / "image.tif"
        write_imagej(raw, simulate_projection(options.label, seed=0))
        with _checked_out(options.base, folder / "base"), _checked_out(options.change, folder / "change"):
            pairs = [_pair(folder, raw, options, number) for number in range(options.pairs)]
        report = {
            "machine": describe(folder).model_dump(),
            "commits": {name: _commit(getattr(options, name)) for name in ("base", "change")},
            "images_a_pair": options.images,
            "pairs": pairs,
            "difference_ms": {
                stage: _interval_of([pair["change"][stage] - pair["base"][stage] for pair in pairs])
                for stage in pairs[0]["base"]
            },
        }
    for stage, found in report["difference_ms"].items():
        print(
            f"{stage:8} {found['median']:+.2f} ms, {found['confidence']:.0%} interval "
            f"{found['low']:+.2f} to {found['high']:+.2f}"
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if options.limit_ms is not None and report["difference_ms"]["total"]["high"] > options.limit_ms:
        sys.exit(1)


def median_interval(samples: Sequence[float]) -> Interval:
    """Return the narrowest pair of order statistics that holds the median with `CONFIDENCE`."""
    ordered, n = sorted(samples), len(samples)
    kept = Interval(ordered[0], ordered[-1], 1 - 2 * 0.5**n)
    for left_out in range(1, n // 2):
        # The median is outside if more than `left_out` of n fall on one side of it.
        confidence = 1 - 2 * sum(comb(n, k) for k in range(left_out + 1)) * 0.5**n
        if confidence < CONFIDENCE:
            break
        kept = Interval(ordered[left_out], ordered[-1 - left_out], confidence)
    return kept


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base")
    parser.add_argument("--change", default="HEAD")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--images", type=int, default=30, help="of each process, after warming up")
    parser.add_argument("--label", choices=("control", "patient"), default="control")
    parser.add_argument("--limit-ms", type=float)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[None]:
    def git(*words: str | Path) -> None:
        subprocess.run(["git", "-C", _HERE, "worktree", *words], check=True, capture_output=True)  # noqa: S603, S607 - our own words

    git("add", "--detach", folder, commit)
    try:
        yield
    finally:
        git("remove", "--force", folder)


def _commit(name: str) -> str:
    words: list[str | Path] = ["git", "-C", _HERE, "rev-parse", "--verify", f"{name}^{{commit}}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - as above


def _pair(folder: Path, raw: Path, options: argparse.Namespace, number: int) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of each stage, and of their sum, of a new process of each commit."""
    names = ("base", "change") if number % 2 else ("change", "base")
    running = {name: _started(folder / name) for name in names}
    laps: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        for _ in range(_WARM_UP + options.images):
            for name, contestant in running.items():
                results = folder / "results"
                shutil.rmtree(results, ignore_errors=True)
                results.mkdir()
                time.sleep(_STILL_S)
                stages = contestant.diagnose(raw, results)
                laps[name].append({**stages, "total": sum(stages.values())})
    finally:
        for contestant in running.values():
            contestant.close()
    return {
        name: {stage: float(np.median([lap[stage] for lap in series[_WARM_UP:]])) for stage in series[0]}
        for name, series in laps.items()
    }


def _started(checkout: Path) -> Contestant:
    # Found on this path, a package wins over the installed one.
    found = {**os.environ, "PYTHONPATH": str(checkout)}
    return Contestant([sys.executable, checkout / "benchmarks" / "own.py", "demo"], found)


def _interval_of(differences: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(differences)), **median_interval(differences)._asdict()}


if __name__ == "__main__":
    main()
