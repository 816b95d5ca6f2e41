"""What supervisor, scanner, worker and publisher say to each other.

Each message is one line of JSON on a socket pair, `{"say": "FileReady", ...}`. Paths are relative to the
watched root and decoded with `os.fsdecode`; JSON's escapes carry undecodable bytes. Times are
CLOCK_MONOTONIC, which all processes of a machine share.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.model import Model, Name, Sha256, Slot
from colvi_edge.watch.ipc.settings import PublisherSettings, ScannerSettings, WorkerSettings
from colvi_edge.watch.words import WorkOutcome

Kind = Annotated[str, re.compile("[a-z0-9_ -]{0,40}")]
"""Of an error, as in `errors`, or of what a folder suffers from."""


# --- supervisor -> scanner


@dataclass(frozen=True)
class Rescan:
    """Scan now, and answer with `Scanned`."""


# --- scanner -> supervisor


@dataclass(frozen=True)
class FileReady:
    """A raw file is finished, as far as can be told from outside, and the ledger has not this state of it.

    Attributes:
        path: of the raw file.
        signature: the state of it that was found at rest.
        closed_at: when it came to rest: of the event, else of the look that first saw this state.
        early: taken by the fast path, before the quiet time, so its content is checked again after it.
        quiet_s: the quiet time of this place.
        lost: bundles that have answered this state of it, but whose results lack files now.
    """

    path: str
    signature: Signature
    closed_at: float
    early: bool
    quiet_s: float
    lost: list[Slot] = field(default_factory=list)


@dataclass(frozen=True)
class Scanned:
    """A whole scan of the tree ended.

    Attributes:
        files: raw files seen.
        settling: of them, not yet at rest.
        settled_before: of the latter, those that were offered, or have their answer, in an earlier state.
        seconds: that it took.
        missed: new files that no event had announced, on a folder with events.
        not_read: files in image formats that are not read, by suffix; see `raw_files`.
        barred: folders that may not be listed, a number of them at most; "" is the root.
        unmarked: of the files, those that wait for their marker, and never had one.
    """

    files: int
    settling: int
    seconds: float
    missed: int
    not_read: dict[str, int] = field(default_factory=dict)
    barred: list[str] = field(default_factory=list)
    settled_before: int = 0
    unmarked: int = 0


@dataclass(frozen=True)
class Settles:
    """How many files are not yet at rest, whenever that changed since it was said; as in `Scanned`."""

    settling: int
    settled_before: int
    unmarked: int = 0


@dataclass(frozen=True)
class RootState:
    """What became of the root; said at the start and whenever it changes.

    Attributes:
        state: "here"; "share away": gone, or a mount that is no longer one; "taken": another machine's or
            user's daemon holds the folder's lock.
        why: in words.
        mount: while it is here.
        results_mount: the same of the folder of the results, where that is another one.
    """

    state: Literal["here", "share away", "taken"]
    why: str
    mount: Mount | None
    results_mount: Mount | None = None


@dataclass(frozen=True)
class Degraded:
    """The scanner works, but less well than it should; "" ends that."""

    why: str


# --- supervisor -> worker


@dataclass(frozen=True)
class Work:
    """Diagnose a file.

    Attributes:
        number: of this piece of work; the answer bears it.
        path: of the raw file.
        signature: the state in which it must be found.
        mount: of the root; elsewhere nothing is read or written.
        results_mount: of the folder of the results, where that is another one; elsewhere nothing is written.
        last: an incomplete file has been waited for long enough and gets its error record now.
        force: which results for this content it is judged in spite of; OWN is none here, as the
            scanner may offer a file twice.
        kind: of the error that made it wait at the look before this one; "" if there was none.
    """

    number: int
    path: str
    signature: Signature
    mount: Mount
    last: bool
    force: Replace
    kind: str = ""
    results_mount: Mount | None = None


@dataclass(frozen=True)
class RecordFailure:
    """Write the error record of a file that must not be read again; the mounts are as in `Work`."""

    number: int
    path: str
    mount: Mount
    message: str
    results_mount: Mount | None = None


@dataclass(frozen=True)
class Finish:
    """End what was begun, then exit."""


# --- worker -> supervisor


@dataclass(frozen=True)
class WorkerReady:
    """The bundle is open and its engine gave the trained network's votes.

    Attributes:
        bundle: where it is opened from now on: the copy, if one was kept.
        model, model_sha256, model_version: of the bundle.
        runtime, precision, device, reason: of the engine.
        not_kept: why there is no copy of the bundle, in words; "" if there is one, or none was asked for.
    """

    bundle: str
    model: str
    model_sha256: Sha256
    runtime: str
    precision: str
    device: str
    reason: str
    not_kept: str = ""
    model_version: Name = ""

    @property
    def judge(self) -> Model:
        """The model, as results are counted by it."""
        return Model.of(self.model, self.model_version, self.model_sha256)


@dataclass(frozen=True)
class Labels:
    """A file of labels belongs to each result of this worker; said before `WorkerReady`, if it is so."""


@dataclass(frozen=True)
class StartRefused:
    """The worker cannot start, for a reason that the operator can put right."""

    exit_code: Annotated[int, range(1, 256)]
    kind: Kind
    message: str


@dataclass(frozen=True)
class WorkDone:
    """What became of a piece of work.

    Attributes:
        number: of the work.
        outcome: see `words.OUTCOMES`.
        sha256: of the raw file; "" where it was not read.
        revision: of the sidecar.
        words: the diagnosis and score, or the sentence of what went wrong.
        kind: of an error, as in `errors`; of an answer "again" also a `Trouble`: one that is `FOLDER_WIDE`,
            or `NOT_WRITABLE`.
        took_ms: from reading to the renamed sidecar.
        model: whose result stands beside the raw file now; None if none does.
        files: of which that consists, the sidecar and what it lists.
    """

    number: int
    outcome: WorkOutcome
    sha256: Sha256
    revision: Annotated[int, range(2**63)]
    words: str
    kind: Kind
    took_ms: float
    model: Model | None = None
    files: Annotated[int, range(2**53)] = 0


# --- supervisor -> publisher


@dataclass(frozen=True)
class Publish:
    """Write the page; the mounts are as in `Work`."""

    mount: Mount
    results_mount: Mount | None = None


# --- publisher -> supervisor


@dataclass(frozen=True)
class Published:
    """What became of the page.

    Attributes:
        why: it was not written, in words; "" if it was.
        seconds: that it took.
    """

    why: str
    seconds: float


# --- scanner and worker


@dataclass(frozen=True)
class Alive:
    """The child's own loop came round."""


Message = (
    ScannerSettings
    | Rescan
    | FileReady
    | Scanned
    | Settles
    | RootState
    | Degraded
    | WorkerSettings
    | Work
    | RecordFailure
    | Finish
    | Labels
    | WorkerReady
    | StartRefused
    | WorkDone
    | PublisherSettings
    | Publish
    | Published
    | Alive
)
