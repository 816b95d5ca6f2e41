"""What supervisor, scanner, worker and publisher say to each other, and how it travels.

Each message is one line of JSON on a socket pair, `{"say": "Ready", ...}`. Paths are relative to the watched
root and decoded with `os.fsdecode`; JSON's escapes carry undecodable bytes. Times are CLOCK_MONOTONIC,
which all processes of a machine share.
"""

import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal


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


# --- supervisor -> scanner


@dataclass(frozen=True)
class ScannerSettings:
    """First message to a scanner.

    Attributes:
        root: absolute path of the watched folder.
        output_dir: mirrors the results; None leaves them beside the raw files.
        ledger: SQLite file, which the scanner only reads: what is done is not looked at twice.
        mount: the root's when it was last seen; None at the first start.
        poll: scan only, without events.
        interval_s: between scans; None is 15 on local disks, 5 on others.
        marker: suffix of an empty file that says that a raw file is finished ("X.tif.done"); None goes by
            time.
    """

    root: str
    output_dir: str | None
    ledger: str
    mount: Mount | None
    poll: bool
    interval_s: float | None
    marker: str | None


@dataclass(frozen=True)
class Rescan:
    """Scan now, and answer with `Scanned`."""


# --- scanner -> supervisor


@dataclass(frozen=True)
class Ready:
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
        seconds: that it took.
        missed: new files that no event had announced, on a folder with events.
        not_read: files in image formats that are not read, by suffix; see `formats`.
    """

    files: int
    settling: int
    seconds: float
    missed: int
    not_read: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Root:
    """What became of the root; said at the start and whenever it changes.

    Attributes:
        state: "here"; "share away": gone, or a mount that is no longer one; "taken": another machine's or
            user's daemon holds the folder's lock.
        why: in words.
        mount: while it is here.
    """

    state: Literal["here", "share away", "taken"]
    why: str
    mount: Mount | None


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


@dataclass(frozen=True)
class Work:
    """Diagnose a file.

    Attributes:
        number: of this piece of work; the answer bears it.
        path: of the raw file.
        signature: the state in which it must be found.
        mount: of the root; elsewhere nothing is read or written.
        last: an incomplete file has been waited for long enough and gets its error record now.
        anew: judge it although a result for this content is there.
        kind: of the error that made it wait at the look before this one; "" if there was none.
    """

    number: int
    path: str
    signature: Signature
    mount: Mount
    last: bool
    anew: bool
    kind: str = ""


@dataclass(frozen=True)
class Condemn:
    """Write the error record of a file that must not be read again."""

    number: int
    path: str
    mount: Mount
    kind: str
    message: str


@dataclass(frozen=True)
class Finish:
    """End what was begun, then exit."""


# --- worker -> supervisor


Result = Literal["ok", "rejected", "same", "error", "again", "changed"]


@dataclass(frozen=True)
class Started:
    """The bundle is open and its engine gave the trained network's votes.

    Attributes:
        bundle: where it is opened from now on: the copy, if one was kept.
        model, model_sha256: of the bundle.
        runtime, precision, device, reason: of the engine.
    """

    bundle: str
    model: str
    model_sha256: str
    runtime: str
    precision: str
    device: str
    reason: str


@dataclass(frozen=True)
class Refused:
    """The worker cannot start, for a reason that the operator can put right."""

    exit_code: int
    kind: str
    message: str


@dataclass(frozen=True)
class Finished:
    """What became of a piece of work.

    Attributes:
        number: of the work.
        outcome: "ok", "rejected": judged and written. "same": its content has its result already. "error":
            it has an error record. "again": nothing was written and it may succeed later. "changed": it is
            not as it was announced, or is gone, and the scanner will say when it is at rest.
        sha256: of the raw file; "" where it was not read.
        revision: of the sidecar.
        words: the diagnosis and score, or the sentence of what went wrong.
        kind: of an error, as in `errors`; "disk full", "share away" or "read-only" for what the whole
            folder suffers from.
        took_ms: from reading to the renamed sidecar.
    """

    number: int
    outcome: Result
    sha256: str
    revision: int
    words: str
    kind: str
    took_ms: float


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
    """Write the page; the mount is the root's, elsewhere nothing is read or written."""

    mount: Mount


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
    | Ready
    | Scanned
    | Root
    | Degraded
    | WorkerSettings
    | Work
    | Condemn
    | Finish
    | Started
    | Refused
    | Finished
    | PublisherSettings
    | Publish
    | Published
    | Alive
)

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}
_PARTS: dict[str, type[Any]] = {"signature": Signature, "mount": Mount}


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return json.dumps({"say": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line."""
    fields = json.loads(line)
    kind = _KINDS[fields.pop("say")]
    for name, part in _PARTS.items():
        if fields.get(name) is not None:
            fields[name] = part(**fields[name])
    return kind(**fields)


class Line:
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
        """
        line = b""
        while not line.endswith(b"\n"):
            byte = self._end.recv(1)
            if not byte:
                raise EOFError("the line ended before its first message")
            line += byte
        return decode(line)

    def receive(self) -> list[Message] | None:
        """Return the messages that have come, after waiting for at least a part of one; None at the end."""
        data = self._end.recv(1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [decode(line) for line in lines]

    def __iter__(self) -> Iterator[Message]:
        """Yield messages until the other side ends."""
        while (messages := self.receive()) is not None:
            yield from messages

    def close(self) -> None:
        """End the line."""
        self._end.close()
