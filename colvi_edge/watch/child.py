"""How a scanner, a worker or a publisher lives: on a line to its supervisor, and never longer than that."""

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

from colvi_edge.watch.messages import Line

_PR_SET_PDEATHSIG = 1


def join_supervisor() -> Line:
    """Return the line to the process that started this one, whose end will be this one's end too.

    To be called first in a child: `python -m colvi_edge.watch.worker DESCRIPTOR SUPERVISOR_PID`.
    """
    descriptor, supervisor = map(int, sys.argv[1:3])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it ended before the kernel was told to tell us
        raise SystemExit
    # Ctrl-C and SIGHUP reach the whole group; what they mean is the supervisor's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Where memory ends, the kernel shall take this process and not the supervisor.
    Path("/proc/self/oom_score_adj").write_text("500")
    return Line(socket.socket(fileno=descriptor))


def supervisor_lives() -> bool:
    """Return whether this process may still write: asked before each rename."""
    return os.getppid() == int(sys.argv[2])
