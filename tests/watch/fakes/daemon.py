"""A supervisor in a process of its own with obedient children: everything round it is in the test's hands.

Scanner and worker are small real processes on real lines; what they were told is read from files that they
write, what became of it from the ledger and status.json, and what systemd hears from a socket of the test's.
"""

import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tools.watching import told, wait_until

CHECKOUT = Path(__file__).parents[3]

QUICKER = {"idle_round_s": 0.1, "heartbeat_s": 0.1, "longest_backoff_s": 0.3, "once_rescan_s": 0.1}
"""Times of `Timings`; a test may have others."""
MOUNT = {"point": "/data", "kind": "ext4", "source": "/dev/sda1", "inside": "/"}


HERE = {"say": "RootState", "state": "here", "why": "", "mount": MOUNT}


AWAY = {"say": "RootState", "state": "share away", "why": "/data is not mounted", "mount": None}


SCANNED = {"say": "Scanned", "files": 0, "settling": 0, "seconds": 0.01, "missed": 0}


class Daemon:
    """A supervisor in a process of its own, with everything round it in the test's hands."""

    def __init__(self, here: Path, stderr: int | None = None, **settings: Any) -> None:
        """Start it.

        Args:
            here: the folder of the test.
            stderr: a descriptor; None takes a file.
            settings: of `WatchSettings`, as JSON; also `timings` of `Timings`, beside `QUICKER`, and what
                else bounds `workers`.
        """
        self.here = here
        self.bundle = here / "bundle"
        if not self.bundle.exists():
            self.bundle.write_text("first")
        (here / "scanner.in").touch()
        self.notified: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = here / f"notify{time.monotonic_ns()}"
        self.socket.bind(str(address))
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()
        wanted = told(root="/nowhere/data/scope", bundle=str(self.bundle), **settings)
        wanted["timings"] = {**QUICKER, **settings.get("timings", {})}
        wanted.setdefault("workers", {})
        log = (here / "stderr").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.watch.fakes.supervisor", json.dumps(wanted), str(here)],
            env={
                **os.environ,
                "NOTIFY_SOCKET": str(address),
                "PYTHONPATH": str(CHECKOUT),
                "WATCHDOG_USEC": "400000",  # a sign of life each 0.1 s
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

    def ready(self, *paths: str, early: bool = False, then: str = "", lost: Sequence[str] = ()) -> None:
        """Let the scanner find files, and be told one thing more in the same breath.

        Args:
            paths: of the files.
            early: by the fast path.
            then: what is told more.
            lost: of which bundles' results files are gone.
        """
        signature = {"inode": 1, "bytes": 1, "mtime_ns": 1, "ctime_ns": 1}
        found = {"say": "FileReady", "signature": signature, "closed_at": time.monotonic(), "early": early}
        files = ({**found, "path": path, "quiet_s": 0.6, "lost": list(lost)} for path in paths)
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

    def rounds(self, count: int = 3) -> None:
        """Wait until the supervisor went round so many times more, and looked at everything each time."""
        before = self.heard().count("WATCHDOG=1")
        wait_until(lambda: self.heard().count("WATCHDOG=1") >= before + count)

    def is_ready(self) -> bool:
        """Return whether READY was said."""
        return "READY=1" in "\n".join(self.heard())

    def children(self, role: str) -> list[int]:
        """Return the process ids of the supervisor's children of a role."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if f"fakes.{role}\0" in command_of(pid)]

    def stderr(self) -> str:
        """Return the log."""
        return (self.here / "stderr").read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


def command_of(pid: str) -> str:
    """Return the words that a process was called by; "" of one that has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


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


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
