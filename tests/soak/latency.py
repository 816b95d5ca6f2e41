"""How soon a result is there, and whether a burst is worked off at full speed.

    python -m tests.soak.latency [--files 100] [--burst 200] [--pixels 1024] [--limit-ms 150] [--ratio 0.9]

Latency: a file is written and closed on a local disk, and the time taken until its JSON is there; less the
time of its diagnosis, as the JSON itself says it (quality, engine, rendering; neither reading nor writing).
A burst: many files arrive in one moment; their rate, against that of `colvi-edge run` on the same files.
"""

import argparse
import json
import random
import subprocess
import time
from pathlib import Path

from tests.soak import images, promises
from tests.soak.daemon import COMMAND, Daemon, percentile, say, verdict, wait_for, workplace

WAIT_S = 600.0


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--burst", type=int, default=200)
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--limit-ms", type=float, default=150, help="of the latency, p99")
    parser.add_argument("--ratio", type=float, default=0.9, help="of the two rates, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="to work in")
    arguments = parser.parse_args()
    faults = []
    with workplace(arguments.folder) as place:
        root = place / "root"
        root.mkdir()
        with Daemon(root, place / "state") as daemon:
            if arguments.files:
                faults += one_by_one(daemon, arguments)
            if arguments.burst:
                faults += burst(daemon, place, arguments)
            daemon.wait_idle(WAIT_S)
        report = promises.check(root)
    say(report)
    verdict("latency", [*faults, *report.faults])


def one_by_one(daemon: Daemon, arguments: argparse.Namespace) -> list[str]:
    """Write a file, wait for its record, and take a rest; print the latencies and return the faults."""
    rng = random.Random(arguments.seed)  # noqa: S311 - repeatable, not secret
    latencies, beyond = [], []
    for number in range(arguments.files):
        raw = daemon.root / f"single_{number:04}.tif"
        images.write(raw, images.image(number, arguments.pixels))
        closed = time.monotonic()
        record = raw.with_name(f"{raw.name}.colvi.json")
        wait_for(record.exists, WAIT_S, f"for the record of {raw.name}", every_s=0.002)
        latencies.append(1000 * (time.monotonic() - closed))
        diagnosis_ms = sum(json.loads(record.read_bytes())["timings_ms"].values())
        beyond.append(latencies[-1] - diagnosis_ms)
        time.sleep(rng.uniform(0.2, 3))
    say(f"{arguments.files} files of {arguments.pixels} px, ms:{'p50':>24}{'p99':>9}{'max':>9}")
    for words, times in (("close to JSON", latencies), ("  beyond the diagnosis", beyond)):
        say(f"{words:<48}" + "".join(f"{percentile(times, share):>9.0f}" for share in (50, 99, 100)))
    p99 = percentile(beyond, 99)
    if p99 > arguments.limit_ms:
        return [f"p99 of the latency beyond the diagnosis is {p99:.0f} ms, above {arguments.limit_ms:.0f} ms"]
    return []


def burst(daemon: Daemon, place: Path, arguments: argparse.Namespace) -> list[str]:
    """Let many files arrive at once, for the daemon and, before and after, for `run`; return the faults."""
    names = [f"burst_{number:04}.tif" for number in range(arguments.burst)]
    drafts = [daemon.root / f"{name}.part" for name in names]
    for number, draft in enumerate(drafts, start=arguments.files):
        images.write(draft, images.image(number, arguments.pixels))
    plain = run_rate(drafts, place / "before", daemon.environment)
    began = time.monotonic()
    raws = [draft.rename(draft.with_suffix("")) for draft in drafts]
    records = [daemon.root / f"{name}.colvi.json" for name in names]
    wait_for(lambda: all(record.exists() for record in records), WAIT_S, "for a burst", every_s=0.05)
    took_s = time.monotonic() - began
    daemon.wait_idle(WAIT_S)
    rate = first_to_last(records)
    plain = (plain + run_rate(raws, place / "after", daemon.environment)) / 2
    ratio = rate / plain
    say(f"burst of {len(names)}: {rate:.2f} images/s; `run` {plain:.2f}; ratio {ratio:.2f}; {took_s:.1f} s")
    if ratio < arguments.ratio:
        return [f"a burst is worked off at {ratio:.2f} of the speed of `colvi-edge run`"]
    return []


def run_rate(raws: list[Path], results: Path, environment: dict[str, str]) -> float:
    """Return images per second of `colvi-edge run`."""
    command = [COMMAND, "run", "--bundle", "demo", "--json", "--output-dir", str(results), *map(str, raws)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return first_to_last(list(results.glob("*.colvi.json")))


def first_to_last(records: list[Path]) -> float:
    """Return how many records a second appeared, from the first on: the start of a program left out."""
    times = sorted(record.stat().st_mtime for record in records)
    return (len(times) - 1) / (times[-1] - times[0])


if __name__ == "__main__":
    main()
