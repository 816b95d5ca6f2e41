"""What a scanner, a worker or a publisher does first: it joins its supervisor, which it does not outlive."""

import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from colvi_edge.printable import printable_traceback
from colvi_edge.watch.ipc.channel import Channel

NAMES = "--log-names"
"""A child's last argument where the names of files may stand in the log."""

_PR_SET_PDEATHSIG = 1


class SupervisorLink(NamedTuple):
    """The supervisor, as a child has it.

    Attributes:
        channel: to it.
        pid: of the process.
    """

    channel: Channel
    pid: int

    def is_alive(self) -> bool:
        """Return whether it still runs: a child that outlives it may not write any more."""
        return os.getppid() == self.pid


def join_supervisor() -> SupervisorLink:
    """Return the link to the process that started this one, whose end will be this one's end too.

    To be called first in a child: `python -m colvi_edge.watch.worker DESCRIPTOR SUPERVISOR_PID`.
    """
    descriptor, pid = map(int, sys.argv[1:3])
    leave_no_core()
    _keep_names_back(NAMES in sys.argv[3:])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    link = SupervisorLink(Channel(socket.socket(fileno=descriptor)), pid)
    if not link.is_alive():  # it ended before the kernel was told to tell us
        raise SystemExit
    # Ctrl-C and SIGHUP reach the whole group; what they mean is the supervisor's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Where memory ends, the kernel shall take this process and not the supervisor.
    Path("/proc/self/oom_score_adj").write_text("500")
    return link


def leave_no_core() -> None:
    """See to it that no core dump of this process, and of those that it starts, holds pixels or names.

    The limit alone would not do: the kernel disregards it where a program takes the dumps (Ubuntu's apport).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a kernel that writes no dumps at all has no filter
        Path("/proc/self/coredump_filter").write_text("0")


def _keep_names_back(names: bool) -> None:
    """Let a child end with a traceback in the log, and nothing there name a file unless `names` may be told.

    Readers and runtimes write what they like to stderr, also from C and C++, and their warnings and
    exceptions name files. So that leads nowhere. Where a bug or a crash showed is told in lines of code.
    """
    log = os.dup(2)
    faulthandler.enable(log)

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            os.write(log, f"{printable_traceback(error, words=names)}\n".encode())

    sys.excepthook = tell
    threading.excepthook = lambda ended: tell(ended.exc_type, ended.exc_value, ended.exc_traceback)
    if not names:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
