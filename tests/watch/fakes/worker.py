"""A worker whose bundle is a word that says how it behaves; the name of a file says what becomes of it."""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from colvi_edge.watch.ipc.messages import (
    Alive,
    Finish,
    RecordFailure,
    StartRefused,
    Work,
    WorkDone,
    WorkerReady,
)
from colvi_edge.watch.ipc.settings import WorkerSettings
from colvi_edge.watch.words import WorkOutcome
from tests.watch.fakes.child import Obedient

WAITS = {
    "full": ("No space left on device", "disk full"),
    "closed": ("Permission denied", "folder not writable"),
    "blocked": ("a folder is in the way", "blocked_record"),
    "away": ("/data is not there", "share away"),
}
"""While a file of that name is there, such files are answered "again", with these words and that kind."""


class Worker:
    """Does to itself and to the supervisor what real workers do at their worst."""

    def __init__(self) -> None:
        """Join the supervisor and begin as the bundle says."""
        self.child = Obedient("worker")
        settings = self.child.settings
        assert isinstance(settings, WorkerSettings)
        self.slot = settings.judging.slot
        with open(settings.judging.bundle) as bundle:  # noqa: PTH123 # the operator's name of it, as it came
            self.bundle = bundle.read()
        if self.bundle == "bad":
            refused = "SHA256SUMS is missing; export the bundle again"
            self.child.line.send(StartRefused(4, "bundle_invalid", refused))
            sys.exit()
        if self.bundle == "crash":
            crash()
        if self.bundle == "slow":
            time.sleep(1)
        opened = str(self.child.here / "copy") if self.bundle == "copied" else settings.judging.bundle
        not_kept = "no room for a copy" if self.bundle == "unkept" else ""
        sha256, engine = "ab" * 32, ("openvino", "fp32", "CPU", "as asked")
        self.child.line.send(WorkerReady(opened, self.bundle, sha256, *engine, not_kept))

    def obey(self) -> None:
        """Take work until the supervisor ends, or has no more."""
        while True:
            if not select.select([self.child.line], [], [], 0.1)[0]:
                if self.bundle != "mute":
                    self.child.line.send(Alive())
                continue
            messages = self.child.line.receive()
            if messages is None:
                return
            for message in messages:
                if isinstance(message, Finish):
                    self.child.note(say="Finish")
                    if self.bundle == "stay":
                        time.sleep(99)
                    return
                assert isinstance(message, Work | RecordFailure)
                self.judge(message)

    def judge(self, work: Work | RecordFailure) -> None:
        """Do what the name of the file says, up to its first number or dot."""
        name = os.path.basename(work.path).partition(".")[0].rstrip("0123456789")  # noqa: PTH119 # bytes, too
        self.child.note(say=type(work).__name__, path=work.path, kind=getattr(work, "kind", ""), by=self.slot)
        if isinstance(work, RecordFailure):
            self.answer(work, "error", work.message, "killed")
        elif name in WAITS and (self.child.here / name).exists():
            self.answer(work, "again", *WAITS[name])
        else:
            DEEDS.get(self.bundle, DEEDS.get(name, Worker.diagnose))(self, work)
        self.child.note(say="done", path=work.path)

    def answer(
        self,
        work: Work | RecordFailure,
        outcome: WorkOutcome = "ok",
        words: str = "control, score 90.0",
        kind: str = "",
    ) -> None:
        """Say what became of it."""
        self.child.line.send(WorkDone(work.number, outcome, "cd" * 32, 1, words, kind, 1.0))

    def diagnose(self, work: Work) -> None:
        """Answer as one does that has judged it."""
        self.answer(work)

    def diagnose_slowly(self, work: Work) -> None:
        """Take half a second."""
        time.sleep(0.5)
        self.answer(work)

    def diagnose_later(self, work: Work) -> None:
        """Wait for a file to go."""
        while not (self.child.here / "go").exists():
            time.sleep(0.02)
        self.answer(work)

    def crash(self, work: Work) -> None:
        """Die without an answer."""
        crash()

    def crash_late(self, work: Work) -> None:
        """Die after the answer."""
        self.answer(work)
        crash()

    def hang(self, work: Work) -> None:
        """Compute for ever."""
        while True:
            pass

    def hang_in_the_kernel(self, work: Work) -> None:
        """Wait where no signal reaches, as in a share that hangs: for a child that shares the memory."""
        if ctypes.CDLL(None).vfork() == 0:
            time.sleep(3)
            os._exit(0)

    def eat_memory(self, work: Work) -> None:
        """Take some hundred MB a second."""
        hoard = []
        while True:
            hoard.append(os.urandom(1 << 20) * 20)
            time.sleep(0.02)

    def lie(self, work: Work) -> None:
        """Send what the file of this name holds, which is no message; answer when it is gone."""
        told = self.child.here / work.path
        if not told.exists():
            return self.answer(work)
        words = told.read_bytes()
        told.unlink()
        self.child.raw.sendall(words + b"\n")
        time.sleep(99)

    def go_on_for_ever(self, work: Work) -> None:
        """Send a line that has no end."""
        while True:
            self.child.raw.sendall(b"x" * 4096)

    def find_read_only(self, work: Work) -> None:
        """Answer as one does that may not write."""
        self.answer(work, "again", "Read-only file system", "read-only")

    def find_cut(self, work: Work) -> None:
        """Answer as one does that has read half a file."""
        self.answer(work, "again", "cut off", "incomplete")

    def find_bad(self, work: Work) -> None:
        """Answer as one does that has written an error record."""
        self.answer(work, "error", "no axes", "axes")


DEEDS: dict[str, Callable[[Worker, Work], None]] = {
    "slow": Worker.diagnose_slowly,
    "later": Worker.diagnose_later,
    "crash": Worker.crash,
    "late": Worker.crash_late,
    "hang": Worker.hang,
    "share": Worker.hang_in_the_kernel,
    "eat": Worker.eat_memory,
    "lie": Worker.lie,
    "refuses": Worker.find_bad,
    "fragile": Worker.crash,
    "waits": Worker.diagnose_later,
    "endless": Worker.go_on_for_ever,
    "readonly": Worker.find_read_only,
    "cut": Worker.find_cut,
    "bad": Worker.find_bad,
}


def crash() -> NoReturn:
    """Die as a library does that reads beyond its memory."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("nothing outlives that")


if __name__ == "__main__":
    Worker().obey()
