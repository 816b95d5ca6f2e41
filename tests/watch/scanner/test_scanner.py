"""The scanner as its supervisor sees it: a real process on real folders, whose waiting times are short."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.share_lock import LOCK_NAME
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.channel import Channel
from colvi_edge.watch.ipc.messages import (
    Alive,
    Degraded,
    FileReady,
    Message,
    Rescan,
    RootState,
    Scanned,
    Settles,
)
from colvi_edge.watch.ipc.settings import ScannerSettings, Scanning
from colvi_edge.watch.ledger.entries import FileState
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.timings import Timings
from tests.tools.results import REJECTED, USUAL, files_of

TIMINGS = Timings(
    scanner_alive_s=0.1,
    claim_check_s=0.1,
    local_scan_s=3.0,
    share_scan_s=0.3,
    settling_told_s=0.05,
    quiet_after_close_s=0.1,
    quiet_local_s=0.3,
    quiet_share_s=0.8,
    leftover_s=0.3,
)
FAILING = str(Path(__file__).parents[1] / "fakes" / "failing_scanner.py")
UNSHARED = ["unshare", "--user", "--map-root-user", "--mount"]
can_unshare = pytest.mark.skipif(
    subprocess.run([*UNSHARED, "true"], capture_output=True).returncode != 0,
    reason="needs a kernel that lets this user unshare mounts",
)


class Supervisor:
    """The scanner's other side: starts it, and keeps all that it says."""

    def __init__(
        self, root: Path, state: Path, *prefix: str, fails: Sequence[str] = (), **settings: Any
    ) -> None:
        output_dir = settings.pop("output_dir", None)
        folders = FolderPaths(root, output_dir and Path(output_dir))
        scanning = Scanning(*(settings.pop(field.name, field.default) for field in fields(Scanning)))
        self.root = root
        self.said: list[Message] = []
        self._more = threading.Condition()
        ours, theirs = socket.socketpair()
        program = [FAILING] if fails else ["-m", "colvi_edge.watch.scanner"]
        command = [*prefix, sys.executable, *program, str(theirs.fileno()), str(os.getpid()), *fails]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        self._socket, self._line = ours, Channel(ours)
        self.say(ScannerSettings(folders, scanning, state, timings=TIMINGS, **settings))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for message in self._line:
            with self._more:
                self.said.append(message)
                self._more.notify_all()

    def say(self, message: Message) -> None:
        """Send a message."""
        self._line.send(message)

    def wait(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something holds for what was said; twenty seconds at most."""
        with self._more:
            assert self._more.wait_for(reached, 20), (
                what,
                [m for m in self.said if not isinstance(m, Alive)],
            )

    def ready(self) -> dict[str, FileReady]:
        """Return what was said to be ready, the last of each path."""
        return {message.path: message for message in self.said if isinstance(message, FileReady)}

    def wait_ready(self, *paths: str) -> None:
        """Wait for these paths."""
        self.wait(lambda: set(paths) <= set(self.ready()), f"{paths} ready")

    def last(self, kind: type[Any]) -> Any:
        """Return the last message of a kind, or None."""
        return next((message for message in reversed(self.said) if isinstance(message, kind)), None)

    def wait_last(self, message: Message) -> None:
        """Wait until the last message of its kind is this one."""
        self.wait(lambda: self.last(type(message)) == message, f"{message}")

    def wait_root(self, state: str) -> RootState:
        """Wait until this is said of the root."""
        self.wait(lambda: (said := self.last(RootState)) is not None and said.state == state, f"root {state}")
        root: RootState = self.last(RootState)
        return root

    def rescan(self) -> Scanned:
        """Have it scan; return what it answers."""
        before = sum(isinstance(message, Scanned) for message in self.said)
        self.say(Rescan())
        self.wait(lambda: sum(isinstance(m, Scanned) for m in self.said) > before, "scanned")
        answer: Scanned = self.last(Scanned)
        return answer

    def settle(self) -> None:
        """Have it scan, and wait until nothing that it found settles any more."""
        self.rescan()

        def settling() -> int:
            said = [message for message in self.said if isinstance(message, Scanned | Settles)]
            return said[-1].settling

        self.wait(lambda: settling() == 0, "all at rest")

    def go_round(self, times: int = 3) -> None:
        """Wait until its loop came round this often."""
        before = self.said.count(Alive())
        self.wait(lambda: self.said.count(Alive()) >= before + times, f"{times} rounds")

    def hang_up(self) -> None:
        """End the line."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """End it as the end of a supervisor would."""
        self.hang_up()
        self.process.wait(10)
        self._line.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty folder to be watched."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the path of an empty ledger."""
    Ledger(tmp_path / "ledger.sqlite").close()
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def start(root: Path, state: Path) -> Iterator[Callable[..., Supervisor]]:
    """Return a function that starts a scanner, and waits for its first scan if it is let."""
    started: list[Supervisor] = []

    def begin(*prefix: str, wait: bool = True, path: Path = root, **settings: Any) -> Supervisor:
        started.append(Supervisor(path, state, *prefix, **settings))
        if wait:
            started[-1].wait(lambda: started[-1].last(Scanned) is not None, "first scan")
        return started[-1]

    yield begin
    for supervisor in started:
        supervisor.process.send_signal(signal.SIGCONT)
        supervisor.end()


def lstat(path: Path) -> Signature:
    """Return a file's state."""
    return Signature.of(path.lstat())


def test_a_new_file_is_ready_at_once(root: Path, start: Callable[..., Supervisor]) -> None:
    """In the state in which it was closed, and at the time of that."""
    scanner = start()
    before = time.monotonic()
    (root / "a.tif").write_text("pixels")
    after = time.monotonic()
    scanner.wait_ready("a.tif")
    ready = scanner.ready()["a.tif"]

    assert ready.early
    assert ready.signature == lstat(root / "a.tif")
    assert ready.quiet_s == 0.1
    assert before <= ready.closed_at <= after + 1
    assert scanner.rescan().files == 1
    assert list(scanner.ready()) == ["a.tif"]


def test_what_was_there_before(root: Path, state: Path, start: Callable[..., Supervisor]) -> None:
    """All but what the ledger knows in this state, with its result; each once, links and pipes too."""
    ledger = Ledger(state)
    for name in ("new", "done", "changed", "bare", "failed", "pending"):
        (root / f"{name}.tif").write_text(name)
        if name != "new":
            ledger.begin(f"{name}.tif", lstat(root / f"{name}.tif"))
        if name not in ("new", "pending"):
            ledger.finish(f"{name}.tif", "failed" if name == "failed" else "done")
    ledger.close()
    for name in (
        "done.tif.colvi.json",
        "done.tif.colvi.png",
        "changed.tif.colvi.json",
        "failed.tif.colvi.error.json",
    ):
        (root / name).touch()
    (root / "changed.tif").write_text("longer now")
    (root / "link.tif").symlink_to("/etc/hostname")
    os.mkfifo(root / "pipe.tif")
    scanner = start()
    expected = {"new.tif", "changed.tif", "bare.tif", "pending.tif", "link.tif", "pipe.tif"}
    scanner.wait_ready(*expected)

    assert {path: ready.signature for path, ready in scanner.ready().items()} == {
        path: lstat(root / path) for path in expected
    }
    assert not any(ready.early for ready in scanner.ready().values())
    scanned = scanner.rescan()
    assert (scanned.files, scanned.missed) == (8, 0)
    scanner.settle()
    assert sum(isinstance(message, FileReady) for message in scanner.said) == len(expected)


def test_a_lost_result_is_made_again(root: Path, state: Path, start: Callable[..., Supervisor]) -> None:
    """An operator who removes a sidecar wants it again; one that is still to be written is waited for."""
    scanner = start()
    (root / "a.tif").write_text("pixels")
    scanner.wait_ready("a.tif")
    ledger = Ledger(state)
    ledger.begin("a.tif", lstat(root / "a.tif"))
    scanner.said.clear()
    scanner.settle()
    assert not scanner.ready()
    for end in ("json", "png"):
        (root / f"a.tif.colvi.{end}").touch()
    ledger.finish("a.tif", "done")
    scanner.settle()
    assert not scanner.ready()
    (root / "a.tif.colvi.json").unlink()
    scanner.rescan()
    scanner.wait_ready("a.tif")
    ledger.close()


def judged(ledger: Ledger, raw: Path, *ends: str, state: FileState = "done", files: int = -1) -> None:
    """Write the files of a result, and note it as a supervisor does."""
    for end in ends:
        raw.with_name(f"{raw.name}.colvi.{end}").touch()
    ledger.begin(raw.name, lstat(raw))
    ledger.finish(raw.name, state, files=len(ends) if files < 0 else files)


EARLIER = ("json", "png", "csv", "geojson", "rois.zip")
"""A result of 0.1.0, which no kind that comes later is added to."""


@pytest.mark.parametrize("gone", USUAL)
def test_each_file_of_a_result_is_missed(
    root: Path, state: Path, start: Callable[..., Supervisor], gone: str
) -> None:
    """The picture and the tables as the sidecar, of whatever result; of what is whole nothing is told."""
    with closing(Ledger(state)) as ledger:
        names = (
            "whole.tif",
            "a.tif",
            "earlier.tif",
            "rejected.tif",
            "data.tif",
            "failed.tif",
            "kept.tif",
            "x.lif",
        )
        for name in names:
            (root / name).write_text(name)
        judged(ledger, root / "whole.tif", *USUAL)
        judged(ledger, root / "a.tif", *USUAL)
        judged(ledger, root / "earlier.tif", *EARLIER, files=0)
        judged(ledger, root / "rejected.tif", *REJECTED)
        judged(ledger, root / "data.tif", *USUAL, "ome.tif")
        judged(ledger, root / "failed.tif", "error.json", state="failed", files=0)
        judged(ledger, root / "kept.tif", *USUAL, state="failed")
        judged(ledger, root / "x.lif", "json", files=4)
        for key in ("0000-a", "0001-b"):
            (root / f"x.lif.{key}.colvi.json").touch()
        (root / "x.lif.0000-a.colvi.png").touch()
    scanner = start()
    scanner.settle()
    assert not scanner.ready()

    lost = {"a.tif", "data.tif", "kept.tif"}
    lost |= {"earlier.tif"} if gone in EARLIER else set()
    lost |= {"rejected.tif"} if gone in REJECTED else set()
    for name in lost:
        (root / f"{name}.colvi.{gone}").unlink()
    (root / "failed.tif.colvi.error.json").unlink()
    (root / "x.lif.0001-b.colvi.json").unlink()
    scanner.rescan()
    scanner.wait_ready(*lost, "failed.tif", "x.lif")
    assert "whole.tif" not in scanner.ready()


@pytest.mark.parametrize(
    "gone", ["a.tif.colvi.png", "a.tif.nuclei.colvi.json", "a.tif.nuclei.colvi.labels.tif"]
)
def test_files_of_each_bundle_are_missed(
    root: Path, state: Path, start: Callable[..., Supervisor], gone: str
) -> None:
    """And what one of them has not answered is no loss; labels are missed where the ledger knows of them."""
    with closing(Ledger(state)) as ledger:
        nuclei = ledger.of("nuclei")
        nuclei.note_labels()
        for name in ("a.tif", "half.tif", "x.lif"):
            (root / name).write_text(name)
            judged(ledger, root / name, *(USUAL if name != "x.lif" else ["json"]))
        for name in files_of("a.tif.nuclei", "labels.tif"):
            (root / name).touch()
        nuclei.begin("a.tif", lstat(root / "a.tif"))
        nuclei.finish("a.tif", "done", files=len(USUAL) + 1)
        (root / "x.lif.nuclei.colvi.json").touch()
        nuclei.begin("x.lif", lstat(root / "x.lif"))
        nuclei.finish("x.lif", "done", files=1)
    scanner = start(slots=["", "nuclei"])
    scanner.wait_ready("half.tif")  # which the first one alone has judged
    scanner.settle()
    assert set(scanner.ready()) == {"half.tif"}

    (root / gone).unlink()
    (root / "x.lif.nuclei.colvi.json").unlink()
    scanner.rescan()
    scanner.wait_ready("a.tif", "x.lif")


def test_a_loss_is_seen_while_another_bundle_has_no_answer(
    root: Path, state: Path, start: Callable[..., Supervisor]
) -> None:
    """It is told whose it is, once; and that of the other, when that has one."""
    raw = root / "a.tif"
    raw.write_text("pixels")
    scanner = start(slots=["", "nuclei"])
    scanner.wait_ready("a.tif")

    def told() -> list[list[str]]:
        for _ in range(3):
            scanner.settle()
        ready = [message.lost for message in scanner.said if isinstance(message, FileReady)]
        scanner.said.clear()
        return ready

    with closing(Ledger(state)) as ledger:
        judged(ledger, raw, *USUAL)
        assert told() == [[]]
        (root / "a.tif.colvi.png").unlink()
        assert told() == [[""]]
        nuclei = ledger.of("nuclei")
        for name in files_of("a.tif.nuclei"):
            (root / name).touch()
        nuclei.begin("a.tif", lstat(raw))
        nuclei.finish("a.tif", "done", files=len(USUAL))
        assert told() == []
        (root / "a.tif.nuclei.colvi.csv").unlink()
        assert told() == [["nuclei"]]
        (root / "a.tif.nuclei.colvi.csv").touch()
        (root / "a.tif.colvi.png").touch()
        assert told() == []
        (root / "a.tif.nuclei.colvi.json").unlink()
        assert told() == [["nuclei"]]


def test_a_file_that_never_comes_is_asked_for_once(
    root: Path, state: Path, start: Callable[..., Supervisor]
) -> None:
    """And again when it had come and is gone once more; a rejected image never has all the usual files."""
    ledger = Ledger(state)
    raw, picture = root / "a.tif", root / "a.tif.colvi.png"
    raw.write_text("pixels")
    judged(ledger, raw, "json", "png")
    scanner = start()

    def asked(gone: bool) -> int:
        if gone:
            picture.unlink()
        for _ in range(4):
            scanner.settle()
        return sum(isinstance(message, FileReady) for message in scanner.said)

    assert asked(gone=True) == 1
    judged(ledger, raw, files=2)  # an answer that mends nothing
    assert asked(gone=False) == 1
    picture.touch()
    judged(ledger, raw, files=2)
    assert asked(gone=False) == 1
    assert asked(gone=True) == 2
    ledger.close()


def test_ways_into_the_folder(root: Path, tmp_path: Path, start: Callable[..., Supervisor]) -> None:
    """Copied and moved trees, hard links, renames; each file once it is whole, none is missed."""
    outside = tmp_path / "outside"
    (outside / "deep/er").mkdir(parents=True)
    for path in ("1.tif", "deep/2.tif", "deep/er/3.tif", "4.tif", "5.tif"):
        (outside / path).write_text(path)
    scanner = start()
    shutil.copytree(outside, root / "copied")
    os.link(outside / "4.tif", root / "linked.tif")
    (outside / "5.tif").rename(root / "in.tif")
    (root / "6.part").write_text("6")
    (root / "6.part").rename(root / "6.tif")
    outside.rename(root / "moved")
    expected = [f"copied/{path}" for path in ("1.tif", "deep/2.tif", "deep/er/3.tif", "4.tif", "5.tif")]
    expected += [f"moved/{path}" for path in ("1.tif", "deep/2.tif", "deep/er/3.tif", "4.tif")]
    expected += ["linked.tif", "in.tif", "6.tif"]
    scanner.wait_ready(*expected)

    assert {path: ready.signature for path, ready in scanner.ready().items()} == {
        path: lstat(root / path) for path in expected
    }
    assert scanner.rescan().missed == 0


def test_what_settles_is_told_between_scans(root: Path, start: Callable[..., Supervisor]) -> None:
    """As it begins and ends, so that no file counts twice until the next scan."""
    scanner = start(interval_s=3600.0)
    scans = sum(isinstance(message, Scanned) for message in scanner.said)
    with (root / "a.tif").open("wb") as file:
        file.write(b"II")
        file.flush()
        scanner.wait_last(Settles(1, 0))
    scanner.wait_ready("a.tif")
    scanner.wait_last(Settles(0, 0))
    assert sum(isinstance(message, Scanned) for message in scanner.said) == scans


def test_a_touched_file_is_offered_again(root: Path, start: Callable[..., Supervisor]) -> None:
    """Nothing is heard of that, but the next scan sees it; whether it matters the worker knows."""
    scanner = start()
    (root / "a.tif").write_text("pixels")
    scanner.wait_ready("a.tif")
    scanner.said.clear()
    os.utime(root / "a.tif")
    assert scanner.rescan().settling == 1
    scanner.wait_ready("a.tif")

    assert scanner.ready()["a.tif"].signature == lstat(root / "a.tif")
    assert scanner.rescan().missed == 0


def test_polling(root: Path, start: Callable[..., Supervisor]) -> None:
    """As on a share: no event is needed, nothing is early, and what grows is waited for."""
    scanner = start(poll=True)
    (root / "a.tif").write_text("pixels")
    closed_at = time.monotonic()
    grown_at = 0.0
    with (root / "grows.tif").open("w") as file:
        for _ in range(12):
            file.write("pixels")
            file.flush()
            grown_at = time.monotonic()
            time.sleep(0.1)
    scanner.wait_ready("a.tif", "grows.tif")
    ready = scanner.ready()

    assert not ready["a.tif"].early
    assert ready["a.tif"].closed_at >= closed_at - 0.1
    assert ready["grows.tif"].signature == lstat(root / "grows.tif")
    assert ready["grows.tif"].closed_at >= grown_at
    assert ready["grows.tif"].quiet_s == 0.8


@pytest.mark.parametrize("poll", [False, True])
def test_markers(poll: bool, root: Path, start: Callable[..., Supervisor]) -> None:
    """Without its marker no file is ready, with it at once; one in a folder that is not watched is none."""
    scanner = start(poll=poll, marker=".done")
    for name in ("a.tif", "b.tif", ".hidden/c.tif"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("pixels")
    scanner.settle()
    assert not scanner.ready()
    assert scanner.last(Scanned).unmarked == 2
    (root / "a.tif.done").touch()
    (root / ".hidden/c.tif.done").touch()
    scanner.wait_ready("a.tif")

    assert scanner.ready()["a.tif"].early
    said = [Scanned, Settles]  # the latter at once, not with the next scan
    scanner.wait(lambda: any((last := scanner.last(kind)) and last.unmarked == 1 for kind in said), "waits")
    scanner.settle()
    assert list(scanner.ready()) == ["a.tif"]


def test_results_apart(root: Path, tmp_path: Path, start: Callable[..., Supervisor]) -> None:
    """Their folder is made at the start, locked, and not made again while the scanner runs."""
    results = tmp_path / "new" / "results"
    scanner = start(output_dir=str(results))
    assert (results / LOCK_NAME).exists()
    assert not (root / LOCK_NAME).exists()
    shutil.rmtree(results)
    assert str(results) in scanner.wait_root("share away").why
    results.mkdir()
    scanner.wait_root("here")
    seen = scanner.last(RootState)
    assert seen.results_mount is not None

    scanner.process.kill()
    scanner.process.wait()
    shutil.rmtree(results)
    again = start(output_dir=str(results), mount=seen.mount, results_mount=seen.results_mount)
    assert again.last(RootState) == seen


def test_a_stale_temporary_file_is_removed(root: Path, start: Callable[..., Supervisor]) -> None:
    """Soon after the start; one that is being written stays."""
    (root / "a").mkdir()
    stale, live = root / "a/.colvi-1-0123456789abcdef.tmp", root / "a/.colvi-2-0123456789abcdef.tmp"
    stale.write_text("half")
    live.write_text("half")
    scanner = start()
    end = time.monotonic() + 10
    while stale.exists() and time.monotonic() < end:
        live.write_text("half")
        scanner.rescan()
        time.sleep(0.05)

    assert not stale.exists()
    assert live.exists()


def test_a_folder_that_is_removed_and_made_again(root: Path, start: Callable[..., Supervisor]) -> None:
    """Is away, and then watched as before: what came with it is found, what comes later heard of."""
    scanner = start()
    shutil.rmtree(root)
    assert "the folder is not there" in scanner.wait_root("share away").why
    root.mkdir()
    (root / "a.tif").write_text("pixels")
    scanner.wait_root("here")
    scanner.wait_ready("a.tif")
    (root / "b.tif").write_text("pixels")
    scanner.wait_ready("b.tif")

    assert scanner.ready()["b.tif"].early


def test_a_folder_that_is_swapped_at_once(
    root: Path, tmp_path: Path, start: Callable[..., Supervisor]
) -> None:
    """Is never away, yet entered anew: nothing of the old one is offered any more."""
    scanner = start()
    root.rename(tmp_path / "old")
    root.mkdir()
    (root / "a.tif").write_text("pixels")
    scanner.wait_ready("a.tif")
    (tmp_path / "old/b.tif").write_text("pixels")
    (root / "c.tif").write_text("pixels")
    scanner.wait_ready("c.tif")

    assert set(scanner.ready()) == {"a.tif", "c.tif"}
    assert {message.state for message in scanner.said if isinstance(message, RootState)} == {"here"}


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    """Return the path of the file that makes a share fail, outside it; see `fakes/failing_scanner.py`."""
    return tmp_path / "fault"


def wait_faults(fault: Path, count: int) -> None:
    """Wait until the share failed this often from now on; twenty seconds at most."""
    counted = fault.with_name(f"{fault.name}.count")
    before = counted.stat().st_size if counted.exists() else 0
    end = time.monotonic() + 20
    while not counted.exists() or counted.stat().st_size < before + count:
        assert time.monotonic() < end
        time.sleep(0.02)


STALE = (errno.ESTALE, "Stale file handle; unmount and mount it again")
DOWN = (errno.EHOSTDOWN, "Host is down; the server, or the disk, does not answer")
BROKEN = (errno.EIO, "Input/output error; the server, or the disk, does not answer")


@pytest.mark.parametrize(
    ("module", "name", "number", "remedy", "apart"),
    [
        ("os", "fstat", *STALE, False),
        ("os", "fstat", *DOWN, True),
        ("os", "open", *DOWN, False),
        ("os", "stat", *STALE, False),
        ("pathlib", "Path.stat", *STALE, True),
        ("pathlib", "Path.stat", *BROKEN, False),
        ("fcntl", "flock", *STALE, True),
        ("fcntl", "flock", *BROKEN, False),
        ("colvi_edge.watch.folder.pinned", "mount_of", *STALE, False),
    ],
)
def test_each_error_at_claiming_the_folder_is_the_shares(
    root: Path,
    tmp_path: Path,
    fault: Path,
    start: Callable[..., Supervisor],
    module: str,
    name: str,
    number: int,
    remedy: str,
    apart: bool,
) -> None:
    """Whatever was asked; the scanner says so with the remedy, lives, and goes on when that has ended."""
    fault.write_text(f"{number} 0")
    output_dir = str(tmp_path / "results") if apart else None
    scanner = start(wait=False, fails=(module, name, str(fault)), output_dir=output_dir)
    folder = tmp_path / "results" if apart and name == "flock" else root
    assert scanner.wait_root("share away").why == f"{folder} cannot be opened: {remedy}"
    (root / "a.tif").write_text("pixels")
    wait_faults(fault, 3)
    assert not scanner.ready()
    fault.unlink()
    scanner.wait_root("here")
    scanner.wait_ready("a.tif")

    assert scanner.process.poll() is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pathlib", "Path.stat"),
        ("os", "scandir"),
        ("os", "listdir"),
        ("colvi_edge.watch.folder.pinned", "PinnedFolder.open_raw"),
        ("colvi_edge.watch.folder.pinned", "PinnedFolder.open_folder"),
    ],
)
@pytest.mark.parametrize(("number", "late_s"), [(errno.EHOSTDOWN, 0.0), (errno.EIO, 4.0)])
def test_a_server_that_stops_to_answer_is_told_at_the_first_error(
    root: Path,
    tmp_path: Path,
    fault: Path,
    start: Callable[..., Supervisor],
    module: str,
    name: str,
    number: int,
    late_s: float,
) -> None:
    """Whatever the scanner was about: it does not go on asking, each time for seconds in vain."""
    results = str(tmp_path / "results")
    scanner = start(fails=(module, name, str(fault)), interval_s=0.2, poll=True, output_dir=results)
    scanner.wait_root("here")
    (root / "a.tif").write_text("pixels")  # at which is looked meanwhile
    fault.write_text(f"{number} {late_s}")

    def away() -> list[str]:  # also if it is over again: later errors come at once, and may be a file's own
        return [message.why for message in scanner.said if isinstance(message, RootState) and message.why]

    scanner.wait(lambda: bool(away()), "share away")
    assert "the server, or the disk, does not answer" in away()[0]
    fault.unlink()
    scanner.wait_root("here")
    scanner.wait_ready("a.tif")

    assert scanner.process.poll() is None


def test_a_file_that_cannot_be_looked_at_is_not_the_shares_fault(
    root: Path, fault: Path, start: Callable[..., Supervisor]
) -> None:
    """An error at once may be a bad sector; the folder stays, and the others of its files are found."""
    scanner = start(fails=("colvi_edge.watch.folder.pinned", "PinnedFolder.open_raw", str(fault)), poll=True)
    fault.write_text(f"{errno.EIO} 0")
    (root / "bad.tif").write_text("pixels")
    wait_faults(fault, 5)
    assert not scanner.ready()
    fault.unlink()
    scanner.wait_ready("bad.tif")

    assert {message.state for message in scanner.said if isinstance(message, RootState)} == {"here"}


def test_two_daemons(root: Path, start: Callable[..., Supervisor]) -> None:
    """The second says who has the folder, scans nothing, and takes over when the first is gone."""
    first = start()
    second = start(wait=False)
    why = second.wait_root("taken").why
    (root / "a.tif").write_text("pixels")
    first.wait_ready("a.tif")

    assert "another colvi-edge of this machine watches this folder" in why
    assert not second.ready()
    first.process.kill()
    second.wait_root("here")
    second.wait_ready("a.tif")


def test_a_lost_lock_is_taken_again(root: Path, start: Callable[..., Supervisor]) -> None:
    """Somebody tidied up; two daemons never work at once for longer than a look at the lock."""
    scanner = start()
    (root / LOCK_NAME).unlink()
    end = time.monotonic() + 10
    while not (root / LOCK_NAME).exists() and time.monotonic() < end:
        time.sleep(0.05)
    start(wait=False).wait_root("taken")

    assert [message.state for message in scanner.said if isinstance(message, RootState)] == ["here"]


def test_what_cannot_be_looked_at_is_told(root: Path, start: Callable[..., Supervisor]) -> None:
    """As long as it is so."""
    deep = root / "/".join("d" * 66)
    deep.mkdir(parents=True)
    scanner = start()
    scanner.wait_last(Degraded("cannot look at 1 of the folders and files below: deeper than 64 folders"))
    shutil.rmtree(root / "d")
    scanner.rescan()
    scanner.wait_last(Degraded(""))


def test_folders_that_may_not_be_listed_are_told(
    root: Path, fault: Path, start: Callable[..., Supervisor]
) -> None:
    """With each scan, as long as it is so; the folder itself is not away by that."""
    scanner = start(fails=("colvi_edge.watch.folder.pinned", "PinnedFolder.open_folder", str(fault)))
    fault.write_text(f"{errno.EACCES} 0")
    assert scanner.rescan().barred == [""]
    fault.unlink()
    assert scanner.rescan().barred == []

    assert scanner.wait_root("here")
    assert scanner.last(Degraded) is None


def test_it_ends_with_its_supervisor(start: Callable[..., Supervisor]) -> None:
    """By the end of the line, without a complaint; until then it says that it is alive."""
    scanner = start()
    scanner.wait(lambda: scanner.said.count(Alive()) >= 2, "alive")
    scanner.hang_up()

    assert scanner.process.wait(10) == 0


def test_an_overflow_loses_nothing(root: Path, start: Callable[..., Supervisor]) -> None:
    """More files than the kernel's queue has room for, while the scanner is not scheduled."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 40_000:
        pytest.skip(f"the kernel here queues {limit:,} events, too many for a quick test")
    count = limit // 2 + 1000  # each makes two
    scanner = start(interval_s=60.0)
    scanner.process.send_signal(signal.SIGSTOP)
    for number in range(count):
        (root / f"{number}.tif").write_bytes(b"x")
    scanner.process.send_signal(signal.SIGCONT)
    scanner.wait(lambda: len(scanner.ready()) == count, "all")
    (root / "later.tif").write_text("pixels")
    scanner.wait_ready("later.tif")

    assert scanner.ready()["later.tif"].early
    assert scanner.last(Degraded) in (None, Degraded(""))


# --- In namespaces of their own: mounts and limits that end with the test.


@pytest.fixture
def inside() -> Iterator[Callable[..., list[str]]]:
    """Return a function that gives the command that runs another in a namespace of this test."""
    with subprocess.Popen([*UNSHARED, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        holder.stdout.readline()  # it is in there
        enter = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]
        yield lambda *command: [*enter, *command]
        holder.stdin.close()


def sh(prefix: list[str], command: str) -> None:
    """Run a shell's command in a namespace."""
    subprocess.run([*prefix, "sh", "-ec", command], check=True)


@can_unshare
def test_a_share_that_goes_and_comes(
    root: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """Nothing of the bare mount point is offered; after the remount all is as before."""
    enter = inside()
    point = root / "share"
    sh(enter, f"mkdir {point}; mount -t tmpfs scope {point}; mkdir {point}/day; echo x > {point}/day/a.tif")
    scanner = start(*enter, path=point / "day")
    scanner.wait_ready("a.tif")
    mount = scanner.last(RootState).mount
    assert mount == Mount(point=str(point), kind="tmpfs", source="scope", inside="/")

    sh(enter, f"umount --lazy {point}")
    assert (
        "day cannot be opened: the folder is not there; make or mount it"
        in scanner.wait_root("share away").why
    )
    sh(enter, f"mkdir {point}/day; echo x > {point}/day/bare.tif")
    scanner.wait_last(
        RootState("share away", f"scope is not mounted on {point} any more; mount it again", None)
    )
    scanner.go_round()
    sh(enter, f"mount -t tmpfs scope {point}; mkdir {point}/day; echo x > {point}/day/b.tif")
    scanner.wait_last(RootState("here", "", mount))
    scanner.wait_ready("b.tif")
    sh(enter, f"echo x > {point}/day/c.tif")
    scanner.wait_ready("c.tif")

    assert scanner.ready()["c.tif"].early
    assert set(scanner.ready()) == {"a.tif", "b.tif", "c.tif"}


@can_unshare
def test_results_on_a_share_that_goes(
    root: Path, tmp_path: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """Their bare mount point is no place for results, and that none lie there is no reason to judge again."""
    enter = inside()
    results = tmp_path / "results"
    results.mkdir()
    sh(enter, f"mount -t tmpfs nas {results}")
    scanner = start(*enter, output_dir=str(results))
    sh(enter, f"umount --lazy {results}")
    scanner.wait_last(
        RootState("share away", f"nas is not mounted on {results} any more; mount it again", None)
    )
    assert not list(results.iterdir())
    sh(enter, f"mount -t tmpfs nas {results}")
    scanner.wait_root("here")


@can_unshare
def test_a_start_without_the_share_of_the_results(
    root: Path, tmp_path: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """Its bare mount point is neither written to nor given folders; when it comes it is used at once."""
    enter = inside()
    point = tmp_path / "nas"
    point.mkdir()
    results = point / "lab" / "results"
    (root / "a.tif").write_text("pixels")
    share = Mount(point=str(point), kind="tmpfs", source="nas", inside="/")
    scanner = start(*enter, wait=False, output_dir=str(results), results_mount=share)
    scanner.wait_root("share away")
    scanner.go_round()
    assert list(point.iterdir()) == []
    assert not scanner.ready()

    sh(enter, f"mount -t tmpfs nas {point}; mkdir -p {results}")
    assert scanner.wait_root("here").results_mount == share
    scanner.wait_ready("a.tif")
    sh(enter, f"test -e {results}/{LOCK_NAME}")
    assert list(point.iterdir()) == []


@can_unshare
def test_a_share_of_the_results_that_comes_is_used_at_once(
    root: Path, tmp_path: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """As nobody could know of it before; what it has no results of is offered once more."""
    enter = inside()
    results = tmp_path / "results"
    results.mkdir()
    scanner = start(*enter, output_dir=str(results))
    bare = scanner.wait_root("here").results_mount
    sh(enter, f"mount -t tmpfs nas {results}")
    scanner.wait(lambda: scanner.last(RootState).results_mount != bare, "the share's mount")

    assert scanner.last(RootState).state == "here"
    assert scanner.last(RootState).results_mount == Mount(
        point=str(results), kind="tmpfs", source="nas", inside="/"
    )
    sh(enter, f"test -e {results}/{LOCK_NAME}")


@can_unshare
def test_a_start_without_the_share(
    root: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """What the ledger remembers counts, also where a sandbox has made the bare folder a mount."""
    enter = inside()
    (root / "bare.tif").write_text("pixels")
    sh(enter, f"mount --bind {root} {root}")
    scanner = start(
        *enter, wait=False, mount=Mount(point=str(root), kind="cifs", source="//pc/images", inside="/")
    )
    scanner.wait_root("share away")
    scanner.go_round()

    assert not scanner.ready()
    assert scanner.last(Scanned) is None
    assert not (root / LOCK_NAME).exists()


@can_unshare
def test_a_folder_that_becomes_read_only(
    root: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """Is watched all the same; that it cannot be locked is told while it is so."""
    enter = inside()
    sh(enter, f"mount -t tmpfs scope {root}; echo x > {root}/a.tif; mount -o remount,ro {root}")
    scanner = start(*enter)
    scanner.wait_ready("a.tif")
    scanner.wait_last(
        Degraded(
            "the folder of the results cannot be locked: Read-only file system; give the daemon's user the "
            "right to write to it (chown or setfacl), mount it writable, or put the results elsewhere: "
            "--output-dir"
        )
    )
    sh(enter, f"mount -o remount,rw {root}")
    scanner.wait_last(Degraded(""))


@can_unshare
def test_folders_that_the_kernel_does_not_watch(
    root: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """Nobody says so, but a scan finds what no event announced; then that is told, and scans come often."""
    enter = inside()
    for number in range(10):
        (root / f"{number}").mkdir()
    sh(enter, "echo 6 > /proc/sys/user/max_inotify_watches")
    scanner = start(*enter)
    for number in range(10):
        (root / f"{number}/a.tif").write_text("pixels")
    scanner.wait_ready(*(f"{number}/a.tif" for number in range(10)))
    missed = sum(not ready.early for ready in scanner.ready().values())
    scanner.wait(lambda: scanner.last(Degraded) is not None, "degraded")

    assert missed > 0
    assert "raise fs.inotify.max_user_watches" in scanner.last(Degraded).why
    if "not all files" in scanner.last(Degraded).why:  # watchdog 6 does not start at all
        scanner.wait(
            lambda: missed == sum(m.missed for m in scanner.said if isinstance(m, Scanned)), "missed"
        )
    began = time.monotonic()
    for number in range(10):
        (root / f"{number}/b.tif").write_text("pixels")
    scanner.wait_ready(*(f"{number}/b.tif" for number in range(10)))
    assert time.monotonic() - began < 3  # when the next scan of a sound folder would have come


@can_unshare
def test_no_watch_at_all(
    root: Path, inside: Callable[..., list[str]], start: Callable[..., Supervisor]
) -> None:
    """It polls, and tells why."""
    enter = inside()
    sh(enter, "echo 0 > /proc/sys/user/max_inotify_watches")
    scanner = start(*enter)
    (root / "a.tif").write_text("pixels")
    scanner.wait_ready("a.tif")

    assert "inotify watch limit reached" in scanner.last(Degraded).why
    assert scanner.rescan().missed == 0
