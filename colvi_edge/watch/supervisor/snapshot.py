"""What the parts of the daemon tell of themselves: all that heartbeat and `--once` know of them."""

from dataclasses import dataclass

from colvi_edge.watch.ipc.messages import RootState, Scanned
from colvi_edge.watch.status_file import Bundled, Last, Waiting


@dataclass(frozen=True)
class WorkSnapshot:
    """How work stood at one moment.

    Attributes:
        pending: files without a final answer.
        repeated: how many of them have an earlier answer, which is counted as long as it stands.
        assigned: how many of them the worker has.
        fewest_failures: tries in vain of the file that has the fewest, of those that wait for no other file;
            None if no file waits.
        waiting: of the pending files, some that were tried in vain.
        awaits_model: no worker has started yet, of a bundle whose workers have not failed too often.
        other_models: what was said of results that are of other models.
        changes: counts whatever is new: a file that was found, or a final answer.
        last: the last final answer, maybe of an earlier daemon; None before the first.
        answers: final answers since the start.
        judged: how many of them were results that were written.
        errors: how many of them were errors.
    """

    pending: int
    repeated: int
    assigned: int
    fewest_failures: int | None
    waiting: list[Waiting]
    awaits_model: bool
    other_models: str
    changes: int
    last: Last | None
    answers: int
    judged: int
    errors: int


@dataclass(frozen=True)
class ProcessSnapshot:
    """How scanner and worker were at one moment.

    Attributes:
        root: what the scanner that runs said of the folder; None before it has, and while none runs.
        scanned: of the last whole scan, with what settles now; None before the first.
        scanned_at: when that came, on the monotonic clock.
        scanner_failures: scanners that ended since the last whole scan.
        bundles: what the current or the last worker of each said of itself, the first bundle first.
        have_started: a worker of one bundle has, and each other bundle's has too, or failed.
        worker_failures: workers in a row that gave no answer, of the bundle that has the fewest.
        is_stuck: one of them was killed and goes on nevertheless.
    """

    root: RootState | None
    scanned: Scanned | None
    scanned_at: float
    scanner_failures: int
    bundles: list[Bundled]
    have_started: bool
    worker_failures: int
    is_stuck: bool

    @property
    def is_here(self) -> bool:
        """Whether the scanner said that the folder is there."""
        return self.root is not None and self.root.state == "here"
