"""The supervisor with children that do as they are told: answer, hang, crash, eat memory, say nothing.

Scanner and worker are small real processes on real lines; what they were told is read from files that they
write, what became of it from the ledger and status.json, and what systemd hears from a socket of the test's.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.tools.terminal import read_terminal
from tests.tools.watching import told, wait_until

DRIVER = """
import json, os, sys
from pathlib import Path

opened = os.open(sys.argv[2] + "/opened", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, arguments):
    if event.split(".")[0] in ("open", "os") and "/nowhere/data" in repr(arguments):
        os.write(opened, (event + repr(arguments) + "\\n").encode())
sys.addaudithook(note)

from colvi_edge.errors import ColviEdgeError
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.supervisor import start
from colvi_edge.watch.supervisor.children import workers
from colvi_edge.watch.timings import Timings
settings = json.loads(sys.argv[1])
timings = Timings(**settings.pop("timings"))
for name, value in settings.pop("workers", {}).items():
    assert hasattr(workers, name), name
    setattr(workers, name, value)
for name in ("root", "output_dir", "metrics"):
    settings[name] = settings[name] and Path(settings[name])
here = sys.argv[2]
commands = {role: [sys.executable, f"{here}/{role}.py", here] for role in ("scanner", "worker")}
sys.argv[1:] = []
try:
    sys.exit(start.watch(WatchSettings(**settings), commands, timings))
except ColviEdgeError as error:
    print("colvi-edge: error:", error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

CHILD = """
import json, os, select, signal, sys, time
here = sys.argv.pop(1)
from colvi_edge.watch.ipc.child import join_supervisor
from colvi_edge.watch.ipc.channel import *
from colvi_edge.watch.ipc.messages import *
line = join_supervisor().channel
me = os.path.basename(sys.argv[0])[:-3]
def log(**what):
    with open(f"{here}/{me}.log", "a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\\n")
settings = line.first()
log(say="start", bundle=getattr(settings, "bundle", ""), mount=repr(getattr(settings, "mount", "")))
"""

SCANNER = (
    CHILD
    + """
if os.path.exists(f"{here}/slow"):
    time.sleep(float(open(f"{here}/slow").read()))
line.send(Alive())
file, rest = open(f"{here}/scanner.in"), ""
alive = 0.0
while True:
    if select.select([line], [], [], 0.01)[0]:
        messages = line.receive()
        if messages is None:
            break
        for message in messages:
            log(say=type(message).__name__)
    if os.path.exists(f"{here}/silence"):
        time.sleep(0.05)
        continue
    if time.monotonic() > alive + 0.1:
        alive = time.monotonic()
        line.send(Alive())
    rest += file.read()
    *said, rest = rest.split("\\n")
    for text in said:
        if text == "exit":
            sys.exit(5)
        if text == "be silent":
            open(f"{here}/silence", "w").close()
            break
        if text.startswith("raw "):
            line._end.sendall(text[4:].encode() + b"\\n")
        else:
            line.send(decode(text.encode()))
"""
)

WORKER = (
    CHILD
    + """
what = open(settings.bundle).read()
if what == "bad":
    line.send(StartRefused(4, "bundle_invalid", "SHA256SUMS is missing; export the bundle again"))
    sys.exit()
if what == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if what == "slow":
    time.sleep(1)
opened = f"{here}/copy" if what == "copied" else settings.bundle
not_kept = "no room for a copy" if what == "unkept" else ""
line.send(WorkerReady(opened, what, "ab" * 32, "openvino", "fp32", "CPU", "as asked", not_kept))
def answer(work, outcome, words="control, score 90.0", kind=""):
    line.send(WorkDone(work.number, outcome, "cd" * 32, 1, words, kind, 1.0))
def judge(work):
    name = os.path.basename(work.path).partition(".")[0].rstrip("0123456789")
    log(say=type(work).__name__, path=work.path, kind=getattr(work, "kind", ""))
    if isinstance(work, RecordFailure):
        answer(work, "error", work.message, "killed")
    elif name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "late":
        answer(work, "ok")
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "hang":
        while True: pass
    elif name == "share":
        import ctypes
        ctypes.CDLL(None).vfork() or (time.sleep(3), os._exit(0))
    elif name == "eat":
        hoard = []
        while True: hoard.append(os.urandom(1 << 20) * 20); time.sleep(0.02)
    elif name == "full" and os.path.exists(f"{here}/full"):
        answer(work, "again", "No space left on device", "disk full")
    elif name == "closed" and os.path.exists(f"{here}/closed"):
        answer(work, "again", "Permission denied", "folder not writable")
    elif name == "blocked" and os.path.exists(f"{here}/blocked"):
        answer(work, "again", "a folder is in the way", "blocked_record")
    elif name == "away" and os.path.exists(f"{here}/away"):
        answer(work, "again", "/data is not there", "share away")
    elif name == "readonly":
        answer(work, "again", "Read-only file system", "read-only")
    elif name == "lie":
        line._end.sendall(open(f"{here}/{work.path}").read().encode() + b"\\n")
        time.sleep(99)
    elif name == "endless":
        while True: line._end.sendall(b"x" * 4096)
    elif name == "cut":
        answer(work, "again", "cut off", "incomplete")
    elif name == "bad":
        answer(work, "error", "no axes", "axes")
    else:
        while name == "later" and not os.path.exists(f"{here}/go"):
            time.sleep(0.02)
        time.sleep(0.5 if name == "slow" else 0.0)
        answer(work, "ok")
    log(say="done", path=work.path)
while True:
    if not select.select([line], [], [], 0.1)[0]:
        if what != "mute":
            line.send(Alive())
        continue
    messages = line.receive()
    if messages is None:
        break
    for message in messages:
        if isinstance(message, Finish):
            log(say="Finish")
            if what == "stay":
                time.sleep(99)
            sys.exit()
        judge(message)
"""
)

QUICKER = {"once_rescan_s": 0.1, "heartbeat_s": 0.1, "longest_backoff_s": 0.3, "idle_round_s": 0.1}
MOUNT = {"point": "/data", "kind": "ext4", "source": "/dev/sda1", "inside": "/"}
HERE = {"say": "RootState", "state": "here", "why": "", "mount": MOUNT}
AWAY = {"say": "RootState", "state": "share away", "why": "/data is not mounted", "mount": None}
SCANNED = {"say": "Scanned", "files": 0, "settling": 0, "seconds": 0.01, "missed": 0}


class Daemon:
    """A supervisor in a process of its own, with everything round it in the test's hands."""

    def __init__(self, here: Path, stderr: int | None = None, **settings: Any) -> None:
        """Start it; see `DRIVER` for what can be set."""
        self.here = here
        self.bundle = here / "bundle"
        if not self.bundle.exists():
            self.bundle.write_text("first")
        (here / "scanner.in").touch()
        for role, code in (("scanner", SCANNER), ("worker", WORKER), ("driver", DRIVER)):
            (here / f"{role}.py").write_text(code)
        self.notified: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = here / f"notify{time.monotonic_ns()}"
        self.socket.bind(str(address))
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()
        wanted = told(root="/nowhere/data/scope", bundle=str(self.bundle), **settings)
        wanted["timings"] = {**QUICKER, **settings.get("timings", {})}
        log = (here / "stderr").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, str(here / "driver.py"), json.dumps(wanted), str(here)],
            env={
                **os.environ,
                "NOTIFY_SOCKET": str(address),
                "WATCHDOG_USEC": "1000000",
                "STATE_DIRECTORY": str(here / "state"),
            },
            stderr=stderr or log,
        )
        log.close()

    def listen(self) -> None:
        """Hear what systemd is told; its queue is short, and who speaks would wait."""
        while text := self.socket.recv(65536).decode():
            self.notified.append(text)

    def close(self) -> None:
        """End all that is left."""
        self.process.kill()
        self.process.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.listener.join()
        self.socket.close()

    @property
    def state(self) -> Path:
        """The state folder."""
        (path,) = (self.here / "state" / "watch").iterdir()
        return path

    def scanner(self, *messages: "dict[str, Any] | str") -> None:
        """Let the scanner say something."""
        with (self.here / "scanner.in").open("a") as file:
            for message in messages:
                file.write((message if isinstance(message, str) else json.dumps(message)) + "\n")

    def ready(self, *paths: str, early: bool = False, then: str = "") -> None:
        """Let the scanner find files, and be told one thing more in the same breath."""
        signature = {"inode": 1, "bytes": 1, "mtime_ns": 1, "ctime_ns": 1}
        found = {"say": "FileReady", "signature": signature, "closed_at": time.monotonic(), "early": early}
        files = ({**found, "path": path, "quiet_s": 0.6} for path in paths)
        self.scanner(*files, *filter(None, [then]))

    def log(self, role: str) -> list[dict[str, Any]]:
        """Return what a role's processes noted."""
        path = self.here / f"{role}.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def given(self, *paths: str) -> list[dict[str, Any]]:
        """Return which of some paths were given to workers, in order."""
        work = [note for note in self.log("worker") if note["say"] in ("Work", "RecordFailure")]
        return [note for note in work if not paths or note["path"] in paths]

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the ledger's rows by path."""
        if not (ledger := next((self.here / "state").glob("watch/*/ledger.sqlite"), None)):
            return {}
        connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            rows = connection.execute("SELECT * FROM entries").fetchall()
        except sqlite3.OperationalError:  # its tables are just being made
            return {}
        finally:
            connection.close()
        return {os.fsdecode(row["path"]): dict(row) for row in rows}

    def in_state(self, *paths: str, state: str = "done") -> bool:
        """Return whether paths are in a state."""
        rows = self.rows()
        return all(path in rows and rows[path]["state"] == state for path in paths)

    def status(self) -> dict[str, Any]:
        """Return status.json."""
        paths = list((self.here / "state").glob("watch/*/status.json"))
        return json.loads(paths[0].read_text()) if paths else {"states": []}

    def ails(self) -> list[str]:
        """Return the names of the states in status.json."""
        return [state["name"] for state in self.status()["states"]]

    def heard(self) -> list[str]:
        """Return what systemd has been told."""
        return list(self.notified)

    def is_ready(self) -> bool:
        """Return whether READY was said."""
        return "READY=1" in "\n".join(self.heard())

    def children(self, role: str) -> list[int]:
        """Return the process ids of the supervisor's children of a role."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if f"{role}.py" in Path(f"/proc/{pid}/cmdline").read_text()]

    def stderr(self) -> str:
        """Return the log."""
        return (self.here / "stderr").read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a function that starts a daemon."""
    started: list[Daemon] = []

    def start(**settings: Any) -> Daemon:
        daemon = Daemon(tmp_path, **settings)
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.close()
    opened = tmp_path / "opened"
    assert opened.read_text() == "", "the supervisor touched the watched folder"


@pytest.fixture
def daemon(start: Callable[..., Daemon]) -> Daemon:
    """Return a daemon that is ready."""
    started = start()
    started.scanner(HERE, SCANNED)
    wait_until(started.is_ready)
    return started


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_it_loads_nothing_heavy() -> None:
    """No image library and no engine: they cost memory, start threads, and crash."""
    code = (
        "import sys, colvi_edge.watch.supervisor.start\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    heavy = {
        "numpy",
        "tifffile",
        "imagecodecs",
        "openvino",
        "onnxruntime",
        "PIL",
        "pydantic",
        "regex",
        "rich",
        "watchdog",
    }
    assert heavy & set(loaded.split()) == set()


def test_ready_comes_after_the_self_test_and_the_first_scan(start: Callable[..., Daemon]) -> None:
    """Not after one of them."""
    daemon = start()
    daemon.scanner(HERE)
    wait_until(lambda: daemon.status().get("model"))
    time.sleep(0.3)
    assert not daemon.is_ready()
    daemon.scanner(SCANNED)
    wait_until(daemon.is_ready)


def test_formats_that_are_not_read_are_told_once(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """One line of the log for each suffix, however many scans see its files; the status has the counts."""
    daemon = start(metrics=str(tmp_path / "scope.prom"))
    daemon.scanner(HERE, SCANNED, {**SCANNED, "not_read": {".nd2": 1}})
    wait_until(lambda: daemon.status().get("not_read") == {".nd2": 1})
    daemon.scanner({**SCANNED, "not_read": {".nd2": 3, ".czi": 2}})
    wait_until(lambda: daemon.status()["not_read"] == {".nd2": 3, ".czi": 2})
    line = 'colvi_edge_not_read_files{folder="/nowhere/data/scope",suffix=".nd2"} 3'
    wait_until(lambda: line in (tmp_path / "scope.prom").read_text())
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.status()["not_read"] == {})
    daemon.scanner({**SCANNED, "not_read": {".nd2": 4}})
    wait_until(lambda: daemon.status()["not_read"] == {".nd2": 4})

    told = [line.partition("WARNING ")[2] for line in daemon.stderr().splitlines() if "not read" in line]
    assert told == [
        "1 .nd2 file is not read here; export it as TIFF",
        "2 .czi files are not read here; export them as TIFF",
    ]
    assert daemon.ails() == []


def test_ready_waits_for_a_worker_that_starts_slowly(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """As one does that builds an engine first; systemd is asked for the time."""
    (tmp_path / "bundle").write_text("slow")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: len(daemon.log("worker")) == 1)
    time.sleep(0.4)
    assert not daemon.is_ready()
    assert any(text.startswith("EXTEND_TIMEOUT_USEC=") for text in daemon.heard())
    wait_until(daemon.is_ready)


def test_a_share_that_is_absent_at_boot_is_no_failure(start: Callable[..., Daemon]) -> None:
    """READY, with a STATUS that says so; nothing is given before it is there."""
    daemon = start()
    daemon.scanner(AWAY)
    wait_until(daemon.is_ready)
    wait_until(lambda: any(text.startswith("STATUS=share away: /data is not") for text in daemon.heard()))
    daemon.ready("a.tif")
    time.sleep(0.5)
    assert daemon.given() == []
    assert daemon.ails() == ["share away"]
    daemon.scanner(HERE)
    wait_until(lambda: daemon.in_state("a.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_no_work_while_the_share_is_away(daemon: Daemon) -> None:
    """Nor while another machine has the folder; and what was in the queue is done when it is back."""
    for state in ("share away", "taken"):
        daemon.scanner({**AWAY, "state": state})
        wait_until(lambda: daemon.ails() == [state])  # noqa: B023 # called at once
        daemon.ready(f"{state}.tif")
        time.sleep(0.4)
        assert not daemon.given(f"{state}.tif")
        daemon.scanner(HERE)
        wait_until(lambda: daemon.in_state(f"{state}.tif"))  # noqa: B023 # called at once


def test_a_crash_costs_the_file_and_nothing_else(daemon: Daemon) -> None:
    """Three workers die of it, alone with it; every other file is done; it gets its error record."""
    daemon.ready("slow.tif", "crash.tif", "ok1.tif", "ok2.tif", "ok3.tif")
    wait_until(lambda: daemon.in_state("crash.tif", state="quarantined"))
    wait_until(lambda: daemon.in_state("slow.tif", "ok1.tif", "ok2.tif", "ok3.tif"))
    wait_until(lambda: daemon.given("crash.tif")[-1]["say"] == "RecordFailure")

    deaths = daemon.given("crash.tif")
    assert [note["say"] for note in deaths] == ["Work"] * 3 + ["RecordFailure"]
    assert len({note["pid"] for note in deaths[:3]}) == 3
    for death in deaths[1:3]:  # from the second time on, it was the only thing that the worker had
        unanswered = [note["path"] for note in daemon.given() if note["pid"] == death["pid"]]
        done = [
            note["path"]
            for note in daemon.log("worker")
            if (note["say"], note["pid"]) == ("done", death["pid"])
        ]
        assert set(unanswered) - set(done) == {"crash.tif"}
    assert "SIGSEGV" in daemon.rows()["crash.tif"]["words"]


LIES: tuple[dict[str, Any], ...] = (
    {"outcome": "nonsense"},
    {"outcome": None},
    {"sha256": []},
    {"sha256": "\ud83d"},
    {"revision": 2**63},
    {"revision": 2**64 - 1},
    {"revision": -1},
    {"revision": 1e300},
    {"revision": True},
    {"words": None},
    {"words": "\ud83d"},
    {"words": "x" * 70_000},
    {"kind": {}},
    {"kind": "\udce4"},
    {"took_ms": float("nan")},
    {"took_ms": float("inf")},
    {"took_ms": 10**400},
    {"number": 2**64},
    {"number": "1"},
)


def test_a_worker_may_say_anything(daemon: Daemon) -> None:
    """Whoever sends values of wrong types or beyond all bounds is ended; the supervisor goes on."""
    answer = {"say": "WorkDone", "number": 1, "outcome": "ok", "sha256": "", "revision": 1}
    answer |= {"words": "", "kind": "", "took_ms": 1.0}
    lies = [json.dumps({**answer, **lie}) for lie in LIES] + ["[" * 200_000, '{"say": {}}', "{", "9" * 5000]
    names = [f"lie{number}.tif" for number in range(len(lies))]
    for name, lie in zip(names, lies, strict=True):
        (daemon.here / name).write_text(lie)
    daemon.ready(*names, "good.tif")
    wait_until(lambda: daemon.in_state("good.tif") and daemon.in_state(*names, state="quarantined"), 120)

    assert daemon.stderr().count("the worker ended: it sent what is no message") >= len(lies)
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.stderr()


def test_a_scanner_may_say_anything(daemon: Daemon) -> None:
    """It is started again each time, and what it finds then is judged."""
    ready = {"say": "FileReady", "path": "a.tif", "closed_at": 1.0, "early": False, "quiet_s": 0.6}
    ready["signature"] = {"inode": 1, "bytes": 1, "mtime_ns": 1, "ctime_ns": 1}
    lies = [
        {**ready, "path": None},
        {**ready, "path": "\ud83d.tif"},
        {**ready, "closed_at": float("inf")},
        {**ready, "signature": {**ready["signature"], "inode": 2**64}},  # type: ignore[dict-item]
        {**ready, "signature": {**ready["signature"], "inode": [1]}},  # type: ignore[dict-item]
        {**ready, "signature": "1:1:1:1"},
        {**ready, "more": 1},
        {**HERE, "state": "elsewhere"},
        {**HERE, "mount": {"point": "/data"}},
        {**SCANNED, "files": 2**63},
        {**SCANNED, "seconds": "long"},
        {**SCANNED, "not_read": {".nd2": None}},
        {**SCANNED, "not_read": [1]},
        {"say": "FileReady"},
    ]
    for number, lie in enumerate(lies):
        daemon.scanner(f"raw {json.dumps(lie)}")
        wait_until(lambda: daemon.stderr().count("ERROR the scanner ended: it sent what") > number)  # noqa: B023
        (daemon.here / "scanner.in").write_text("")
        daemon.scanner(HERE, SCANNED)
        daemon.ready(f"good{number}.tif")
        wait_until(lambda: daemon.in_state(f"good{number}.tif"))  # noqa: B023

    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.stderr()


def test_a_line_without_an_end_ends_its_child(daemon: Daemon) -> None:
    """The process that must not fall keeps no more of it than a mebibyte."""
    before = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    daemon.ready("endless.tif")
    wait_until(lambda: daemon.in_state("endless.tif", state="quarantined"))
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    assert "it sent what is no message: it has no end" in daemon.stderr()
    after = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    assert (after - before) * os.sysconf("SC_PAGE_SIZE") < 16 << 20


def test_a_hang_ends_at_the_time_limit(start: Callable[..., Daemon]) -> None:
    """A file that loops for ever is ended, three times; the next one is diagnosed."""
    daemon = start(timings={"work_limit_s": 0.5})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("hang.tif", "ok.tif")
    wait_until(lambda: daemon.in_state("hang.tif", state="quarantined") and daemon.in_state("ok.tif"))

    assert "the time limit of 0.5 s ran out" in daemon.rows()["hang.tif"]["words"]


def test_a_memory_bomb_ends_at_the_limit(start: Callable[..., Daemon]) -> None:
    """The worker is ended long before the machine is."""
    daemon = start(workers={"MEMORY_LIMIT_BYTES": 200 << 20})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("eat.tif", "ok.tif")
    wait_until(lambda: daemon.in_state("eat.tif", state="quarantined") and daemon.in_state("ok.tif"))

    assert "the memory limit of" in daemon.rows()["eat.tif"]["words"]


def test_a_share_that_hangs_is_no_files_fault(start: Callable[..., Daemon]) -> None:
    """A worker that waits in the kernel is ended, but its file is not blamed, however often; it is shown."""
    daemon = start(timings={"work_limit_s": 0.2})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("share.tif")
    wait_until(lambda: len(daemon.given("share.tif")) >= 4)
    wait_until(lambda: "stuck" in daemon.ails())

    assert daemon.rows()["share.tif"]["state"] == "pending"
    assert daemon.rows()["share.tif"]["attempts"] <= 1
    assert daemon.end() == 0
    assert daemon.rows()["share.tif"]["attempts"] == 0


def test_a_file_is_not_blamed_while_the_scanner_hangs_too(start: Callable[..., Daemon]) -> None:
    """Not every share that hangs can be told by the kernel's word for it; that both hang is no chance."""
    daemon = start(timings={"work_limit_s": 1.0, "scanner_silent_s": 0.3, "scanner_silence_s": 60.0})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (old,) = daemon.children("worker")
    daemon.ready("hang.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    (daemon.here / "silence").touch()
    wait_until(lambda: daemon.children("worker") not in ([], [old]))

    assert daemon.rows()["hang.tif"]["attempts"] == 0


def test_an_answer_before_the_crash_counts(daemon: Daemon) -> None:
    """What was answered is done; a worker that dies afterwards has no file to blame."""
    daemon.ready("late1.tif", "late2.tif", "late3.tif")
    wait_until(lambda: daemon.in_state("late1.tif", "late2.tif", "late3.tif"))

    assert len(daemon.given()) == len({note["path"] for note in daemon.given()}) == 3


def test_a_silent_scanner_stops_work_and_is_replaced(start: Callable[..., Daemon]) -> None:
    """A share that hangs is shown as stuck, nothing more is given, and systemd hears that all is well."""
    daemon = start(timings={"scanner_silent_s": 0.4, "scanner_silence_s": 1.6})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (first,) = daemon.children("scanner")
    names = [f"slow{number}.tif" for number in range(6)]
    daemon.ready(*names, then="be silent")
    wait_until(lambda: "stuck" in daemon.ails())
    pings = daemon.heard().count("WATCHDOG=1")
    wait_until(lambda: daemon.in_state(*names[:2]))
    wait_until(lambda: daemon.children("scanner") not in ([], [first]))
    wait_until(lambda: daemon.heard().count("WATCHDOG=1") > pings)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    time.sleep(1.0)  # the new scanner says that it is alive, and not yet that the folder is there
    assert daemon.ails() == ["stuck"]
    assert len(daemon.given()) == 2
    daemon.scanner(HERE)
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])
    assert repr(MOUNT["source"]) in daemon.log("scanner")[-1]["mount"]


class Samples(threading.Thread):
    """Looks at status.json a few times in each tick of its daemon, until it is told to end."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.watched = daemon
        self.seen: list[list[tuple[str, str]]] = []
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        """Look, and once more after the end was asked for."""
        over = False
        while not over:
            over = self.over.wait(0.04)
            states = self.watched.status()["states"]
            self.seen.append([(state["name"], state["since"]) for state in states])

    def runs(self) -> list[list[str]]:
        """End; return what was seen, each once as long as it was the same, also of the same time."""
        self.over.set()
        self.join()
        return [[name for name, _ in states] for states, _ in itertools.groupby(self.seen)]


# A twentieth of the real times, so that six seconds are an outage of two minutes.
OUTAGE_S = 6.0
HURRIED = {"scanner_silent_s": 1.0, "scanner_silence_s": 3.0}
KILLED_OFTEN = {"scanner_silent_s": 1.0, "scanner_silence_s": 1.6}


@pytest.mark.parametrize("limits", [HURRIED, KILLED_OFTEN])
def test_an_outage_is_one_state(start: Callable[..., Daemon], limits: dict[str, float]) -> None:
    """Whoever looks at the status sees it from its begin to its end, and the log tells of it once.

    Scanners that are started meanwhile say that they are alive, and then hang as the one before them.
    """
    daemon = start(timings=limits)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    time.sleep(0.3)
    began = time.monotonic()
    daemon.ready("ok.tif", then="be silent")
    killed = len(daemon.log("scanner"))
    wait_until(lambda: time.monotonic() - began > OUTAGE_S and len(daemon.log("scanner")) > killed)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])
    time.sleep(0.3)

    assert samples.runs() == [[], ["stuck"], []]
    assert daemon.stderr().count("WARNING stuck: ") == daemon.stderr().count("over: stuck") == 1
    daemon.ready("ok2.tif")
    wait_until(lambda: daemon.in_state("ok.tif", "ok2.tif"))


def test_a_share_that_is_away_stays_so_while_the_scanner_is_silent(start: Callable[..., Daemon]) -> None:
    """The reason is known and told; that the next question is not answered either is no other state."""
    daemon = start(timings=KILLED_OFTEN)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    time.sleep(0.3)
    daemon.scanner(AWAY, "be silent")
    wait_until(lambda: len(daemon.log("scanner")) >= 3)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    time.sleep(0.5)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])

    assert samples.runs() == [[], ["share away"], []]


@pytest.mark.parametrize("state", ["share away", "stuck"])
def test_worker_and_scanner_tell_of_one_outage(start: Callable[..., Daemon], state: str) -> None:
    """What a file suffers from is no second state beside what the scanner says, and ends with that."""
    daemon = start(timings={"scanner_silent_s": 1.0, "scanner_silence_s": 60.0})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (daemon.here / "away").touch()
    daemon.ready("away1.tif", "away2.tif")
    wait_until(lambda: daemon.ails() == ["share away"])
    assert daemon.status()["states"][0]["why"] == "/data is not there"
    daemon.scanner(AWAY if state == "share away" else "be silent")
    wait_until(lambda: [held["name"] for held in daemon.status()["states"]] == [state])
    wait_until(lambda: daemon.status()["states"][0]["why"] != "/data is not there")
    (daemon.here / "away").unlink()
    (daemon.here / "silence").unlink(missing_ok=True)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.in_state("away1.tif", "away2.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_an_outage_may_come_to_be_understood(start: Callable[..., Daemon]) -> None:
    """First the folder does not answer, then the scanner knows why; at no time all seems well."""
    daemon = start(timings=KILLED_OFTEN)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    samples = Samples(daemon)
    time.sleep(0.3)
    daemon.scanner("be silent")
    wait_until(lambda: len(daemon.log("scanner")) >= 2)
    (daemon.here / "scanner.in").write_text("")
    (daemon.here / "silence").unlink()
    daemon.scanner(AWAY)
    wait_until(lambda: daemon.ails() == ["share away"])
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: daemon.ails() == [])

    assert samples.runs() == [[], ["stuck"], ["share away"], []]


def test_a_scanner_that_was_held_up_goes_on(start: Callable[..., Daemon]) -> None:
    """It has nothing new to say of the root; that it has seen the whole folder ends the silence."""
    daemon = start(timings={"scanner_silent_s": 1.0, "scanner_silence_s": 60.0})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.scanner("be silent")
    wait_until(lambda: daemon.ails() == ["stuck"])
    (daemon.here / "silence").unlink()
    daemon.ready("ok.tif")
    time.sleep(0.5)
    assert daemon.ails() == ["stuck"]
    assert daemon.given() == []
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: daemon.ails() == [])
    assert len(daemon.log("scanner")) == 1


def test_a_slow_machine_gives_the_scanner_more_time(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """One that has not begun is ended and told, and is not taken for a folder that does not answer."""
    (tmp_path / "slow").write_text("1.5")
    daemon = start(timings={"scanner_silent_s": 1.0, "scanner_silence_s": 9.0, "scanner_start_s": 0.5})
    samples = Samples(daemon)
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    wait_until(lambda: daemon.ails() == [])

    assert {name for names in samples.runs() for name in names} == {"degraded"}
    limits = re.findall(r"ERROR the scanner ended: it did not begin within ([0-9.]+) s", daemon.stderr())
    assert limits[:2] == ["0.5", "1"]
    assert [float(limit) for limit in limits] == [0.5 * 2**number for number in range(len(limits))]


def test_a_worker_that_is_slow_to_start_is_given_more_time(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """It would never be ready if each had the same limit."""
    (tmp_path / "bundle").write_text("slow")
    daemon = start(timings={"worker_start_s": 0.4})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)

    assert "it was not ready within 0.4 s" in daemon.stderr()
    assert daemon.bundle.read_text() == "slow"


def test_a_scanner_that_ends_again_and_again_is_told_throughout(start: Callable[..., Daemon]) -> None:
    """Not taken back each time that another one begins, but when a whole scan has come to its end."""
    daemon = start()
    daemon.scanner("exit")
    ended = "ERROR the scanner ended: it exited with code 5"
    wait_until(lambda: daemon.stderr().count(ended) >= 3)
    samples = Samples(daemon)
    wait_until(lambda: daemon.stderr().count(ended) >= 6)
    assert samples.runs() == [["degraded"]]
    (daemon.here / "scanner.in").write_text("")
    daemon.scanner(HERE)
    time.sleep(0.5)
    assert daemon.ails() == ["degraded"]
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.ails() == [])


def test_folders_that_may_not_be_listed_are_states(start: Callable[..., Daemon]) -> None:
    """Each by the hash of its path, as files are; the path itself is in the status alone."""
    daemon = start(log_names=False)
    daemon.scanner(HERE, {**SCANNED, "barred": ["Meier", "Huber/day 2"]})
    wait_until(lambda: daemon.ails() == ["folder not readable"] * 2)
    wait_until(lambda: any("folder not readable: " in text for text in daemon.heard()))
    states = {state["folder"]: state["why"] for state in daemon.status()["states"]}
    hashes = {path: hashlib.sha256(path.encode()).hexdigest()[:12] for path in ("Meier", "Huber/day 2")}
    for path, name in hashes.items():
        assert states[path].startswith(f"folder {name} is closed to the user of this daemon; ")
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    daemon.scanner({**SCANNED, "barred": ["Meier"]})
    wait_until(lambda: [state["folder"] for state in daemon.status()["states"]] == ["Meier"])
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.ails() == [])

    told = daemon.stderr() + "".join(daemon.heard()) + "".join(states.values())
    for path, name in hashes.items():
        assert daemon.stderr().count(f"WARNING folder not readable: folder {name} ") == 1
        assert daemon.stderr().count(f"INFO over: folder not readable: folder {name}") == 1
        assert path not in told


def test_a_folder_that_may_not_be_written_to_is_a_state(start: Callable[..., Daemon]) -> None:
    """While one of its files tries, all others go on; when that could be written, so do the rest."""
    daemon = start(log_names=False)
    daemon.scanner(HERE, SCANNED)
    (daemon.here / "closed").touch()
    names = [f"Meier/closed{number}.tif" for number in range(20)]
    daemon.ready(*names, "ok1.tif", "Huber/ok2.tif")
    wait_until(lambda: daemon.in_state("ok1.tif", "Huber/ok2.tif"))
    wait_until(lambda: daemon.ails() == ["folder not writable"])
    (state,) = daemon.status()["states"]
    name = hashlib.sha256(b"Meier").hexdigest()[:12]
    assert (state["folder"], f"folder {name} is closed" in state["why"]) == ("Meier", True)
    time.sleep(1.0)
    assert len({note["path"] for note in daemon.given(*names)}) <= 2
    assert daemon.ails() == ["folder not writable"]
    (daemon.here / "closed").unlink()
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])

    assert daemon.stderr().count("WARNING folder not writable: ") == 1
    assert "Meier" not in daemon.stderr() + "".join(daemon.heard())


def test_once_ends_with_a_folder_that_may_not_be_written_to(start: Callable[..., Daemon]) -> None:
    """What waits for another file's try does not wait for ever."""
    daemon = start(once=True, timings={"once_patience_s": 1.0})
    (daemon.here / "closed").touch()
    daemon.scanner(HERE)
    daemon.ready(*(f"f/closed{number}.tif" for number in range(9)), "ok.tif")
    daemon.scanner(SCANNED)

    assert daemon.process.wait(60) == 1
    assert "1 file answered, 0 errors; 9 left; folder not writable: " in daemon.stderr()


def test_a_scanner_that_ends_is_started_again(daemon: Daemon) -> None:
    """And that is said."""
    daemon.scanner("exit")
    wait_until(lambda: "degraded" in daemon.ails())
    (daemon.here / "scanner.in").write_text("")
    wait_until(lambda: daemon.children("scanner"))
    wait_until(lambda: daemon.ails() == [])

    assert "it exited with code 5" in daemon.stderr()


def test_sigterm_lets_the_file_in_hand_be_finished(daemon: Daemon) -> None:
    """Its answer is kept; what was not begun is not begun."""
    daemon.ready("slow1.tif", "slow2.tif", "ok3.tif", "ok4.tif")
    wait_until(lambda: daemon.given("slow1.tif"))
    assert daemon.end() == 0

    assert daemon.in_state("slow1.tif", "slow2.tif")
    assert set(daemon.rows()) == {"slow1.tif", "slow2.tif"}
    assert "STOPPING=1" in "\n".join(daemon.heard())
    assert daemon.log("worker")[-1]["say"] == "Finish"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_hands_back_what_cannot_be_finished(
    start: Callable[..., Daemon], number: signal.Signals
) -> None:
    """In time, without blame, and with no process left; the next daemon has it again."""
    daemon = start(timings={"stop_limit_s": 0.5})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("hang.tif", "ok.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    pids = [*daemon.children("worker"), *daemon.children("scanner")]
    begun = time.monotonic()
    assert daemon.end(number) == 0

    assert time.monotonic() - begun < 5
    assert [(row["state"], row["attempts"]) for row in daemon.rows().values()] == [("pending", 0)] * 2
    assert not any(map(is_alive, pids))


def test_the_children_end_with_their_supervisor(daemon: Daemon) -> None:
    """Also with one that is killed, and could not tell them; the attempt that it made is counted."""
    daemon.ready("hang.tif")
    wait_until(lambda: daemon.given("hang.tif"))
    pids = [*daemon.children("worker"), *daemon.children("scanner")]
    assert len(pids) == 2
    daemon.end(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)))
    assert daemon.rows()["hang.tif"]["attempts"] == 1


def test_a_reload_takes_the_new_bundle(daemon: Daemon) -> None:
    """When the old worker has answered what it has; nothing is lost, and systemd is told when it is over."""
    daemon.ready("slow1.tif", "slow2.tif", "ok.tif")
    wait_until(lambda: daemon.given("slow1.tif"))
    (old,) = daemon.children("worker")
    daemon.bundle.write_text("second")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "READY=1" in daemon.heard()[-3:] and daemon.heard().count("READY=1") == 2)
    wait_until(lambda: daemon.in_state("slow1.tif", "slow2.tif", "ok.tif"))

    assert [note["pid"] == old for note in daemon.given("slow1.tif", "slow2.tif", "ok.tif")] == [1, 1, 0]
    answered = [
        note for note in daemon.log("worker") if (note["say"], note.get("path")) == ("done", "slow2.tif")
    ]
    assert answered[0]["at"] < daemon.given("ok.tif")[0]["at"]
    assert any(text.startswith("RELOADING=1\nMONOTONIC_USEC=") for text in daemon.heard())
    assert "Rescan" in [note["say"] for note in daemon.log("scanner")]
    wait_until(lambda: daemon.status()["model"]["model"] == "second")
    wait_until(lambda: old not in daemon.children("worker"))


@pytest.mark.parametrize(("bundle", "why"), [("bad", "SHA256SUMS is missing"), ("crash", "SIGSEGV")])
def test_a_bad_bundle_keeps_the_old_one(daemon: Daemon, bundle: str, why: str) -> None:
    """It is shown until a good one comes; the old worker never stops."""
    (old,) = daemon.children("worker")
    daemon.bundle.write_text(bundle)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload failed" in daemon.ails())
    assert why in daemon.status()["states"][0]["why"]
    wait_until(lambda: daemon.heard().count("READY=1") == 2)
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    assert daemon.given("ok.tif")[0]["pid"] == old
    assert daemon.status()["model"]["model"] == "first"
    daemon.bundle.write_text("third")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.ails() == [] and daemon.status()["model"]["model"] == "third")


def test_a_kept_copy_that_is_damaged_is_not_the_end(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """The next worker opens what the operator named, as a daemon does that starts."""
    (tmp_path / "bundle").write_text("copied")
    (tmp_path / "copy").write_text("bad")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("crash.tif", then="")
    wait_until(lambda: len([note for note in daemon.log("worker") if note["say"] == "start"]) >= 3)
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    opened = [Path(note["bundle"]).name for note in daemon.log("worker") if note["say"] == "start"]
    assert opened[:3] == ["bundle", "copy", "bundle"]
    wait_until(lambda: daemon.ails() == [])


def test_a_damaged_copy_does_not_bring_a_refused_bundle_into_use(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """After a reload that was refused, workers go on with the copy."""
    (tmp_path / "bundle").write_text("copied")
    (tmp_path / "copy").write_text("first")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.bundle.write_text("bad")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.ails() == ["reload failed"])
    daemon.ready("crash.tif", "a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    opened = [Path(note["bundle"]).name for note in daemon.log("worker") if note["say"] == "start"]
    assert opened[:3] == ["bundle", "bundle", "copy"]
    assert "bundle" not in opened[3:]


def test_that_no_copy_is_kept_is_said_and_tried_again(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """It works on; the next worker that can keep one ends the state."""
    (tmp_path / "bundle").write_text("unkept")
    daemon = start(timings={"keep_again_s": 0.5})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    wait_until(lambda: [s["why"] for s in daemon.status()["states"]] == ["no room for a copy"])
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))
    daemon.bundle.write_text("first")
    wait_until(lambda: daemon.ails() == [])
    count = len(daemon.log("worker"))
    time.sleep(1.2)
    assert len(daemon.log("worker")) == count, "workers are replaced for no reason"


def test_two_reloads_end_with_the_last_bundle(daemon: Daemon) -> None:
    """The first one's worker is given up, whatever it was doing."""
    daemon.bundle.write_text("slow")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.children("worker")) == 2)
    daemon.bundle.write_text("third")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.status()["model"]["model"] == "third")
    wait_until(lambda: len(daemon.children("worker")) == 1)

    assert daemon.ails() == []


def test_a_worker_is_recycled(start: Callable[..., Daemon]) -> None:
    """After a number of answers another one takes its place; each file is given once."""
    daemon = start(workers={"RECYCLE_AFTER": 3})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    for number in range(8):
        daemon.ready(f"ok{number}.tif")
        wait_until(lambda: daemon.in_state(f"ok{number}.tif"))  # noqa: B023 # called at once
        time.sleep(0.1)

    assert len(daemon.given()) == 8
    assert len({note["pid"] for note in daemon.given()}) >= 2
    wait_until(lambda: len(daemon.children("worker")) == 1)
    assert daemon.ails() == []


@pytest.mark.parametrize(
    ("bundle", "limit", "why"),
    [
        ("slow", {"worker_start_s": 0.4}, "no worker can be started: it was not ready within 0.4 s"),
        ("mute", {"worker_silence_s": 0.4}, "the worker ended: it said nothing for 0.4 s"),
    ],
)
def test_a_worker_that_hangs_without_work_is_ended(
    start: Callable[..., Daemon], tmp_path: Path, bundle: str, limit: dict[str, float], why: str
) -> None:
    """It is shown, and another one started."""
    (tmp_path / "bundle").write_text(bundle)
    daemon = start(timings=limit)
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: why in daemon.stderr())
    (tmp_path / "bundle").write_text("first")
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: daemon.ails() == [])


def test_a_worker_that_does_not_leave_is_ended(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """Its follower has the work; the two do not stay side by side."""
    (tmp_path / "bundle").write_text("stay")
    daemon = start(timings={"worker_end_s": 0.4})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    (old,) = daemon.children("worker")
    daemon.bundle.write_text("second")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.children("worker") not in ([], [old]) and old not in daemon.children("worker"))


def test_a_bundle_that_is_refused_at_the_start_ends_the_daemon(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """With the exit code and the sentence that `run` would have had, and not ready."""
    (tmp_path / "bundle").write_text("bad")
    daemon = start()

    assert daemon.process.wait(20) == 4
    assert "colvi-edge: error: SHA256SUMS is missing; export the bundle again" in daemon.stderr()
    assert not daemon.is_ready()
    assert daemon.status()["refused"]["why"] == "SHA256SUMS is missing; export the bundle again"


def test_a_start_that_fails_leaves_what_the_daemon_before_said(
    daemon: Daemon, start: Callable[..., Daemon]
) -> None:
    """Its end and its model stay, and the reason is added; a start that succeeds takes that away."""
    assert daemon.end() == 0
    before = daemon.status()
    assert (before["end"], before["refused"]) == ("stopped", None)
    daemon.bundle.write_text("bad")
    for _ in range(2):
        assert start().process.wait(20) == 4
        refused = daemon.status()["refused"]
        assert refused["why"] == "SHA256SUMS is missing; export the bundle again"
        assert daemon.status() == {**before, "refused": refused}
    daemon.bundle.write_text("second")
    again = start()
    wait_until(again.is_ready)
    wait_until(lambda: again.status()["ready"] and again.status()["refused"] is None)


def test_a_second_daemon_waits_and_takes_over(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """It says who is working, is ready for systemd, and touches nothing before it is its turn."""
    second = start()
    wait_until(second.is_ready)
    assert f"process {daemon.process.pid} watches" in "\n".join(second.heard())
    assert second.children("worker") == []
    assert daemon.end() == 0
    wait_until(lambda: second.children("worker"))
    second.ready("ok.tif")
    second.scanner(HERE, SCANNED)
    wait_until(lambda: second.in_state("ok.tif"))


def test_a_second_daemon_that_waits_can_be_ended(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """It has nothing to finish."""
    second = start()
    wait_until(second.is_ready)

    assert second.end() == 0
    assert daemon.process.poll() is None


def test_once_does_not_wait_for_a_daemon(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """From cron, waiting processes would pile up."""
    once = start(once=True)

    assert once.process.wait(20) == 2
    assert f"process {daemon.process.pid} watches /nowhere/data/scope already" in once.stderr()


@pytest.mark.parametrize(
    ("paths", "settling", "exit_code", "words"),
    [
        ([], 0, 0, "0 files answered, 0 errors; 0 left"),
        ([], 1, 1, "0 files answered, 0 errors; 1 left"),
        (["ok1.tif", "ok2.tif"], 0, 0, "2 files answered, 0 errors; 0 left"),
        (["ok1.tif", "bad.tif"], 0, 1, "2 files answered, 1 error; 0 left"),
        (["ok1.tif", "crash.tif"], 0, 1, "2 files answered, 1 error; 0 left"),
        (["cut.tif", "ok1.tif"], 0, 1, "1 file answered, 0 errors; 1 left"),
    ],
)
def test_once_drains_and_tells(
    start: Callable[..., Daemon], paths: list[str], settling: int, exit_code: int, words: str
) -> None:
    """The exit code is 1 if a file failed or was left."""
    daemon = start(once=True, timings={"once_patience_s": 1.0})
    daemon.scanner(HERE)
    daemon.ready(*paths)
    scans = 0
    while daemon.process.poll() is None:
        if [note["say"] for note in daemon.log("scanner")].count("Rescan") >= scans:
            daemon.scanner({**SCANNED, "settling": settling})
            scans += 1
        time.sleep(0.02)

    assert daemon.process.wait(60) == exit_code
    assert words in daemon.stderr()


def test_once_waits_for_what_is_settling(start: Callable[..., Daemon]) -> None:
    """It asks for another look until all is at rest."""
    daemon = start(once=True)
    daemon.scanner(HERE, {**SCANNED, "settling": 1})
    wait_until(lambda: "Rescan" in [note["say"] for note in daemon.log("scanner")])
    assert daemon.process.poll() is None
    daemon.ready("ok.tif")
    daemon.scanner(SCANNED)
    wait_until(lambda: daemon.in_state("ok.tif"))
    wait_until(lambda: len([note for note in daemon.log("scanner") if note["say"] == "Rescan"]) >= 2)
    daemon.scanner(SCANNED)

    assert daemon.process.wait(20) == 0


def test_once_shows_a_bar_to_who_looks_on(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """In place of a log; what came of it is said at the end."""
    terminal, end = os.openpty()
    daemon = start(once=True, stderr=end)
    os.close(end)
    daemon.scanner(HERE)
    daemon.ready("soon.tif", "later.tif")
    daemon.scanner(SCANNED)
    shown, until = b"", time.monotonic() + 20
    while b"1/2" not in shown:  # drawn some times a second, and the second file waits until it was
        assert time.monotonic() < until
        assert select.select([terminal], [], [], 20)[0]
        shown += os.read(terminal, 4096)
    (tmp_path / "go").touch()
    wait_until(lambda: daemon.in_state("soon.tif", "later.tif"))
    daemon.scanner(SCANNED)
    with contextlib.suppress(OSError):  # EIO: the other side ended
        while True:
            shown += os.read(terminal, 4096)
    os.close(terminal)

    assert daemon.process.wait(20) == 0
    lines = [line for line in shown.decode().splitlines() if "INFO" in line]
    assert [line.partition("INFO ")[2] for line in lines] == ["2 files answered, 0 errors; 0 left"]
    assert "Diagnosing" in shown.decode()


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_who_sits_before_a_terminal_reads_names(
    start: Callable[..., Daemon], once: bool, terminal: bool
) -> None:
    """And what went wrong, from --once too; a file that the log goes to has hashes, whoever reads it."""
    with read_terminal() as (end, seen):
        daemon = start(once=once, log_names=False, stderr=end if terminal else None)
        daemon.scanner(HERE)
        daemon.ready("P01/Meier.tif", "P01/bad.tif")
        daemon.scanner(SCANNED)
        wait_until(
            lambda: daemon.in_state("P01/Meier.tif") and daemon.in_state("P01/bad.tif", state="failed")
        )
        while once and daemon.process.poll() is None:
            daemon.scanner(SCANNED)
            time.sleep(0.1)
        daemon.process.terminate()
        daemon.process.wait(20)
    log = b"".join(seen).decode() if terminal else daemon.stderr()

    names = ["P01/bad.tif: no axes (axes)"]
    if not once:
        names += ["P01/Meier.tif: control, score 90.0 (ok)"]
    hashes = [hashlib.sha256(name.partition(":")[0].encode()).hexdigest()[:12] for name in names]
    assert [name in log for name in names] == [terminal] * len(names)
    assert [mark in log for mark in hashes] == [not terminal] * len(names)
    assert ("Meier" in log) == (terminal and not once)


def test_a_terminal_is_told_of_other_models_when_the_bar_is_gone(start: Callable[..., Daemon]) -> None:
    """With the command that has their results judged again; where there is no bar, as soon as it is known."""
    first = start(once=True)
    first.scanner(HERE)
    first.ready("ok.tif")
    first.scanner(SCANNED)
    while first.process.poll() is None:
        first.scanner(SCANNED)
        time.sleep(0.1)
    with closing(sqlite3.connect(first.state / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE entries SET model = ?", ("cd" * 32,))
        ledger.execute("INSERT INTO models VALUES (?, 'old', '1.0')", ("cd" * 32,))
    told = (
        "1 result is of old 1.0 and stays; colvi-edge retry /nowhere/data/scope --stale judges it with first"
    )
    for terminal in (True, False):
        (first.here / "scanner.in").write_text("")  # what it said is not to be said again
        with read_terminal() as (end, seen):
            daemon = start(once=True, stderr=end if terminal else None)
            while daemon.process.poll() is None:
                daemon.scanner(HERE, SCANNED)
                time.sleep(0.1)
        log = b"".join(seen).decode() if terminal else daemon.stderr()
        assert log.count(told) == 1
        assert daemon.process.wait(20) == 0


def test_once_on_a_share_that_is_away_fails(start: Callable[..., Daemon]) -> None:
    """At once, and says why."""
    daemon = start(once=True)
    daemon.scanner(AWAY)

    assert daemon.process.wait(20) == 1
    assert "share away: /data is not mounted" in daemon.stderr()


def test_once_with_a_worker_that_always_dies_fails(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """It does not try for ever."""
    (tmp_path / "bundle").write_text("crash")
    daemon = start(once=True)
    daemon.scanner(HERE)
    daemon.ready("ok.tif")
    daemon.scanner(SCANNED)

    assert daemon.process.wait(30) == 1
    assert "no worker can be started: it died of SIGSEGV" in daemon.stderr()


def test_an_idle_night_is_alive(daemon: Daemon) -> None:
    """WATCHDOG comes within half of what systemd wants, though nothing happens."""
    began, before = time.monotonic(), daemon.heard().count("WATCHDOG=1")
    wait_until(lambda: daemon.heard().count("WATCHDOG=1") >= before + 4)

    assert time.monotonic() - began < 4  # WatchdogSec is 1 s here
    assert len(daemon.children("worker")) == len(daemon.children("scanner")) == 1
    assert len(daemon.log("worker")) == 1


def test_an_early_result_is_checked(daemon: Daemon) -> None:
    """The same work comes once more when the quiet time is over, and not before."""
    daemon.ready("ok.tif", early=True)
    wait_until(lambda: len(daemon.given()) == 2)
    first, check = daemon.given()

    assert check["path"] == "ok.tif"
    assert 0.4 < check["at"] - first["at"] < 5
    wait_until(lambda: daemon.rows()["ok.tif"]["recheck_s"] is None)


def test_a_full_disk_is_shown_and_ends_by_itself(daemon: Daemon) -> None:
    """One file at a time tries; when there is room, all are done."""
    (daemon.here / "full").touch()
    names = [f"full{number}.tif" for number in range(20)]
    began = time.monotonic()
    daemon.ready(*names)
    wait_until(lambda: "disk full" in daemon.ails())
    wait_until(lambda: any("STATUS=disk full: No space left on device" in text for text in daemon.heard()))
    time.sleep(1.0)
    tries = (time.monotonic() - began) / (0.8 * QUICKER["longest_backoff_s"])
    assert len(daemon.given()) <= min(3 + tries, len(names) - 1)
    (daemon.here / "full").unlink()
    wait_until(lambda: daemon.in_state(*names))
    wait_until(lambda: daemon.ails() == [])


def test_a_folder_that_comes_late_into_a_sandbox_restarts_the_service(start: Callable[..., Daemon]) -> None:
    """It is read-only in there until systemd makes the sandbox anew; without that, it is only shown."""
    daemon = start()
    daemon.scanner(AWAY)
    wait_until(daemon.is_ready)
    daemon.scanner(HERE, SCANNED)
    daemon.ready("readonly.tif")

    assert daemon.process.wait(20) == 75


def test_a_read_only_folder_is_shown(daemon: Daemon) -> None:
    """It was there from the start: to start again would help nothing."""
    daemon.ready("readonly.tif")
    wait_until(lambda: "read-only" in daemon.ails())

    assert daemon.process.poll() is None


def test_retry_is_noticed_by_the_running_daemon(daemon: Daemon) -> None:
    """The file that the command leaves is taken up within a second or so, and removed."""
    daemon.ready("bad.tif")
    wait_until(lambda: daemon.in_state("bad.tif", state="failed"))
    (daemon.state / "retry").touch()
    wait_until(lambda: len(daemon.given("bad.tif")) == 2)

    wait_until(lambda: not (daemon.state / "retry").exists())


def test_a_pause_of_the_supervisor_blames_nobody(start: Callable[..., Daemon]) -> None:
    """A machine that was suspended finds its clocks far ahead; no limit was passed by anybody."""
    daemon = start(timings={"paused_after_s": 0.8, "work_limit_s": 1.2, "scanner_silence_s": 1.2})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("slow.tif")
    wait_until(lambda: daemon.given("slow.tif"))
    pids = [daemon.process.pid, *daemon.children("worker"), *daemon.children("scanner")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: daemon.in_state("slow.tif"))

    assert len(daemon.given()) == 1
    assert [*daemon.children("worker"), *daemon.children("scanner")] == pids[1:]


def test_numbers_are_written_for_prometheus(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """And a folder for them that is missing is shown, and no reason to end."""
    daemon = start(metrics=str(tmp_path / "textfile" / "scope.prom"))
    daemon.scanner(HERE, SCANNED)
    wait_until(lambda: "degraded" in daemon.ails())
    (tmp_path / "textfile").mkdir()
    daemon.ready("ok.tif")
    written = tmp_path / "textfile" / "scope.prom"
    wait_until(lambda: written.exists() and 'outcome="ok"} 1' in written.read_text())


def test_metrics_in_the_watched_folder_are_refused(start: Callable[..., Daemon]) -> None:
    """The supervisor opens nothing there."""
    daemon = start(metrics="/nowhere/data/scope/scope.prom")

    assert daemon.process.wait(20) == 2
    assert "put it elsewhere" in daemon.stderr()


def test_a_damaged_ledger_is_said(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """And the daemon works on."""
    assert daemon.end() == 0
    (daemon.state / "ledger.sqlite").write_bytes(b"rust" * 5000)
    second = start()
    wait_until(lambda: "was damaged, is now" in second.stderr())
    second.ready("ok.tif")
    wait_until(lambda: second.in_state("ok.tif"))


def test_litter_of_a_killed_daemon_is_swept(daemon: Daemon, start: Callable[..., Daemon]) -> None:
    """Half a status that a kill left has no other end."""
    assert daemon.end() == 0
    litter = daemon.state / ".colvi-123-00ff.tmp"
    litter.touch()
    second = start()
    wait_until(lambda: not litter.exists())
    assert second.process.poll() is None
