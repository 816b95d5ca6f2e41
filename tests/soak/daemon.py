"""`colvi-edge watch` as the soak scripts drive it: the real command, with a state directory of its own."""

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from colvi_edge.bundle import demo_path
from colvi_edge.watch.worker.slots import slots_of_bundles
from tests.tools.bundles import rename

Role = Literal["supervisor", "scanner", "worker"]
Found = TypeVar("Found")

ROLES: tuple[Role, ...] = ("supervisor", "scanner", "worker")
COMMAND = str(Path(sys.executable).with_name("colvi-edge"))
READY_S = 90.0
STOPPED_S = 40.0
TRACEBACK_CHARACTERS = 3000


class Daemon:
    """A daemon on a folder. Use it in a `with` statement: it is started there, and ended for certain.

    Attributes:
        root: the watched folder.
        log_path: takes what it logs, over all its starts.
    """

    def __init__(
        self,
        root: Path,
        state: Path,
        *options: str,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        log: str = "log",
        bundles: Sequence[str] = ("demo",),
    ) -> None:
        """Prepare a daemon.

        Args:
            root: to be watched.
            state: its state directory, made if need be.
            options: of `colvi-edge watch`, besides folder and bundle.
            prefix: a program that starts it, such as strace.
            environment: more of it.
            log: name of its log, in the state directory.
            bundles: with which it judges.
        """
        self.root = root
        self.log_path = state / log
        named = [word for bundle in bundles for word in ("--bundle", bundle)]
        self._command = [*prefix, COMMAND, "watch", str(root), *named, "--log-names", *options]
        foreign = ("COLVI_EDGE_", "NOTIFY_SOCKET", "STATE_DIRECTORY", "WATCHDOG_")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self.environment |= {"XDG_STATE_HOME": str(state), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        state.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Daemon":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def ended(self) -> Iterator["Daemon"]:
        """End it for certain, whoever starts it."""
        try:
            yield self
        finally:
            self.stop()

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it says that it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self.environment, stderr=log, stdout=log)
        if ready:
            self.wait_until(lambda status: status["ready"], READY_S, "to be ready")

    @property
    def runs(self) -> bool:
        """Return whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it as systemd does, with SIGTERM."""
        if self._process is None:
            return
        supervisor = self.pid("supervisor") if self.runs else None
        if supervisor:
            os.kill(supervisor, signal.SIGTERM)
        try:
            self._process.wait(STOPPED_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TimeoutError(f"it did not end within {STOPPED_S} s of SIGTERM") from None

    def kill(self, role: Role, process: int | None = None) -> None:
        """End one of its processes with SIGKILL, if it is there: the one named, or the first of its role."""
        process = process or self.pid(role)
        if process is not None:
            os.kill(process, signal.SIGKILL)
            if role == "supervisor" and self._process is not None:
                self._process.wait()

    @contextmanager
    def frozen(self, role: Role) -> Iterator[None]:
        """Stop its processes of one role for a while, as a hung share does."""
        processes = self.pids(role)
        assert processes, f"no {role} runs"
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                if Path(f"/proc/{process}").exists():
                    os.kill(process, signal.SIGCONT)

    def pid(self, role: Role) -> int | None:
        """Return the process that has a role now."""
        return next(iter(self.pids(role)), None)

    def pids(self, role: Role) -> list[int]:
        """Return the processes that have a role now: of workers one for each bundle, or more."""
        if self._process is None:
            return []
        family = [self._process.pid, *descendants(self._process.pid)]
        words = {"supervisor": f" {COMMAND} watch "}.get(role, f" colvi_edge.watch.{role} ")
        return [process for process in family if words in _python_command(process)]

    def status(self) -> dict[str, Any]:
        """Return what `colvi-edge status --json` says."""
        command = [COMMAND, "status", str(self.root), "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        unsaid = {"ready": False, "states": [], "waiting": [], "files": {"pending": math.inf}}
        return {**unsaid, **json.loads(done.stdout or "{}")}

    def wait_until(self, told: Callable[[dict[str, Any]], object], limit_s: float, what: str) -> float:
        """Ask for the status until it tells something; return after how many seconds it did."""
        began = time.monotonic()

        def look() -> object:
            if not self.runs:
                raise RuntimeError(f"the daemon ended while it was expected {what}:\n{self.tail()}")
            return told(self.status())

        try:
            wait_for(look, limit_s, what, every_s=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\nstatus: {self.status()}\n{self.tail()}") from None
        return time.monotonic() - began

    def wait_idle(self, limit_s: float) -> float:
        """Wait until no file is pending."""
        return self.wait_until(
            lambda status: not status["files"]["pending"], limit_s, "to have nothing pending"
        )

    def ails(self, limit_s: float, name: str) -> float:
        """Wait until it says that this is wrong; return after how many seconds it does."""
        return self.wait_until(
            lambda status: name in [state["name"] for state in status["states"]], limit_s, f"to say {name!r}"
        )

    def is_well(self, limit_s: float) -> float:
        """Wait until it says that nothing is wrong; return after how many seconds it does."""
        return self.wait_until(lambda status: not status["states"], limit_s, "to say that all is well")

    def log(self) -> str:
        """Return everything that it logged."""
        return self.log_path.read_text(errors="replace")

    def bugs(self) -> list[str]:
        """Return each traceback in its log, as a fault."""
        _, *found = self.log().split("Traceback (most recent call last):\n")
        return [f"a traceback in the log:\n{text[:TRACEBACK_CHARACTERS]}" for text in found]

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log().splitlines()[-25:])


def descendants(process: int) -> list[int]:
    """Return the children of a process, and theirs."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        words = [word for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [found for child in map(int, words) for found in (child, *descendants(child))]


def _python_command(process: int) -> str:
    try:
        program, *arguments = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    except (OSError, ValueError):
        return ""
    return " ".join(["", *arguments]) if "python" in program else ""


def wait_for(look: Callable[[], Found], limit_s: float, what: str, *, every_s: float = 0.02) -> Found:
    """Return what `look` finds, as soon as it finds something true."""
    end = time.monotonic() + limit_s
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s:.0f} s in vain {what}")
        time.sleep(every_s)
    return found


def recorded(raw: Path, slots: Sequence[str] = ("",)) -> bool:
    """Return whether a raw file has a record of each bundle beside it."""
    stems = (f"{raw.name}.{slot}" if slot else raw.name for slot in slots)
    ends = (".colvi.json", ".colvi.error.json")
    return all(any(raw.with_name(stem + end).exists() for end in ends) for stem in stems)


def with_bundles(parser: argparse.ArgumentParser) -> None:
    """Let a script be told with which bundles it is to judge."""
    parser.add_argument(
        "--bundle",
        action="append",
        metavar="PATH|demo|demo-nuclei|copy",
        help="again for each that judges; 'copy' is the demo by another name (default: demo alone)",
    )


def bundles_in(place: Path, named: Sequence[str] | None) -> dict[str, str]:
    """Return the bundles that a script was told, by the names that their results bear; "" is the first.

    Args:
        place: where those are made that are not there.
        named: see `with_bundles`.
    """
    paths = [str(copied(place)) if name == "copy" else name for name in named or ["demo"]]
    return {slot: path for (slot, _), path in zip(slots_of_bundles(paths), paths, strict=True)}


def copied(place: Path) -> Path:
    """Return a copy of the demo bundle, by another name: it judges alike, and is another model."""
    copy = place / "copy.colvi"
    if not copy.exists():
        shutil.copytree(demo_path(), copy)
        rename(copy, "second opinion", "2.0")
    return copy


@contextmanager
def workplace(parent: Path | None) -> Iterator[Path]:
    """Make a folder to work in, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="colvi-soak-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed."""
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1]


def say(*words: object) -> None:
    """Print a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def verdict(name: str, faults: Sequence[str]) -> None:
    """Print the line that says whether all went well, and end with 0 or 1."""
    for fault in faults:
        say("FAULT", fault)
    say(f"{name}: {'FAILED' if faults else 'passed'}")
    raise SystemExit(bool(faults))
