"""What the obedient scanner and worker share: the line to their supervisor, and a log that the test reads."""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from colvi_edge.watch.ipc.channel import Channel
from colvi_edge.watch.ipc.child import join_supervisor
from colvi_edge.watch.ipc.messages import Message
from colvi_edge.watch.ipc.settings import WorkerSettings


class Obedient:
    """A child of the supervisor, in the test's hands.

    Attributes:
        here: the folder of the test, whose files say what is to be done.
        settings: what the supervisor said first.
        line: to the supervisor.
        raw: the same line, for what is no message.
    """

    def __init__(self, role: str) -> None:
        """Join the supervisor; `python -m tests.watch.fakes.ROLE HERE DESCRIPTOR SUPERVISOR_PID`."""
        self.here = Path(sys.argv.pop(1))
        self.raw = socket.socket(fileno=os.dup(int(sys.argv[1])))
        self.line: Channel = join_supervisor().channel
        self._log = self.here / f"{role}.log"
        self.settings: Message = self.line.first()
        bundle = self.settings.judging.bundle if isinstance(self.settings, WorkerSettings) else ""
        mount = getattr(self.settings, "mount", "")
        self.note(say="start", bundle=bundle, mount=repr(mount))

    def note(self, **what: Any) -> None:
        """Add a line to the log."""
        with self._log.open("a") as file:
            file.write(json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\n")
