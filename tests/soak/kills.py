"""Supervisor, scanner and worker are killed at random while files arrive: the promises hold.

    python -m tests.soak.kills [--files 300] [--kills 100] [--seed 0] [--bundle demo --bundle copy]

Before each kill some files arrive; most kills come within the time that their diagnosis takes. A supervisor
that was killed is started again, as systemd does; scanner and worker are its own business. At last its
ledger is deleted, and nothing may be judged again.
"""

import argparse
import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.soak import images, promises
from tests.soak.daemon import (
    ROLES,
    Daemon,
    bundles_in,
    recorded,
    say,
    verdict,
    wait_for,
    with_bundles,
    workplace,
)

ORPHANS_END_S = 5.0
DRAINED_S = 300.0
SWEPT_S = 180.0


def main() -> None:
    """Deliver, kill, and count what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pixels", type=int, default=512, help="edge of an image")
    parser.add_argument("--interval", type=float, default=60, help="of the daemon's scans, seconds")
    parser.add_argument("--folder", type=Path, help="to work in")
    with_bundles(parser)
    arguments = parser.parse_args()
    with workplace(arguments.folder) as place:
        Ordeal(place, arguments).run()


class Ordeal:
    """A daemon, the files that arrive, and what was counted."""

    def __init__(self, place: Path, arguments: argparse.Namespace) -> None:
        self.place, self.root = place, place / "root"
        self.root.mkdir()
        self.bundles = bundles_in(place, arguments.bundle)
        options = ("--interval", str(arguments.interval))
        self.daemon = Daemon(self.root, place / "state", *options, bundles=list(self.bundles.values()))
        self.files, self.kills, self.pixels = arguments.files, arguments.kills, arguments.pixels
        self.rng = random.Random(arguments.seed)  # noqa: S311 - repeatable, not secret
        self.manifest: promises.Manifest = {}
        self.counts: Counter[str] = Counter()
        self.left: set[Path] = set()
        self.faults: list[str] = []

    def run(self) -> None:
        """Go through all kills, then let the daemon end its work in peace."""
        began = time.monotonic()
        (self.root / ".colvi-1-0123456789abcdef.tmp").touch()  # of a daemon of former days
        with self.daemon:
            for kill in range(self.kills):
                # Most often it may catch up first; else this kill falls into the start after the last one.
                if self.rng.random() < 0.8:
                    wait_for(lambda: not self.waiting(), DRAINED_S, "for work to be done", every_s=0.02)
                self.deliver((kill + 1) * self.files // self.kills)
                time.sleep(self.rng.uniform(0, 0.4))
                self.kill()
            if not self.daemon.runs:
                self.daemon.start()
            try:
                wait_for(lambda: not self.waiting(), DRAINED_S, "for the last records", every_s=0.2)
                self.daemon.wait_idle(60)
                # What a killed worker left is removed when it has been seen unchanged for half a minute.
                wait_for(lambda: not self.litter(), SWEPT_S, "for temporary files to be removed", every_s=0.5)
                self.daemon.stop()
                self.lose_ledger()
            except TimeoutError as error:
                self.faults.append(str(error))
        count = self.counts
        say(f"{self.files} files of {self.pixels} px, {self.kills} kills, {time.monotonic() - began:.0f} s")
        say(f"killed: {', '.join(f'{role} {count[role]}' for role in ROLES)}")
        say(f"kills while files waited: {count['at work']}; temporary files left by them: {len(self.left)}")
        report = promises.check(self.root, manifest=self.manifest, slots=list(self.bundles))
        say(report)
        verdict("kills", [*self.faults, *self.daemon.bugs(), *report.faults])

    def deliver(self, until: int) -> None:
        """Let files arrive until there are so many."""
        while len(self.manifest) < until:
            raw = self.root / f"{len(self.manifest):05}.tif"
            images.write(raw, images.image(len(self.manifest), self.pixels))
            self.manifest[raw.name] = promises.note(raw, "image")

    def waiting(self) -> list[str]:
        """Return the files that have no record of one bundle or another."""
        return [name for name in self.manifest if not recorded(self.root / name, list(self.bundles))]

    def litter(self) -> list[Path]:
        """Return the temporary files beside the results."""
        return list(self.root.glob(".colvi-*.tmp"))

    def lose_ledger(self) -> None:
        """Delete what the daemon knows: it knows again by content, and judges nothing twice."""
        before = {path: path.stat().st_ino for path in self.root.glob("*.json")}
        shutil.rmtree(self.place / "state" / "colvi-edge")
        with self.daemon:
            took_s = self.daemon.wait_until(
                lambda status: status["files"].get("done") == len(self.manifest),
                DRAINED_S,
                "to know all files again",
            )
        again = sum(path.stat().st_ino != inode for path, inode in before.items())
        say(f"without its ledger it knew all files again after {took_s:.1f} s; judged again: {again}")
        if again:
            self.faults.append(f"{again} files were judged again when the ledger was lost")

    def kill(self) -> None:
        """Kill one process; a supervisor is started again."""
        daemon = self.daemon
        family = {role: processes for role in ROLES if (processes := daemon.pids(role))}
        role = self.rng.choice(list(family))
        self.counts["at work"] += bool(self.waiting())
        daemon.kill(role, self.rng.choice(family[role]))
        self.counts[role] += 1
        self.left |= set(self.litter())
        for record in self.root.glob("*.json"):
            try:
                json.loads(record.read_bytes())
            except ValueError:
                self.faults.append(f"{record.name} was torn when the {role} was killed")
        if role == "supervisor":
            try:
                wait_for(
                    lambda: (
                        not any(Path(f"/proc/{one}").exists() for each in family.values() for one in each)
                    ),
                    ORPHANS_END_S,
                    "for the children of a dead supervisor to end",
                )
            except TimeoutError as error:
                self.faults.append(str(error))
            daemon.start(ready=self.rng.random() < 0.8)


if __name__ == "__main__":
    main()
