"""Damaged and hostile files, and what is no file: an error record each, and the next good one is judged.

    python -m tests.soak.hostile [--places 20] [--limits]

Files are cut, or zeroed to the end, at many places of each kind of TIFF: none may get another result than the
whole one's, unless it says that the last plane is black. What may still become complete is waited for during
an hour, which passes at once here (see later/sitecustomize.py). After each group a good file has to have its
result in time. With --limits a worker hangs, one needs too much memory, and one dies three times of the same
file.
"""

import argparse
import json
import os
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak import corpus, images, promises
from tests.soak.daemon import Daemon, recorded, say, verdict, wait_for, workplace

HOUR_S = 3700
GOOD_S = 30.0
RECORD_S = 30.0
DRAINED_S = 600.0
EXPLODED_S = 200.0
MOST_WRONG_TAILS = 0.01
"""Share of the zeroed files; zeros of a few bytes may be what the microscope saw."""


def main() -> None:
    """Let them arrive, wait, and look what each has got."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--places", type=int, default=20, help="of damage, for each kind")
    parser.add_argument("--limits", action="store_true", help="also spend a minute or two on the limits")
    parser.add_argument("--folder", type=Path, help="to work in")
    arguments = parser.parse_args()
    with workplace(arguments.folder) as place:
        Siege(place, arguments).run()


class Siege:
    """A daemon, what is thrown at it, and what came of it."""

    def __init__(self, place: Path, arguments: argparse.Namespace) -> None:
        self.root = place / "root"
        self.root.mkdir()
        self.outside = place / "outside" / "secret.tif"
        self.outside.parent.mkdir()
        images.write(self.outside, images.image(9999))
        self.state = place / "state"
        self.clock = place / "clock"
        self.clock.write_text("0")
        paths = [str(Path(__file__).parent / "later"), os.environ.get("PYTHONPATH", "")]
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "SOAK_CLOCK": str(self.clock)}
        self.daemon = Daemon(self.root, self.state, environment=environment)
        self.arguments = arguments
        self.numbers = list(range(5000, 5100))
        self.goods: list[float] = []
        self.faults: list[str] = []

    def run(self) -> None:
        """Throw all groups, let the hour pass, and judge."""
        with self.daemon:
            self.throw_names()
            self.throw_special()
            self.throw_hostile()
            if self.arguments.limits:
                self.throw_limits()
            self.throw_damaged()
            self.let_an_hour_pass()
        if self.arguments.limits:
            self.explode(self.root.parent)
        say(f"good files in between: {len(self.goods)}, slowest {max(self.goods):.1f} s")
        self.judge()
        report = promises.check(self.root)
        say(report)
        if list(self.outside.parent.iterdir()) != [self.outside]:
            self.faults.append("something was written beside the file outside")
        verdict("hostile", [*self.faults, *self.daemon.bugs(), *report.faults])

    # --- what is thrown

    def throw_names(self) -> None:
        """Names that trip programs up, of good images."""
        folder = self.folder("names")
        raws = [folder / name for name in corpus.names()]
        for number, raw in enumerate(raws):
            images.write(raw, images.image(number))
        self.expect_good("names")
        wait_for(lambda: sum(1 for _ in self.records("names")) >= len(raws) + 1, RECORD_S, "for the names")
        statuses = Counter(record["status"] for record in self.records("names"))
        say(f"names: {len(raws)} of good images; records: {dict(statuses)}")
        if statuses["ok"] != len(raws) + 1:
            self.faults.append("a good image with a strange name has no result")

    def throw_special(self) -> None:
        """Links, pipes, sockets and devices; a link to a folder; a hard link to a file outside."""
        folder = self.folder("special")
        made = corpus.special(self.outside)
        for name, make in made.items():
            make(folder / name)
        (folder / "folder_outside").symlink_to(self.outside.parent)
        os.link(self.outside, folder / "hard_link_is_only_read.tif")
        if "device.tif" not in made:
            say("special: no device is made, as that needs root")
        began = time.monotonic()
        self.expect_good("special")
        self.expect_errors([folder / name for name in made], began, "special")

    def throw_hostile(self) -> None:
        """Files that no microscope writes."""
        folder = self.folder("hostile")
        cases = corpus.hostile(self.outside)
        for name, data in cases.items():
            images.write(folder / name, data)
        began = time.monotonic()
        self.expect_good("hostile")
        self.wait_until_tried()
        final = [folder / name for name in cases if recorded(folder / name)]
        self.expect_errors(final, began, "hostile")
        say(f"hostile: {len(cases)} files, of which {len(cases) - len(final)} may still become complete")

    def throw_damaged(self) -> None:
        """Cut and zeroed files, and the whole ones."""
        folder = self.folder("damaged")
        whole = corpus.kinds()
        for kind, data in whole.items():
            images.write(folder / f"{kind}_whole.tif", data)
        for name, data in corpus.damaged(whole, self.arguments.places):
            images.write(folder / name, data)
        self.expect_good("damaged")
        self.wait_until_tried()

    def throw_limits(self) -> None:
        """A file that takes much memory; a worker that hangs; one that dies three times of a file."""
        folder = self.folder("limits")
        slow = [folder / f"slow_{number}.tif" for number in range(2)]
        data = np.random.default_rng(2).poisson(900, (10, 2, 1024, 1024)).astype(np.uint16)
        began = time.monotonic()
        images.write(slow[0], corpus.written(data, imagej=True, metadata={"axes": "ZCYX"}))
        worker = self.daemon.pid("worker")
        self.wait_given(slow[0], 1)
        with self.daemon.frozen("worker"):
            self.wait_for_another(worker)
            hung_s = time.monotonic() - began
            wait_for(lambda: recorded(slow[0]), 60, "for the file of the worker that hung", every_s=0.1)
        say(f"limits: a worker that hung was replaced after {hung_s:.1f} s; its file was done {since(began)}")

        began = time.monotonic()
        images.write(slow[1], corpus.written(data + 1, imagej=True, metadata={"axes": "ZCYX"}))
        for attempt in range(1, 4):
            self.wait_given(slow[1], attempt)
            self.daemon.kill("worker")
        self.expect_errors([slow[1]], began, "limits")
        self.expect_good("limits")

    def explode(self, place: Path) -> None:
        """5 GB in a small file, for a daemon whose operator allowed so many: the memory limit holds."""
        root = place / "allowed"
        root.mkdir()
        numbers = {"pixels": 10**10, "decoded_bytes": 10**10, "expansion": 10**6}
        options = [word for name, number in numbers.items() for word in ("--limit", f"{name}={number}")]
        with Daemon(root, place / "state of allowed", *options) as daemon:
            began = time.monotonic()
            images.write(root / "bomb.tif", corpus.bomb(40_000))
            images.write(root / "good.tif", images.image(0))
            wait_for(lambda: recorded(root / "good.tif"), EXPLODED_S, "for the good file behind the bomb")
            good = since(began)
            wait_for(lambda: recorded(root / "bomb.tif"), EXPLODED_S, "for the bomb to be quarantined")
            ended = daemon.log().count("worker ended: ")
        words = json.loads((root / "bomb.tif.colvi.error.json").read_bytes())["error"]["message"]
        say(f"bomb: {words}; {ended} workers, {since(began)}; the good file behind it {good}")
        self.faults += promises.check(root).faults

    def let_an_hour_pass(self) -> None:
        """Move the clock, and wait until nothing is pending."""
        pending = self.daemon.status()["files"]["pending"]
        later = self.clock.with_name("clock.new")
        later.write_text(str(HOUR_S))
        later.replace(
            self.clock
        )  # the daemon's processes read it all the while, and an empty one is no number
        try:
            took_s = self.daemon.wait_idle(DRAINED_S)
        except TimeoutError as error:
            self.faults.append(str(error))
            return
        say(f"an hour passed: {pending} files that were waited for have their record {took_s:.0f} s later")

    # --- what is expected

    def expect_good(self, folder: str) -> None:
        """A good file that arrives now has its result in time."""
        began = time.monotonic()
        good = self.root / folder / "good.tif"
        while good.exists():
            good = good.with_name(f"x{good.name}")
        images.write(good, images.image(self.numbers.pop()))
        record = good.with_name(f"{good.name}.colvi.json")
        wait_for(record.exists, GOOD_S, f"for a good file behind those of {folder}")
        self.goods.append(time.monotonic() - began)

    def expect_errors(self, raws: list[Path], began: float, group: str) -> None:
        """Each of some files has its error record in time."""
        errors = [raw.with_name(f"{raw.name}.colvi.error.json") for raw in raws]
        try:
            wait_for(lambda: all(error.exists() for error in errors), RECORD_S, "for the error records")
        except TimeoutError:
            missing = [raw.name for raw, error in zip(raws, errors, strict=True) if not error.exists()]
            self.faults.append(f"{group}: no error record within {RECORD_S:.0f} s: {missing}")
        taken = Counter(json.loads(error.read_bytes())["error"]["kind"] for error in errors if error.exists())
        say(f"{group}: {taken.total()} error records of {len(raws)} {since(began)}: {dict(taken)}")

    def wait_until_tried(self) -> None:
        """Wait until each file has a record, or was tried and is waited for."""
        ledger = f"file:{self.state_file('ledger.sqlite')}?mode=ro"

        def untried() -> bool:
            raws = sum(
                promises.is_raw(name) for names in promises.listing(self.root).values() for name in names
            )
            with closing(sqlite3.connect(ledger, uri=True)) as connection:
                query = "SELECT count(*) FROM entries WHERE attempts = 0"
                return int(connection.execute(query).fetchone()[0]) < raws

        wait_for(lambda: not untried(), DRAINED_S, "for each file to be tried", every_s=0.5)

    def wait_given(self, raw: Path, attempt: int) -> None:
        """Wait until the worker was given a file so many times; look often, as it is soon done."""
        path = os.fsencode(raw.relative_to(self.root))
        with closing(sqlite3.connect(f"file:{self.state_file('ledger.sqlite')}?mode=ro", uri=True)) as ledger:

            def attempts() -> int:
                row = ledger.execute("SELECT attempts FROM entries WHERE path = ?", (path,)).fetchone()
                return int(row[0]) if row else 0

            wait_for(lambda: attempts() >= attempt, 60, f"for attempt {attempt} on {raw.name}", every_s=0.002)

    def wait_for_another(self, worker: int | None) -> None:
        """Wait until another worker is there."""
        wait_for(lambda: self.daemon.pid("worker") not in (worker, None), 60, "for another worker")

    def judge(self) -> None:
        """Compare the result of each damaged file with that of the whole one."""
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for kind in corpus.kinds():
            whole = self.record(f"{kind}_whole.tif")
            if whole["status"] == "error":
                say(f"damaged: {kind} is refused, whole as it may be: {whole['error']['kind']}")
            for raw in sorted((self.root / "damaged").glob(f"{kind}_[cz]*_*.tif")):
                damage = raw.name.removeprefix(f"{kind}_").partition("_")[0]
                if damage not in ("cut", "zeros"):
                    continue  # of a kind whose name begins alike
                found = self.record(raw.name)
                refused = found["status"] == "error"
                right = not refused and essence(found) == essence(whole)
                told = not refused and any(flag["name"] == "last_plane_black" for flag in found["quality"])
                outcome = "refused" if refused else "right" if right else "told" if told else "wrong"
                outcomes[damage][outcome] += 1
                if outcome == "wrong":
                    say(f"damaged: {raw.name} has a wrong result: {found['status']}, {found.get('score')}")
        for damage, counted in outcomes.items():
            say(f"damaged: {damage}: {dict(counted)} of {counted.total()}")
        if outcomes["cut"]["wrong"]:
            self.faults.append(f"{outcomes['cut']['wrong']} cut files have a wrong result")
        if outcomes["zeros"]["wrong"] > MOST_WRONG_TAILS * outcomes["zeros"].total():
            self.faults.append(f"{outcomes['zeros']['wrong']} files with a zeroed end have a wrong result")

    # --- where things are

    def folder(self, name: str) -> Path:
        """Make a folder for a group."""
        folder = self.root / name
        folder.mkdir()
        return folder

    def state_file(self, name: str) -> Path:
        """Return a file that the daemon keeps."""
        (path,) = self.state.glob(f"colvi-edge/watch/*/{name}")
        return path

    def records(self, folder: str) -> Iterator[Any]:
        """Yield every record in a folder."""
        for path in (self.root / folder).iterdir():
            if path.name.endswith((".colvi.json", ".colvi.error.json")):
                yield json.loads(path.read_bytes())

    def record(self, name: str) -> Any:
        """Return the record of a damaged file."""
        stem = self.root / "damaged" / f"{name}.colvi"
        result = stem.with_name(f"{stem.name}.json")
        return json.loads(
            (result if result.exists() else stem.with_name(f"{stem.name}.error.json")).read_bytes()
        )


OF_THE_FILE = ("name", "bytes", "sha256", "mtime_ns")
"""What a record says of the file, and not of the image in it."""


def essence(record: Any) -> Any:
    """Return what of a record depends on the pixels and on how they were understood."""
    image = {key: value for key, value in record["image"].items() if key not in OF_THE_FILE}
    return record["status"], record.get("patches"), record["quality"], image


def told(record: Any) -> str:
    """Return what a record says, in some words."""
    return f"{record['status']} {record.get('error', {}).get('kind', record.get('score', ''))}"


def since(began: float) -> str:
    """Return how long something took."""
    return f"after {time.monotonic() - began:.1f} s"


if __name__ == "__main__":
    main()
