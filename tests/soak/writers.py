"""Programs write slowly, in eight ways: no result may ever come from a file that is not finished.

    python -m tests.soak.writers [--files 200] [--seed 0] [--seconds 16]

Every record that ever appears is noted, and its hash compared with what the file held when no program was
at work on it. Prints that, and the latency from the last close to the record of the final content.
"""

import argparse
import hashlib
import json
import mmap
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import images, promises
from tests.soak.daemon import Daemon, percentile, say, verdict, wait_for, workplace

AT_ONCE = 16
SETTLED_S = 90.0
EARLIER = 1 << 23
"""Added to the number of an image for what a file held before."""


@dataclass
class Writing:
    """A raw file that is being written.

    Attributes:
        number: of the file.
        path: under its final name.
        scratch: a folder on the same disk that is not watched.
        data: the final content.
        rng: for pauses.
        seconds: that the writing takes, about.
        complete: hashes of what it held while it was whole and nobody wrote.
        ended: when the last byte was right and the program was gone.
        release: to be called after the end.
    """

    number: int
    path: Path
    scratch: Path
    data: bytes
    rng: random.Random
    seconds: float
    complete: list[str] = field(default_factory=list)
    ended: float = 0.0
    release: Callable[[], None] = lambda: None

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """Yield place and content of the pieces, with pauses: one takes half of the time.

        In 6 s of silence a file passes for finished, and only its content tells that it is not.
        """
        edges = sorted(self.rng.sample(range(1, len(self.data)), 7))
        long = self.rng.randrange(len(edges))
        for index, (start, end) in enumerate(zip([0, *edges], [*edges, len(self.data)], strict=True)):
            yield start, self.data[start:end]
            time.sleep(self.seconds * (0.5 if index == long else 0.5 / len(edges)))

    @property
    def kind(self) -> Callable[["Writing"], None]:
        """Return the way in which it is written."""
        return KINDS[self.number % len(KINDS)]

    def run(self) -> None:
        """Write it."""
        self.kind(self)

    def whole(self, data: bytes) -> None:
        """Note that this is a complete content."""
        self.complete.append(hashlib.sha256(data).hexdigest())

    def end(self) -> None:
        """Note that the final content stands there, and that nobody writes any more."""
        self.whole(self.data)
        self.ended = time.monotonic()


def in_chunks(writing: Writing) -> None:
    """Open, write piece by piece, close."""
    with writing.path.open("xb", buffering=0) as file:
        for _, piece in writing.chunks():
            file.write(piece)
    writing.end()


def preallocated(writing: Writing) -> None:
    """Reserve the full length first, as a copy from Windows does."""
    with writing.path.open("xb", buffering=0) as file:
        file.truncate(len(writing.data))
        for place, piece in writing.chunks():
            os.pwrite(file.fileno(), piece, place)
    writing.end()


def truncated_at_close(writing: Writing) -> None:
    """Reserve far more, and cut it off at the end, as Micro-Manager does."""
    with writing.path.open("xb", buffering=0) as file:
        file.truncate(4 * len(writing.data))
        for _, piece in writing.chunks():
            file.write(piece)
        file.truncate(len(writing.data))
    writing.end()


def renamed_in(writing: Writing) -> None:
    """Write under another name, in the same folder, then rename."""
    draft = writing.path.with_name(f"{writing.path.name}.part")
    with draft.open("xb", buffering=0) as file:
        for _, piece in writing.chunks():
            file.write(piece)
    draft.rename(writing.path)
    writing.end()


def copied_tree(writing: Writing) -> None:
    """Copy a file together with the new folders that it lies in."""
    writing.path.parent.mkdir(parents=True)
    in_chunks(writing)


def hard_linked(writing: Writing) -> None:
    """Write elsewhere, link it in, and remove the first name later, which changes the inode's ctime."""
    draft = writing.scratch / writing.path.name
    with draft.open("xb", buffering=0) as file:
        for _, piece in writing.chunks():
            file.write(piece)
    os.link(draft, writing.path)
    writing.end()
    time.sleep(writing.rng.uniform(0, 1))
    draft.unlink()


def mapped(writing: Writing) -> None:
    """Write and close a whole image; then its pixels change through memory, which nothing reports."""
    before = images.image(writing.number + EARLIER)
    writing.whole(before)
    with writing.path.open("xb", buffering=0) as file:
        file.write(before)
        with writing.path.open("r+b") as again:
            memory = mmap.mmap(again.fileno(), len(before))
        for page in range(0, len(before), mmap.PAGESIZE):
            memory[page] = before[page]  # dirty now, so that a later change moves no time of the file
    time.sleep(writing.rng.uniform(0.2, 1.2))
    memory[:] = writing.data
    writing.end()
    writing.release = memory.close  # which would be an event, and give it away


def reopened(writing: Writing) -> None:
    """Write and close a whole image, then open it again twice and write over its pixels."""
    first = images.image(writing.number + EARLIER)
    images.write(writing.path, first)
    writing.whole(first)
    for _ in range(2):
        time.sleep(writing.rng.uniform(0, 1))
        with writing.path.open("r+b", buffering=0) as file:
            for start in range(0, len(writing.data), 1 << 16):
                os.pwrite(file.fileno(), writing.data[start : start + (1 << 16)], start)
                time.sleep(writing.rng.uniform(0, 0.1))
    writing.end()


KINDS = (
    in_chunks,
    preallocated,
    truncated_at_close,
    renamed_in,
    copied_tree,
    hard_linked,
    mapped,
    reopened,
)


@dataclass(frozen=True)
class Seen:
    """A record that was there at a moment."""

    at: float
    sha256: str
    status: str
    revision: int


class Recorder(threading.Thread):
    """Notes every record that appears beside some raw files, by looking each few milliseconds."""

    def __init__(self, raws: list[Path]) -> None:
        super().__init__(daemon=True)
        self.seen: dict[Path, list[Seen]] = {raw: [] for raw in raws}
        self._states: dict[Path, tuple[int, int]] = {}
        self._ending = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._ending.wait(0.005):
            for raw, seen in self.seen.items():
                for end in (".colvi.json", ".colvi.error.json"):
                    self._look(raw.with_name(raw.name + end), seen)

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self.join()

    def _look(self, path: Path, seen: list[Seen]) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116 - five times as fast as Path.stat
            state = status.st_ino, status.st_mtime_ns
            if self._states.get(path) == state:
                return
            record = json.loads(path.read_bytes())
        except FileNotFoundError:
            return
        self._states[path] = state
        sha256 = record["image"].get("sha256", "")
        seen.append(Seen(time.monotonic(), sha256, record["status"], record.get("revision", 0)))


def write_all(root: Path, scratch: Path, files: int, seconds: float, rng: random.Random) -> list[Writing]:
    """Return what is to be written, one kind after the other."""
    writings = []
    for number in range(files):
        kind = KINDS[number % len(KINDS)].__name__
        folder = root / f"tree_{number}" / "deep" if kind == "copied_tree" else root
        writings.append(
            Writing(
                number,
                folder / f"{kind}_{number}.tif",
                scratch,
                images.image(number),
                random.Random(rng.random()),  # noqa: S311 - repeatable, not secret
                rng.uniform(1, seconds),
            )
        )
    return writings


def main() -> None:
    """Write, watch what appears, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=16, help="that a file takes to write, at most")
    parser.add_argument("--folder", type=Path, help="to work in")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)  # noqa: S311 - repeatable, not secret

    with workplace(arguments.folder) as place:
        root, scratch = place / "root", place / "scratch"
        root.mkdir()
        scratch.mkdir()
        writings = write_all(root, scratch, arguments.files, arguments.seconds, rng)
        recorder = Recorder([writing.path for writing in writings])
        with Daemon(root, place / "state") as daemon:
            recorder.start()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for done in [
                    pool.submit(KINDS[number % len(KINDS)], writing)
                    for number, writing in enumerate(writings)
                ]:
                    done.result()
            manifest = {str(w.path.relative_to(root)): promises.note(w.path, "image") for w in writings}
            say(f"{len(writings)} files written in {len(KINDS)} ways, by {AT_ONCE} programs at a time")

            def all_current() -> bool:
                return all(
                    seen and seen[-1].sha256 == writing.complete[-1]
                    for writing, seen in zip(writings, recorder.seen.values(), strict=True)
                )

            late = ""
            try:
                wait_for(all_current, SETTLED_S, "for the records of the final contents")
            except TimeoutError as error:
                late = str(error)
            daemon.wait_idle(SETTLED_S)
        recorder.stop()
        report = promises.check(root, manifest=manifest)
        for writing in writings:
            writing.release()

    faults = judge(writings, recorder.seen)
    say(report)
    verdict("writers", [*faults, *report.faults, *([late] if late else [])])


def judge(writings: list[Writing], seen: dict[Path, list[Seen]]) -> list[str]:
    """Print a line for each kind; return the faults."""
    faults = []
    partial: Counter[str] = Counter()
    replaced: Counter[str] = Counter()
    latencies: dict[str, list[float]] = defaultdict(list)
    for writing in writings:
        kind = writing.kind.__name__
        records = seen[writing.path]
        for record in records:
            if record.sha256 not in writing.complete or record.status == "error":
                partial[kind] += 1
                faults.append(f"{writing.path.name}: a record of an unfinished file, {record}")
        final = [record.at for record in records if record.sha256 == writing.complete[-1]]
        replaced[kind] += len(records) > 1
        latencies[kind] += [max(0.0, final[0] - writing.ended)] if final else []
    say(f"{'kind':<20}{'files':>6}{'partial':>9}{'replaced':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for kind in (writer.__name__ for writer in KINDS):
        if times := latencies[kind]:
            spread = "".join(f"{1000 * percentile(times, share):>9.0f}" for share in (50, 99, 100))
            say(f"{kind:<20}{len(times):>6}{partial[kind]:>9}{replaced[kind]:>10}{spread}")
    return faults


if __name__ == "__main__":
    main()
