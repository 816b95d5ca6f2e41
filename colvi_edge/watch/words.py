"""The words by which processes, ledger, status and metrics name what goes wrong, and what became of a file.

They are public, as they were released: in status.json, in the log and in the metrics. Kinds of errors, such
as `not_an_image`, are others: they are about one file, and `colvi_edge.errors` has them.
"""

from typing import Final, Literal, get_args

Trouble = Literal[
    "share away",
    "taken",
    "stuck",
    "disk full",
    "read-only",
    "folder not readable",
    "folder not writable",
    "blocked output",
    "ledger",
    "reload failed",
    "degraded",
]
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
"""share away: the folder, or its mount, is gone. taken: another machine's daemon has the folder. stuck: what
was asked of the share does not come back. disk full, read-only: results cannot be written. folder not
readable, folder not writable: one folder is closed to the daemon, the others go on. blocked output: folders
have the names of a file's result and error record. ledger: the state folder cannot be written. reload failed:
the bundle that SIGHUP asked for was refused; the old one goes on. degraded: it works, less well than it
should."""

FOLDER_WIDE: Final[tuple[Trouble, ...]] = ("share away", "disk full", "read-only", "stuck")
"""What a file has to wait for and a whole folder suffers from."""

NOT_WRITABLE: Final = "folder not writable"
"""What a file has to wait for where only the folder of its results is closed to the daemon."""

BARRED_TOLD: Final = 20
"""Of the folders that are closed to the daemon; there may be thousands."""

WorkOutcome = Literal["ok", "rejected", "same", "error", "again", "changed"]
OUTCOMES: Final[tuple[WorkOutcome, ...]] = get_args(WorkOutcome)
"""ok, rejected: judged and written. same: the content has its result already. error: it has an error record.
again: nothing was written and it may succeed later. changed: the file is not as it was announced, or is gone,
and the scanner will say when it is at rest."""
