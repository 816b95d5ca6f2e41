"""File to results, colvi-edge beside the naive and the published pipeline: one run, one machine.

usage: python -m venv .venv-published
       .venv-published/bin/pip install --requirement benchmarks/requirements.txt
       python benchmarks/end_to_end.py --published-python .venv-published/bin/python

The pipelines take turns, an image each, so that drift of the machine hits all alike. What is fair:

    image      one simulated projection, 2 x 1024 x 1024; 16-bit and uncompressed for colvi-edge and the
               naive pipeline, and as the 8-bit RGB picture that the published code reads
    network    colvi-edge: the bundle, in the engine and precision that it takes by itself;
               naive: the bundle's FP32 network; published: its own network, 269,092 parameters
    process    one for each pipeline; its imports, its loading and its first images are not counted
    turns      before each, results of the last round are removed, everything is synced and all
               processes have been still for a moment: nobody's threads spin on, nobody's fsync pays for
               another's pages. The image stays in the page cache; other caches hold what the others left
    threads    as each runtime sets them by itself
    results    colvi-edge: five files, hashed, synced and renamed; the others sync nothing

Ratios are taken within a round; their spread is smallest, quartiles and largest.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from serving import Contestant

from colvi_edge.bench.measuring.machine import describe
from colvi_edge.bench.statistics import median, summary
from colvi_edge.simulate import simulate_projection, write_imagej

_HERE = Path(__file__).parent
_SPREAD = {"min": 0, "q1": 25, "median": 50, "q3": 75, "max": 100}
_STILL_S = 0.3  # until the workers of OpenMP, TBB and Eigen have given up spinning


class Entry(NamedTuple):
    """A contestant and what it is given."""

    contestant: Contestant
    raw: Path
    folder: Path


def main() -> None:
    """Run the command line."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="colvi-edge-benchmark-", dir=options.folder) as made:
        folder = Path(made)
        machine = describe(folder)
        entries = _entries(folder, options)
        try:
            rounds = [_round(entries) for _ in range(options.warm_up + options.rounds)][options.warm_up :]
        finally:
            for entry in entries.values():
                entry.contestant.close()
        report = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine.model_dump(),
            "warm_up_rounds": options.warm_up,
            "rounds": options.rounds,
            "pipelines": {
                name: {**entry.contestant.about, **_summary([turn[name] for turn in rounds])}
                for name, entry in entries.items()
            },
            "ratios": _ratios(rounds),
        }
    _show(report)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before them")
    parser.add_argument("--published-python", help="interpreter with benchmarks/requirements.txt installed")
    parser.add_argument("--folder", type=Path, help="on the disk to write to; else that of temporary files")
    parser.add_argument("--json", type=Path, default=_HERE / "results" / "end-to-end.json")
    return parser.parse_args()


def _entries(folder: Path, options: argparse.Namespace) -> dict[str, Entry]:
    """Write the image and start everybody."""
    image = simulate_projection("patient", seed=0)
    raw, rgb = folder / "raw" / "image.tif", folder / "rgb" / "image.tif"
    write_imagej(raw, image)
    rgb.parent.mkdir()
    tifffile.imwrite(rgb, as_rgb(image), photometric="rgb")
    taking_part = {
        "colvi-edge": ([sys.executable, _HERE / "own.py", options.bundle], raw),
        "naive": ([sys.executable, _HERE / "naive.py", options.bundle], raw),
    }
    if options.published_python:
        taking_part["published"] = ([options.published_python, _HERE / "published.py"], rgb)
    entries = {}
    for name, (command, image_file) in taking_part.items():
        (folder / name).mkdir()
        entries[name] = Entry(Contestant(command), image_file, folder / name)
    return entries


def as_rgb(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return (H, W, 3) of (nuclei, collagen), one scale for both: green collagen, blue nuclei."""
    nuclei, collagen = np.round(image * (255 / image.max())).astype(np.uint8)
    return np.dstack([np.zeros_like(nuclei), collagen, nuclei])


def _round(entries: Mapping[str, Entry]) -> dict[str, dict[str, float]]:
    """Return each contestant's milliseconds by stage, of one image."""
    turns = {}
    for name, (contestant, raw, folder) in entries.items():
        shutil.rmtree(folder)
        folder.mkdir()
        os.sync()
        time.sleep(_STILL_S)
        turns[name] = contestant.diagnose(raw, folder)
        if not any(folder.iterdir()):
            raise RuntimeError(f"{name} wrote nothing")
    return turns


def _summary(turns: list[dict[str, float]]) -> dict[str, Any]:
    totals = [sum(stages.values()) for stages in turns]
    stages = {stage: median([turn[stage] for turn in turns]) for stage in turns[0]}
    return {"ms": summary(totals), "stage_medians_ms": stages, "totals_ms": totals}


def _ratios(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return how many times as long as colvi-edge each other one takes."""
    totals = {name: np.array([sum(turn[name].values()) for turn in rounds]) for name in rounds[0]}
    own = totals.pop("colvi-edge")
    return {
        name: {word: float(np.percentile(other / own, share)) for word, share in _SPREAD.items()}
        for name, other in totals.items()
    }


def _show(report: dict[str, Any]) -> None:
    lines = [f"{'ms':12}{'p50':>8}{'p90':>8}{'p99':>8}{'min':>8}   colvi-edge is so many times as fast"]
    for name, found in report["pipelines"].items():
        figures = "".join(f"{found['ms'][key]:8.1f}" for key in ("p50", "p90", "p99", "min"))
        ratio = report["ratios"].get(name)
        spread = f"   {ratio['median']:.1f} ({' '.join(f'{r:.1f}' for r in ratio.values())})" if ratio else ""
        lines.append(f"{name:12}{figures}{spread}")
    for found in report["pipelines"].values():
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in found["stage_medians_ms"].items())
        lines += [f"\n{found['what']}", f"    {stages}", f"    {found['versions']}"]
    machine = report["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['file_system']}"
    lines.append(f"\n{report['rounds']} rounds after {report['warm_up_rounds']} on {where}")
    lines.append(f"{machine['busy']:.0%} of the cores were busy before the start; {report['date']}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
