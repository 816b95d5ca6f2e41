"""`colvi-edge` with children that tell all they know; see `loud`.

    python -m tests.watch.fakes.loud_supervisor HERE watch ...

Where JOURNAL names a socket, its log goes there as if it was systemd's journal.
"""

import functools
import os
import sys

from colvi_edge.cli import main
from colvi_edge.watch.supervisor import start
from colvi_edge.watch.supervisor.telling import journal
from colvi_edge.watch.timings import Timings

here = sys.argv.pop(1)
if "JOURNAL" in os.environ:
    err = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{err.st_dev}:{err.st_ino}"
    setattr(journal, "_JOURNAL", os.environ["JOURNAL"])  # noqa: B010 - a constant
commands = {role: [sys.executable, "-m", f"tests.watch.fakes.loud_{role}", here] for role in start.COMMANDS}
timings = Timings(longest_backoff_s=0.3, once_rescan_s=0.1, once_look_s=0.05, quiet_share_s=1.0)
setattr(start, "watch", functools.partial(start.watch, commands=commands, timings=timings))  # noqa: B010
main()
