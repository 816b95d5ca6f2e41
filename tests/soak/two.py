"""Two daemons on one folder: one works, the other says why it waits, and takes over when the first is gone.

    python -m tests.soak.two [--files 100]

With one state directory, as when somebody starts a second daemon beside the service; with two, as two
machines have; and as another user. The first is killed, or stopped; half of the files arrive before that.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.soak import images, promises
from tests.soak.daemon import COMMAND, Daemon, recorded, say, verdict, wait_for, workplace

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
NOBODY = 65534
DONE_S = 120.0
SAID_S = 30.0


def main() -> None:
    """Go through the ways in which there can be two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="to work in")
    arguments = parser.parse_args()
    faults = []
    with workplace(arguments.folder) as place:
        place.chmod(0o755)
        for name, second, killed, prefix in (
            ("one state directory", "first", True, ()),
            ("two state directories", "second", True, ()),
            ("two users", "nobody", False, AS_NOBODY),
        ):
            if prefix and not nobody_may_run(prefix):
                say(f"{name}: SKIPPED, as this needs root, and a checkout that every user may read")
                continue
            here = place / name.replace(" ", "_")
            here.mkdir()
            faults += [f"{name}: {fault}" for fault in both(here, second, killed, prefix, arguments.files)]
    verdict("two", faults)


def both(place: Path, second: str, killed: bool, prefix: Sequence[str], files: int) -> list[str]:
    """Run two daemons, end the first, and return the faults."""
    faults = []
    root = place / "root"
    root.mkdir()
    works = Daemon(root, place / "first")
    waits = Daemon(root, place / second, prefix=prefix, log="log of the second")
    if prefix:
        root.chmod(0o777)
        os.chown(place / second, NOBODY, NOBODY)
    manifest: promises.Manifest = {}

    def arrive(until: int) -> None:
        while len(manifest) < until:
            raw = root / f"{len(manifest):04}.tif"
            images.write(raw, images.image(len(manifest)))
            manifest[raw.name] = promises.note(raw, "image")

    def all_recorded() -> bool:
        return all(recorded(root / name) for name in manifest)

    with works, waits.ended():
        waits.start(ready=False)
        reason = wait_for(lambda: why(waits, second), SAID_S, "for the second to say why", every_s=0.2)
        arrive(files // 2)
        wait_for(all_recorded, DONE_S, "for the first half")
        works.wait_idle(DONE_S)
        before = states(root)
        if killed:
            works.kill("supervisor")
        else:
            works.stop()
        arrive(files)
        took_over_s = waits.wait_until(is_at_work, SAID_S, "to take over")
        wait_for(all_recorded, DONE_S, "for the second half")
        waits.wait_idle(DONE_S)
    rewritten = [name for name, state in before.items() if states(root)[name] != state]
    judged = Counter(re.findall(r"(\d{4}\.tif): .*\(ok\)", works.log() + waits.log()))
    report = promises.check(root, manifest=manifest)
    say(f"{place.name}: the second said: {reason}")
    twice = sum(count > 1 for count in judged.values())
    ended = "killed" if killed else "stopped"
    say(f"    took over {took_over_s:.1f} s after the first was {ended}; {twice} of {files} judged twice")
    say(report)
    if rewritten:
        faults.append(f"{len(rewritten)} results of the first were written again")
    return [*faults, *works.bugs(), *waits.bugs(), *report.faults]


def is_at_work(status: dict[str, Any]) -> bool:
    """Return whether a status says that nothing is waited for."""
    return status["ready"] and not status["states"]


def why(daemon: Daemon, second: str) -> str:
    """Return what a daemon says of why it waits; "" while it says nothing."""
    if second == "first":  # they share their status, so it is in the log
        return next((line for line in daemon.log().splitlines() if "waiting" in line), "")
    return next((f"{state['name']}: {state['why']}" for state in daemon.status()["states"]), "")


def states(root: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every record in a folder."""
    found = {path.name: path.stat() for path in root.glob("*.colvi*.json")}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def nobody_may_run(prefix: Sequence[str]) -> bool:
    """Return whether the command can be run as another user."""
    if os.geteuid() != 0 or not shutil.which(prefix[0]):
        return False
    # In a shell, so that it is that user who starts it.
    command = [*prefix, "sh", "-c", f"{shlex.quote(COMMAND)} --version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
