"""Many files, over a long time: descriptors and threads stay constant, memory nearly so.

    python -m tests.soak.endurance [--files 10000] [--pixels 256] [--night 15]

They come as fast as they can be judged, on ten days with a short night each, in which the daemon catches up
with looking at each file once more. One file in a hundred is no image. Each process is looked at all the
time; what it holds in the last fifth of the files is compared with what it held in the second fifth. The
worker is recycled on the way and may hold more at the end of a life than at its beginning: of it, the
highest of each fifth is compared.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.soak import images, promises
from tests.soak.daemon import ROLES, Daemon, Role, recorded, say, verdict, wait_for, workplace

AHEAD = 20
"""Files that wait at most, so that the daemon sets the pace."""
MOST_GROWTH = 0.10
DAYS = 10
SAMPLED_EVERY_S = 0.2
AT_WORK = 2
"""Descriptors that may be open by chance when a process is looked at: of a file and its folder."""
WAIT_S = 600.0


@dataclass(frozen=True)
class Sample:
    """What a process holds at a moment."""

    files: int
    process: int
    descriptors: int
    threads: int
    resident_mb: float

    @classmethod
    def take(cls, process: int, files: int) -> "Sample | None":
        """Look at a process; None if it is gone."""
        place = Path(f"/proc/{process}")
        try:
            descriptors = len(list((place / "fd").iterdir()))
            lines = (line.partition(":") for line in (place / "status").read_text().splitlines())
        except OSError:
            return None
        fields = {name: value.split() for name, _, value in lines}
        if "VmRSS" not in fields:
            return None
        return cls(files, process, descriptors, int(fields["Threads"][0]), int(fields["VmRSS"][0]) / 1024)


def main() -> None:
    """Deliver, look, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--night", type=float, default=15, help="seconds")
    parser.add_argument("--growth", type=float, default=MOST_GROWTH, help="of the memory, at most")
    parser.add_argument("--folder", type=Path, help="to work in")
    arguments = parser.parse_args()
    samples: dict[Role, list[Sample]] = {role: [] for role in ROLES}
    with workplace(arguments.folder) as place:
        root = place / "root"
        root.mkdir()
        began = time.monotonic()
        with Daemon(root, place / "state") as daemon:
            manifest = deliver(daemon, arguments, samples)
            daemon.wait_idle(WAIT_S)
        took_s = time.monotonic() - began
        report = promises.check(root, manifest=manifest)
        say(f"{arguments.files} files of {arguments.pixels} px in {took_s:.0f} s")
    say(report)
    verdict("endurance", [*compare(samples, arguments), *report.faults])


def deliver(
    daemon: Daemon, arguments: argparse.Namespace, samples: dict[Role, list[Sample]]
) -> promises.Manifest:
    """Let files arrive at the daemon's own pace, in a folder for each day, and take samples meanwhile."""
    manifest: promises.Manifest = {}
    waiting: list[Path] = []
    sampled_at = 0.0

    def caught_up(most: int) -> bool:
        nonlocal sampled_at
        waiting[:] = [raw for raw in waiting if not recorded(raw)]
        if time.monotonic() - sampled_at > SAMPLED_EVERY_S:
            sampled_at = time.monotonic()
            for role in ROLES:
                process = daemon.pid(role)
                sample = Sample.take(process, len(manifest)) if process else None
                samples[role] += [sample] if sample else []
        return len(waiting) <= most

    for number in range(arguments.files):
        raw = daemon.root / f"day_{number * DAYS // arguments.files}" / f"{number:06}.tif"
        if not raw.parent.exists():
            time.sleep(arguments.night)
        raw.parent.mkdir(exist_ok=True)
        good = number % 100 != 50
        images.write(raw, images.image(number, arguments.pixels) if good else b"\xff\xd8\xff" + bytes(1000))
        manifest[str(raw.relative_to(daemon.root))] = promises.note(raw, "image" if good else "broken")
        waiting.append(raw)
        wait_for(lambda: caught_up(AHEAD), WAIT_S, "for the daemon to keep up", every_s=0.02)
    wait_for(lambda: caught_up(0), WAIT_S, "for the last files", every_s=0.05)
    return manifest


def compare(samples: dict[Role, list[Sample]], arguments: argparse.Namespace) -> list[str]:
    """Print what the processes held early and late, and return what grew."""
    faults = []
    say(f"{'':<12}{'lives':>6}{'descriptors':>14}{'threads':>12}{'resident MB':>18}{'growth':>9}")
    for role, taken in samples.items():
        fifths = [[s for s in taken if s.files * 5 // (arguments.files + 1) == fifth] for fifth in range(5)]
        early, late = fifths[1], fifths[4]
        if not early or not late:
            faults.append(f"{role}: no samples of the second or the last fifth; let it take longer")
            continue
        descriptors = [
            statistics.median_low([sample.descriptors for sample in fifth]) for fifth in (early, late)
        ]
        # An image that is being written has up to two threads of its own: the fewest are those that stay,
        # and every one that is never ended is among them.
        threads = [min(sample.threads for sample in fifth) for fifth in (early, late)]
        shown = max if role == "worker" else statistics.median
        resident = [shown(sample.resident_mb for sample in fifth) for fifth in (early, late)]
        growth = resident[1] / resident[0] - 1
        lives = len({sample.process for sample in taken})
        say(
            f"{role:<12}{lives:>6}{descriptors[0]:>8} -> {descriptors[1]:<3}{threads[0]:>6} -> "
            f"{threads[1]:<3}{resident[0]:>9.1f} -> {resident[1]:<6.1f}{growth:>8.1%}"
        )
        if descriptors[1] > descriptors[0] + AT_WORK:
            faults.append(f"{role}: {descriptors[0]} descriptors became {descriptors[1]}")
        if threads[1] > threads[0]:
            faults.append(f"{role}: {threads[0]} threads became {threads[1]}")
        if growth > arguments.growth:
            faults.append(f"{role}: its memory grew by {growth:.1%}")
    return faults


if __name__ == "__main__":
    main()
