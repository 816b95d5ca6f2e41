"""The supervisor's side of a child: started, listened to, watched and ended, without ever waiting for it.

A process that hangs on a dead share may be unkillable until the share answers. It must hold up nothing, and
is not doubled: who owns a child starts the next one when `reap` says that this one is gone.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from colvi_edge.watch.ipc.channel import BadMessageError, Channel
from colvi_edge.watch.ipc.child import NAMES
from colvi_edge.watch.ipc.messages import Message
from colvi_edge.watch.supervisor.telling.journal import names_are_logged
from colvi_edge.watch.timings import Timings

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A scanner, a worker or a publisher.

    Attributes:
        role: "scanner", "worker" or "publisher", for words.
        pid: of the process.
        started_at, heard_at: on the monotonic clock; the latter of its last message.
        ended_for: why it was killed; "" if it was not.
    """

    def __init__(self, role: str, command: Sequence[str], settings: Message, timings: Timings) -> None:
        """Start a process, and tell it its settings.

        Args:
            role: what it is.
            command: is given more arguments: descriptor of its channel, this process's id, and `NAMES` where
                the log may name files.
            settings: the first message.
            timings: how long it may go on once it is killed.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._channel = Channel(ours)
        with theirs, ExitStack() as on_failure:
            on_failure.callback(self._channel.close)
            # In the watched folder a file named numpy.py would be imported, and it could not be unmounted.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, str(theirs.fileno()), str(os.getpid()), *([NAMES] if names_are_logged() else [])],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
            on_failure.pop_all()
        self.role = role
        self.pid = self._process.pid
        self.started_at = self.heard_at = time.monotonic()
        self.ended_for = ""
        self._killed_at = 0.0
        self._stuck_after_s = timings.stuck_after_s
        self.send(settings)

    def fileno(self) -> int:
        """Return the descriptor of the channel, for selectors."""
        return self._channel.fileno()

    def send(self, message: Message) -> None:
        """Send a message; a child that takes none any more is killed."""
        try:
            self._channel.send(message)
        except OSError:  # it ended, or did not read for so long that the buffer is full
            self.kill("it took no message any more")

    def receive(self) -> list[Message] | None:
        """Return the messages that have come; None when there are no more, and never will be."""
        try:
            messages = self._channel.receive()
        except BlockingIOError:
            return []
        except OSError:  # it ended with messages to it unread
            return None
        except BadMessageError as error:  # what a file made of its reader may say anything
            self.kill(f"it sent what is no message: {error}")
            return None
        if messages is not None:  # its end is nothing that it said
            self.heard_at = time.monotonic()
        return messages

    def kill(self, why: str) -> None:
        """End it, at once if the kernel can."""
        if not self._killed_at:
            self.ended_for = why
            self._killed_at = time.monotonic()
            self._process.kill()

    def kill_if_silent(self, limit_s: float, now: float) -> None:
        """End it if it sent nothing for longer than a limit."""
        if now - self.heard_at > limit_s:
            self.kill(f"it said nothing for {limit_s:g} s")

    def kill_if_late(self, since: float, limit_s: float, now: float, what: str = "") -> bool:
        """End it if something takes longer than a limit; return whether it does.

        Args:
            since: when that began.
            limit_s: for it.
            now: of the monotonic clock.
            what: is late, such as "it did not begin"; "" if that is its work.
        """
        if now - since <= limit_s:
            return False
        limit = f"{round(limit_s, 1):g} s"
        self.kill(f"{what} within {limit}" if what else f"the time limit of {limit} ran out")
        return True

    def kill_if_large(self, limit_bytes: int) -> None:
        """End it if it holds more memory than a limit."""
        if self.resident_bytes() > limit_bytes:
            self.kill(f"the memory limit of {limit_bytes >> 30} GiB was passed")

    def reap(self) -> bool:
        """Return whether the process has ended; there may still be messages of it."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    @property
    def is_killed(self) -> bool:
        """Whether it was told to end at once."""
        return bool(self._killed_at)

    @property
    def is_stuck(self) -> bool:
        """Whether it was killed and goes on nevertheless."""
        return self.is_killed and time.monotonic() - self._killed_at > self._stuck_after_s

    @property
    def end(self) -> str:
        """Why it ended, in words."""
        code = self._process.returncode
        if self.ended_for and code == -signal.SIGKILL:
            return self.ended_for
        return f"it died of {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"

    def resident_bytes(self) -> int:
        """Return how much memory it holds; not its address space, of which CUDA reserves tens of GB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def waits_for_disk(self) -> bool:
        """Return whether one of its threads waits in the kernel for a disk or a share."""
        for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                state = stat.read_text().rpartition(")")[2].split()[0]
            except OSError:  # the thread ended
                continue
            if state == "D":
                return True
        return False
