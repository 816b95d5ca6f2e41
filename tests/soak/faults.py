"""What a lab does to a disk: full, read-only, unmounted, deleted, too busy for events. Nothing is lost.

    python -m tests.soak.faults [SCENARIO ...] [--rounds 3] [--decoys 20000] [--bundle demo --bundle copy]

Each scenario says after how many seconds `colvi-edge status` tells of the fault, at most 30, and after how
many all is well again by itself. All of it happens in mount and user namespaces of its own, so that nothing
outside is touched, and needs no root.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.soak import images, promises
from tests.soak.daemon import (
    Daemon,
    bundles_in,
    recorded,
    say,
    verdict,
    wait_for,
    with_bundles,
    workplace,
)

VISIBLE_S = 30.0
RECOVERED_S = 90.0
DONE_S = 120.0
RESCANNED_S = 50.0
"""Within which files are done whose events were lost; the next scan would be after 60."""
HEARD_S = 10.0
"""Within which a file is done that was heard of, and not found by a scan."""
INSIDE = "--inside-namespaces"
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
USER_LIMITS = Path("/proc/sys/user")
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Scene:
    """A watched folder, the files that arrived in it, and what went wrong."""

    def __init__(self, place: Path, arguments: argparse.Namespace) -> None:
        self.place = place
        self.root = place / "root"
        self.root.mkdir()
        self.results = self.root
        self.arguments = arguments
        self.rng = random.Random(arguments.seed)  # noqa: S311 - repeatable, not secret
        self.manifest: promises.Manifest = {}
        self.bundles = bundles_in(place, arguments.bundle)
        self.faults: list[str] = []

    @contextmanager
    def daemon(self, *options: str) -> Iterator[Daemon]:
        """Run a daemon, and check the promises when it has ended."""
        apart = [] if self.results == self.root else ["--output-dir", str(self.results)]
        bundles = list(self.bundles.values())
        daemon = Daemon(self.root, self.place / "state", *options, *apart, bundles=bundles)
        with daemon:
            yield daemon
        report = promises.check(self.root, self.results, self.manifest, list(self.bundles))
        say(report)
        self.faults += report.faults
        self.faults += daemon.bugs()

    def arrive(self, count: int, *, through: Path | None = None, folder: str = "") -> None:
        """Let some images arrive, in the folder or by another way to it."""
        for number in range(len(self.manifest), len(self.manifest) + count):
            raw = (through or self.root) / folder / f"{number:05}.tif"
            images.write(raw, images.image(number))
            self.manifest[str(Path(folder) / raw.name)] = promises.note(raw, "image")

    def waiting(self) -> list[str]:
        """Return the files that have no record of one bundle or another."""
        return [name for name in self.manifest if not recorded(self.results / name, list(self.bundles))]

    def wait_recorded(self) -> float:
        """Wait until each file has its record."""
        began = time.monotonic()
        wait_for(lambda: not self.waiting(), DONE_S, "for the records", every_s=0.1)
        return time.monotonic() - began

    def fault_and_recovery(self, daemon: Daemon, state: str, repair: Callable[[], object]) -> None:
        """Wait until a state is visible; repair what is broken; wait until all is well, and done."""
        visible_s = daemon.ails(VISIBLE_S, state)
        time.sleep(self.rng.uniform(1, 4))
        repair()
        well_s = daemon.is_well(RECOVERED_S)
        self.wait_recorded()
        say(f"    {state!r} told after {visible_s:.1f} s; well {well_s:.1f} s after repair")


def disk_full(scene: Scene) -> None:
    """The disk has no room for results, first no bytes, then no inodes; then it is made larger."""
    root = scene.root
    mount(root, "size=8m,nr_inodes=200")
    ballast = root / "ballast.bin"
    with scene.daemon() as daemon:
        scene.arrive(2)
        scene.wait_recorded()
        with daemon.frozen("worker"):
            scene.arrive(5)
            fill(ballast)
        scene.fault_and_recovery(daemon, "disk full", lambda: remount(root, "size=64m,nr_inodes=200"))
        ballast.unlink()
        with daemon.frozen("worker"):
            scene.arrive(5)
            ballast.mkdir()
            fill_inodes(ballast)
        scene.fault_and_recovery(daemon, "disk full", lambda: remount(root, "size=64m,nr_inodes=2000"))
        shutil.rmtree(ballast)


def state_full(scene: Scene) -> None:
    """The disk of the state directory is full, then read-only: that is seen, and stops nothing."""
    state = scene.place / "state"
    state.mkdir()
    mount(state, "size=32m")
    with scene.daemon() as daemon:
        scene.arrive(2)
        scene.wait_recorded()
        faults: list[tuple[Callable[[], object], Callable[[], object]]] = [
            (lambda: fill(state / "ballast.bin"), (state / "ballast.bin").unlink),
            (lambda: shadow_read_only(state), lambda: umount(state)),
        ]
        for fault, repair in faults:
            fault()
            began = time.monotonic()
            scene.arrive(5)
            recorded_s = scene.wait_recorded()
            daemon.ails(VISIBLE_S, "ledger")
            words = sorted({told["why"] for told in daemon.status()["states"]})
            say(f"    told after {time.monotonic() - began:.1f} s: {words}; done after {recorded_s:.1f} s")
            repair()
            say(f"    well {daemon.is_well(RECOVERED_S):.1f} s after repair")
            scene.arrive(1)
            scene.wait_recorded()


def state_lost(scene: Scene) -> None:
    """The state folder is deleted, its ledger, cut, its lock; each time files are in work."""
    with scene.daemon() as daemon:
        scene.arrive(3)
        scene.wait_recorded()
        supervisor = daemon.pid("supervisor")
        (state,) = (scene.place / "state").glob("colvi-edge/watch/*")
        ledger, lock = state / "ledger.sqlite", state / "lock"
        losses: list[tuple[str, Callable[[], object]]] = [
            ("folder deleted", lambda: remove(state)),
            ("ledger deleted", ledger.unlink),
            ("ledger emptied", lambda: os.truncate(ledger, 0)),
            ("lock deleted", lock.unlink),
        ]
        for number, (what, lose) in enumerate(losses, 1):
            before = {path: path.stat().st_ino for path in scene.root.glob("*.colvi.json")}
            scene.arrive(3)
            lose()
            told_s = daemon.wait_until(
                lambda status: any("all is made anew" in s["why"] for s in status["states"]),
                VISIBLE_S,
                "to say it",
            )
            scene.arrive(3)
            recorded_s = scene.wait_recorded()
            say(f"    {what}: told after {told_s:.1f} s; files that came then done after {recorded_s:.1f} s")
            if any(path.stat().st_ino != inode for path, inode in before.items()):
                scene.faults.append(f"{what}: results of the same content were written again")
            if daemon.log().count("it begins anew") != number:
                scene.faults.append(f"{what}: begun anew more than once")
        daemon.is_well(RECOVERED_S)
        if daemon.pid("supervisor") != supervisor:
            scene.faults.append("the daemon ended")


def read_only(scene: Scene) -> None:
    """The share is read-only when the daemon starts, and when it comes back; then it is writable."""
    share = scene.place / "share"
    share.mkdir()
    mount(share, "size=64m")

    def come(way: str) -> None:
        bind(share, scene.root)
        remount(scene.root, f"bind,{way}")
        scene.arrive(5, through=share)

    come("ro")
    with scene.daemon() as daemon:
        scene.fault_and_recovery(daemon, "read-only", lambda: remount(scene.root, "bind,rw"))
        umount(scene.root)
        come("ro")
        scene.fault_and_recovery(daemon, "read-only", lambda: remount(scene.root, "bind,rw"))


def unmounted(scene: Scene) -> None:
    """The share goes away, lazily, while files are worked on, and comes back; the bare folder stays bare."""
    share, bare = scene.place / "share", scene.root
    share.mkdir()
    mount(share, "size=256m")
    bind(share, bare)
    with scene.daemon() as daemon:
        for turn in range(scene.arguments.rounds):
            scene.arrive(8)
            time.sleep(scene.rng.uniform(0, 0.3))
            umount(bare)
            scene.arrive(3, through=share)
            if turn == 0:
                images.write(bare / "saved_by_mistake.tif", images.image(77_777))
            scene.fault_and_recovery(daemon, "share away", lambda: bind(share, bare))
        scene.wait_recorded()
        daemon.wait_idle(DONE_S)
        umount(bare)
        found = sorted(path.name for path in bare.iterdir())
        say(f"    in the bare folder, which may be written to: {found}")
        if found != ["saved_by_mistake.tif"]:
            scene.faults.append(f"the bare mount point holds {found}")
        bind(share, bare)
        daemon.is_well(RECOVERED_S)


def apart(scene: Scene) -> None:
    """The raw files are read-only, and the results lie on another disk, which goes away and comes back."""
    share, disk, scene.results = (scene.place / name for name in ("share", "disk", "results"))
    for folder in (share, disk, scene.results):
        folder.mkdir()
    for folder in (share, disk):
        mount(folder, "size=64m")
    bind(share, scene.root)
    remount(scene.root, "bind,ro")
    bind(disk, scene.results)
    with scene.daemon() as daemon:
        scene.arrive(5, through=share)
        scene.wait_recorded()
        umount(scene.results)
        scene.arrive(3, through=share)
        scene.fault_and_recovery(daemon, "share away", lambda: bind(disk, scene.results))
        umount(scene.results)
        scene.faults += [f"{path.name} lies in the bare folder" for path in scene.results.iterdir()]
        bind(disk, scene.results)
        daemon.is_well(RECOVERED_S)
        scene.faults += [f"{path.name} lies beside the raw files" for path in share.glob("*colvi*")]


def results_late(scene: Scene) -> None:
    """The share of the results comes after the daemon: unknown at the first start, known at the second."""
    disk, scene.results = scene.place / "disk", scene.place / "results"
    for folder in (disk, scene.results):
        folder.mkdir()
    mount(disk, "size=64m")
    with scene.daemon() as daemon:
        bind(disk, scene.results)
        scene.arrive(5)
        say(f"    on the share that came {scene.wait_recorded():.1f} s after the files")
        daemon.is_well(RECOVERED_S)
    umount(scene.results)
    before = sorted(path.name for path in scene.results.iterdir())
    daemon = Daemon(scene.root, scene.place / "state", "--output-dir", str(scene.results))
    with daemon.ended():
        daemon.start(ready=False)
        visible_s = daemon.ails(VISIBLE_S, "share away")
        scene.arrive(3)
        time.sleep(5)
        after = sorted(path.name for path in scene.results.iterdir())
        if after != before:
            scene.faults.append(f"the bare mount point held {before}, and holds {after}")
        bind(disk, scene.results)
        recorded_s = scene.wait_recorded()
        daemon.is_well(RECOVERED_S)
        say(f"    'share away' told after {visible_s:.1f} s; done {recorded_s:.1f} s after the share came")


def other_device(scene: Scene) -> None:
    """The share comes back with another device number and other inodes: it is the same, by its content."""
    old, new = scene.place / "old", scene.place / "new"
    for share in (old, new):
        share.mkdir()
        mount(share, "size=64m")
    bind(old, scene.root)
    with scene.daemon() as daemon:
        scene.arrive(5)
        scene.wait_recorded()
        daemon.wait_idle(DONE_S)
        umount(scene.root)
        daemon.ails(VISIBLE_S, "share away")
        shutil.copytree(old, new, dirs_exist_ok=True)
        before = {path.name: path.stat() for path in new.glob("*.json")}
        scene.manifest = promises.take(new, "image")
        bind(new, scene.root)
        well_s = daemon.is_well(RECOVERED_S)
        scene.arrive(3)
        scene.wait_recorded()
        daemon.wait_idle(DONE_S)
        rewritten = [n for n, status in before.items() if (scene.root / n).stat().st_ino != status.st_ino]
        say(f"    well after {well_s:.1f} s; {len(rewritten)} of {len(before)} results written again")
        if rewritten:
            scene.faults.append("results of the same content were written again")


def recreated(scene: Scene) -> None:
    """The folder is deleted and made again, slowly, at once, and by renaming."""
    root = scene.root
    with scene.daemon() as daemon:
        scene.arrive(3)
        scene.wait_recorded()
        shutil.rmtree(root)
        scene.manifest.clear()
        scene.fault_and_recovery(daemon, "share away", root.mkdir)
        for words, clear in (
            ("deleted and made at once", lambda: shutil.rmtree(root)),
            ("renamed and made at once", lambda: root.rename(scene.place / "old")),
        ):
            scene.arrive(3)
            scene.wait_recorded()
            clear()
            scene.manifest.clear()
            root.mkdir()
            scene.arrive(5)
            say(f"    {words}: files found and done after {scene.wait_recorded():.1f} s")
        daemon.is_well(RECOVERED_S)


def overflow(scene: Scene) -> None:
    """So much happens while the scanner is held up that the kernel's queue overflows."""
    arguments = scene.arguments
    folders = [f"folder_{number:02}" for number in range(21)]
    for folder in folders:
        (scene.root / folder).mkdir()
    events, queue = 2 * arguments.decoys, int(QUEUE.read_text())
    if events < 1.5 * queue:
        scene.faults.append(f"{events} events are too few for a queue of {queue}")
    with scene.daemon() as daemon:
        scanner = daemon.pid("scanner")
        with daemon.frozen("scanner"):
            began = time.monotonic()
            for number in range(arguments.decoys):
                folder = folders[number % len(folders)]
                (scene.root / folder / f"decoy_{number}.txt").write_bytes(b"x")
                if number % max(1, arguments.decoys // arguments.images) == 0:
                    scene.arrive(1, folder=folder)
            held_up_s = time.monotonic() - began
        scene.arrive(arguments.images - len(scene.manifest), folder=folders[0])
        took_s = scene.wait_recorded()
        daemon.wait_idle(DONE_S)
        same = daemon.pid("scanner") == scanner
        say(f"    {len(scene.manifest)} images, {events} events within {held_up_s:.1f} s; queue of {queue}")
        said = names(daemon)
        say(f"    done {took_s:.1f} s after the scanner went on; the same one: {same}; states: {said}")
        if took_s > RESCANNED_S:
            scene.faults.append(f"found only after {took_s:.0f} s, as if nobody heard of the overflow")
        share = cpu_share(daemon, 5)
        say(f"    the scanner takes {share:.0%} of a core afterwards")
        if share > 0.2:
            scene.faults.append(f"the scanner takes {share:.0%} of a core")


def few_watches(scene: Scene) -> None:
    """The kernel refuses to watch most of the folders; it is found by scans, and told."""
    limited(scene, "max_inotify_watches", 10)


def no_instances(scene: Scene) -> None:
    """The kernel refuses every inotify instance."""
    limited(scene, "max_inotify_instances", 0)


def limited(scene: Scene, name: str, limit: int) -> None:
    """Watch thirty folders with a limit of the kernel; then lift it."""
    folders = [f"folder_{number:02}" for number in range(30)]
    for folder in folders:
        (scene.root / folder).mkdir()
    setting = USER_LIMITS / name
    before = setting.read_text()
    setting.write_text(str(limit))
    try:
        with scene.daemon() as daemon:
            # Folders without a watch show only by what a scan finds and no event announced.
            silent = name == "max_inotify_watches"
            if not silent:
                visible_s = daemon.ails(VISIBLE_S, "degraded")
            for folder in folders:
                scene.arrive(1, folder=folder)
            if silent:
                visible_s = daemon.ails(VISIBLE_S, "degraded")
            took_s = scene.wait_recorded()
            say(f"    'degraded' told after {visible_s:.1f} s; 30 files done after {took_s:.1f} s")
            setting.write_text(before)
            if scene.arguments.patient:
                well_s = daemon.is_well(400)
                scene.arrive(1, folder=folders[-1])
                took_s = scene.wait_recorded()
                say(f"    well {well_s:.0f} s after the limit was lifted; the next file took {took_s:.1f} s")
                if took_s > HEARD_S:
                    scene.faults.append(f"it says that all is well, and hears of nothing ({took_s:.0f} s)")
    finally:
        setting.write_text(before)


def hung(scene: Scene) -> None:
    """The scanner hangs, as in a share that does not answer: it is told, and replaced."""
    with scene.daemon() as daemon:
        scene.arrive(2)
        scene.wait_recorded()
        scanner = daemon.pid("scanner")
        began = time.monotonic()
        with daemon.frozen("scanner"):
            scene.arrive(3)
            told_s = daemon.ails(VISIBLE_S, "stuck")
            wait_for(lambda: daemon.pid("scanner") not in (None, scanner), 120, "for another scanner")
            say(f"    'stuck' told after {told_s:.1f} s; replaced after {time.monotonic() - began:.1f} s")
        scene.wait_recorded()
        daemon.is_well(RECOVERED_S)


SCENARIOS: dict[str, Callable[[Scene], None]] = {
    scenario.__name__: scenario
    for scenario in (
        disk_full,
        state_full,
        state_lost,
        read_only,
        unmounted,
        apart,
        results_late,
        other_device,
        recreated,
        overflow,
        few_watches,
        no_instances,
        hung,
    )
}


def mount(where: Path, options: str) -> None:
    """Mount a small file system in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], check=True)


def remount(where: Path, options: str) -> None:
    """Change how it is mounted."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(where)], check=True)


def bind(what: Path, where: Path) -> None:
    """Mount a folder in a second place."""
    subprocess.run(["mount", "--bind", str(what), str(where)], check=True)


def remove(folder: Path) -> None:
    """Delete a folder, again if somebody writes into it meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def shadow_read_only(where: Path) -> None:
    """Show a folder read-only under its own path; what is open already stays writable."""
    bind(where, where)
    remount(where, "bind,ro")


def umount(where: Path) -> None:
    """Unmount lazily, as the daemon holds the folder open."""
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def fill_inodes(folder: Path) -> None:
    """Make files until there can be no more."""
    try:
        for number in range(100_000):
            (folder / str(number)).touch()
    except OSError:
        pass


def names(daemon: Daemon) -> list[str]:
    """Return what is said to be wrong."""
    return [state["name"] for state in daemon.status()["states"]]


def cpu_share(daemon: Daemon, seconds: float) -> float:
    """Return how much of a core the scanner takes for a while."""
    stat = Path(f"/proc/{daemon.pid('scanner')}/stat")

    def spent() -> int:
        return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))

    before = spent()
    time.sleep(seconds)
    return (spent() - before) / os.sysconf("SC_CLK_TCK") / seconds


def main() -> None:
    """Go through the scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[], metavar="SCENARIO",
                        help=", ".join(SCENARIOS))  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="of unmounting")
    parser.add_argument("--decoys", type=int, default=20_000, help="of the overflow")
    parser.add_argument("--images", type=int, default=200, help="among them")
    parser.add_argument("--patient", action="store_true", help="wait until degraded states end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="to work in")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    with_bundles(parser)
    arguments = parser.parse_args()
    if not arguments.inside_namespaces:
        if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
            say("faults: SKIPPED, this machine lets nobody make user and mount namespaces (unshare)")
            raise SystemExit(77)
        command = [*UNSHARE, sys.executable, "-m", "tests.soak.faults", *sys.argv[1:], INSIDE]
        os.execvp(command[0], command)  # noqa: S606 - ourselves

    faults = []
    for name in arguments.scenarios or SCENARIOS:
        say(f"{name}: {SCENARIOS[name].__doc__}")
        with workplace(arguments.folder) as place:
            scene = Scene(place, arguments)
            try:
                SCENARIOS[name](scene)
            except (TimeoutError, RuntimeError) as error:
                scene.faults.append(str(error))
            finally:
                for mounted in (*place.iterdir(), scene.root):
                    subprocess.run(["umount", "--lazy", str(mounted)], capture_output=True, check=False)
        say(f"{name}: {'FAILED' if scene.faults else 'passed'}")
        faults += [f"{name}: {fault}" for fault in scene.faults]
    verdict("faults", faults)


if __name__ == "__main__":
    main()
