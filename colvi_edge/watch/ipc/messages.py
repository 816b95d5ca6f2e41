"""What supervisor, scanner, worker and publisher say to each other, and how it travels.

Each message is one line of JSON on a socket pair, `{"say": "FileReady", ...}`. Paths are relative to the
watched root and decoded with `os.fsdecode`; JSON's escapes carry undecodable bytes. Times are
CLOCK_MONOTONIC, which all processes of a machine share.
"""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from colvi_edge.printable import printable_name
from colvi_edge.system.bounded import json_of
from colvi_edge.watch.ipc.typed import WrongTypeError, made
from colvi_edge.watch.ipc.words import WorkOutcome
from colvi_edge.watch.timings import Timings

LINE_BYTES = 1 << 20
"""Of a message at most. A text of 65,536 characters, each escaped as JSON does it, takes 786,432."""

LONGEST_WORDS = 4000  # characters: an error may quote the file that it is about

_LONGEST_NAME = 256

Sha256 = Annotated[str, re.compile("([0-9a-f]{64})?")]
Kind = Annotated[str, re.compile("[a-z0-9_ -]{0,40}")]
"""Of an error, as in `errors`, or of what a folder suffers from."""


Name = Annotated[str, re.compile(r"[^\x00-\x1f\x7f]{0,256}")]
"""Of a model, or its version: of a bundle's manifest, or of a sidecar that others may have written."""


class BadMessageError(ValueError):
    """What came is no message: no JSON, of no known kind, of wrong types, out of bounds, or endless."""


@dataclass(frozen=True)
class Signature:
    """What tells that a file changed, from open and fstat: `stat` lags for seconds on NFS."""

    inode: Annotated[int, range(2**64)]
    bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """Return the signature of a file's status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class Mount:
    """Where a folder is mounted. Never a device number: a share has another one after each boot.

    Attributes:
        point: where it is mounted.
        kind: type of the file system, such as "ext4" or "cifs".
        source: device or share.
        inside: path of the mounted folder within that file system.
    """

    point: str
    kind: str
    source: str
    inside: str


@dataclass(frozen=True)
class Model:
    """A bundle that judged, or judges."""

    name: Name
    version: Name
    sha256: Sha256

    @classmethod
    def of(cls, name: str, version: str, sha256: str) -> "Model":
        """Return a model by what its bundle, or a sidecar, says; long names are cut."""
        return cls(printable_name(name)[:_LONGEST_NAME], printable_name(version)[:_LONGEST_NAME], sha256)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip() or "a model that is not known"


UNKNOWN = Model("", "", "")


# --- supervisor -> scanner


@dataclass(frozen=True)
class ScannerSettings:
    """First message to a scanner.

    Attributes:
        root: absolute path of the watched folder.
        output_dir: mirrors the results; None leaves them beside the raw files.
        ledger: SQLite file, which the scanner only reads: what is done is not looked at twice.
        mount: the root's when it was last seen; None at the first start.
        results_mount: the same of `output_dir`.
        poll: scan only, without events.
        interval_s: between scans; None is 15 on local disks, 5 on others.
        marker: suffix of an empty file that says that a raw file is finished ("X.tif.done"); None goes by
            time.
        ome_tiff: an OME-TIFF belongs to each result.
        timings: how long to wait.
    """

    root: str
    output_dir: str | None
    ledger: str
    mount: Mount | None
    poll: bool
    interval_s: float | None
    marker: str | None
    results_mount: Mount | None = None
    ome_tiff: bool = False
    timings: Timings = field(default_factory=Timings)


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
    """

    path: str
    signature: Signature
    closed_at: float
    early: bool
    quiet_s: float


@dataclass(frozen=True)
class Scanned:
    """A whole scan of the tree ended.

    Attributes:
        files: raw files seen.
        settling: of them, not yet at rest.
        settled_before: of the latter, those that were offered, or have their answer, in an earlier state.
        seconds: that it took.
        missed: new files that no event had announced, on a folder with events.
        not_read: files in image formats that are not read, by suffix; see `formats`.
        barred: folders that may not be listed, a number of them at most; "" is the root.
    """

    files: int
    settling: int
    seconds: float
    missed: int
    not_read: dict[str, int] = field(default_factory=dict)
    barred: list[str] = field(default_factory=list)
    settled_before: int = 0


@dataclass(frozen=True)
class Settles:
    """How many files are not yet at rest, whenever that changed since it was said; as in `Scanned`."""

    settling: int
    settled_before: int


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
class WorkerSettings:
    """First message to a worker.

    Attributes:
        root, output_dir: as the scanner has them.
        bundle: where to open it: what the operator named, or the copy that an earlier worker kept.
        keep: folder in which the worker keeps a copy of the bundle that it opened, so that later workers do
            not depend on what becomes of the original; "" to keep none.
        engine, precision: as on the command line.
        channels: role of each channel of the files; None asks the file.
        limits: what a raw file may ask for: names and values of `acquisition.Limits`.
        overlay: as on the command line.
        pixel_size_um: of all raw files; None asks them.
        timings: how long to wait.
    """

    root: str
    output_dir: str | None
    bundle: str
    keep: str
    engine: str
    precision: str
    channels: list[str] | None
    limits: dict[str, int]
    overlay: str
    pixel_size_um: float | None = None
    timings: Timings = field(default_factory=Timings)


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
        anew: by `Replace`, which results for this content it is judged in spite of; "own" is none, as the
            scanner may offer a file twice.
        kind: of the error that made it wait at the look before this one; "" if there was none.
    """

    number: int
    path: str
    signature: Signature
    mount: Mount
    last: bool
    anew: Literal["own", "stale", "all"]
    kind: str = ""
    results_mount: Mount | None = None


@dataclass(frozen=True)
class RecordFailure:
    """Write the error record of a file that must not be read again; the mounts are as in `Work`."""

    number: int
    path: str
    mount: Mount
    kind: str
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
class PublisherSettings:
    """First message to a publisher.

    Attributes:
        root, output_dir: as the scanner has them.
        page: absolute path of the report's page.
        sample: pattern of the names, see `report.samples`; None takes the default.
        refresh_s: the page loads itself anew so often.
    """

    root: str
    output_dir: str | None
    page: str
    sample: str | None
    refresh_s: float


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
    | WorkerReady
    | StartRefused
    | WorkDone
    | PublisherSettings
    | Publish
    | Published
    | Alive
)

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return json.dumps({"say": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line.

    Raises:
        BadMessageError: it is none; the words tell nothing of what it holds.
    """
    try:
        values = json_of(line)
    except ValueError as error:
        raise BadMessageError("it is no JSON") from error
    say = values.pop("say", None) if isinstance(values, dict) else None
    if not isinstance(say, str) or say not in _KINDS:
        raise BadMessageError("it is of no known kind")
    try:
        message: Message = made(_KINDS[say], values)
    except WrongTypeError as error:
        raise BadMessageError(str(error)) from error
    return message


def as_words(text: object) -> str:
    """Return a text, such as an error's, as one that every message takes: printable, and not endless."""
    return printable_name(str(text))[:LONGEST_WORDS]


class Channel:
    """One end of a socket pair that carries messages. Sending is safe from several threads."""

    def __init__(self, end: socket.socket) -> None:
        """Take over a connected stream socket."""
        self._end = end
        self._rest = b""
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._end.fileno()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: the other side is gone.
        """
        with self._sending:
            self._end.sendall(encode(message))

    def first(self) -> Message:
        """Return the first message, and leave what follows it on the line, where `select` sees it.

        Raises:
            EOFError: the other side ended without one.
            BadMessageError: it is none.
        """
        line = b""
        while not line.endswith(b"\n"):
            if len(line) > LINE_BYTES:
                raise BadMessageError("it has no end")
            byte = self._end.recv(1)
            if not byte:
                raise EOFError("the line ended before its first message")
            line += byte
        return decode(line)

    def receive(self) -> list[Message] | None:
        """Return the messages that have come, after waiting for at least a part of one; None at the end.

        Raises:
            BadMessageError: one of them is none; what the line brings later has no meaning.
        """
        data = self._end.recv(1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            self._rest = b""
            raise BadMessageError("it has no end")
        return [decode(line) for line in lines]

    def __iter__(self) -> Iterator[Message]:
        """Yield messages until the other side ends."""
        while (messages := self.receive()) is not None:
            yield from messages

    def close(self) -> None:
        """End the line."""
        self._end.close()
