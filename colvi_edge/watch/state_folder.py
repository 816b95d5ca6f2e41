"""The state folder: what a daemon keeps of one watched folder, and the lock by which only one daemon does.

It lies on a local disk, in STATE/watch/<the folder's name>-<hash of its path>/, and names files in full, so
nobody but the daemon's own user and root may look into it:

    ledger.sqlite   what is done
    status.json     what the daemon said last
    lock            held by the daemon that runs; its process, and the watched folder
    bundle/         copies of the bundles that judged; bundle.NAME/ of one whose results bear a name
    retry           the operator wants failed files diagnosed again
"""

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.system.bounded import read_bounded
from colvi_edge.system.state_directory import state_directory
from colvi_edge.watch.folder.paths import absolute

SERVICE_STATE = Path("/var/lib/colvi-edge")
"""The state directory that systemd gives the service."""

_LONGEST_NAME = 40
_LONGEST_WORD = 16
_LONGEST_LOCK = 2**13  # a path has 4096 bytes at most


class StateFolder:
    """The paths of what is kept of one watched folder."""

    def __init__(self, path: Path) -> None:
        """Name a folder, which need not exist."""
        self.path = path
        self.ledger = path / "ledger.sqlite"
        self.status = path / "status.json"
        self.lock = path / "lock"
        self.bundles = path / "bundle"
        self.retry = path / "retry"

    def bundles_of(self, slot: str) -> Path:
        """Return where copies of a bundle are kept: each by itself, or one would drop those of another."""
        return self.bundles.with_name(f"{self.bundles.name}.{slot}") if slot else self.bundles

    def other_bundles(self, slots: Iterable[str]) -> list[Path]:
        """Return where copies of bundles are kept that are none of these: of an earlier daemon."""
        ours = {self.bundles_of(slot) for slot in slots}
        return [path for path in self.path.glob(f"{self.bundles.name}.*") if path not in ours]

    @classmethod
    def within(cls, state: Path, root: Path) -> "StateFolder":
        """Return the state folder of a watched one, by names only: it need not be there."""
        path = absolute(root)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)[:_LONGEST_NAME]
        return cls(state / "watch" / f"{name}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}")

    def wanted_again(self) -> Replace:
        """Return what the request of `colvi-edge retry` asks for; a word that is none asks for the least.

        Raises:
            OSError: there is no request, or it cannot be read.
        """
        words = read_bounded(self.retry, _LONGEST_WORD).decode("ascii", "replace").strip()
        return Replace(words) if words in list(Replace) else Replace.OWN

    @classmethod
    def of(cls, root: Path) -> "StateFolder":
        """Return the state folder of a watched folder, for the daemon; made if need be.

        Raises:
            OutputError: it cannot be made, or lies on a network file system.
        """
        folder = cls.within(state_directory(), root)
        try:
            folder.path.parent.mkdir(0o750, parents=True, exist_ok=True)
            folder.path.mkdir(0o700, exist_ok=True)
            if folder.path.stat().st_mode & 0o077:  # of an earlier version
                folder.path.chmod(0o700)
            folder.bundles.mkdir(0o750, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{folder.path} cannot be made: {error.strerror}; check permissions, or set STATE_DIRECTORY"
            ) from error
        return folder

    def exists(self) -> bool:
        """Return whether a daemon has made this folder.

        Raises:
            OutputError: it may not be looked into.
        """
        try:
            self.lock.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return True


class DaemonLock:
    """The lock of the one daemon of a folder. The kernel releases it, however the daemon ends."""

    def __init__(self, path: Path) -> None:
        """Open the file at a path; it is not held yet.

        Raises:
            OutputError: it may not be opened.
        """
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise OutputError(f"{path} cannot be opened: {error.strerror}; check its permissions") from error

    def take(self, root: Path | None = None) -> bool:
        """Try to hold it, for a watched folder; return False if another daemon does."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with suppress(OSError):  # on a full disk it holds without words
            os.truncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode() + (bytes(root) if root else b""), 0)
        return True

    def is_current(self) -> bool:
        """Return whether it is still the file at its path, which another daemon would take."""
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def holder(self) -> str:
        """Return the process id that the last holder left, as text; "?" if it left none."""
        text = os.pread(self._file, 32, 0).partition(b"\n")[0].strip()
        return text.decode() if text.isdigit() else "?"

    def close(self) -> None:
        """Release it."""
        os.close(self._file)


def state_directories() -> list[Path]:
    """Return where the daemons of this machine may keep their state: this user's, and the services'."""
    states = [SERVICE_STATE]
    with suppress(OutputError):  # who has no place for a daemon of his own may ask for the service's
        states.insert(0, state_directory())
    return list(dict.fromkeys(states))


@contextmanager
def one_at_a_time(state: StateFolder) -> Iterator[None]:
    """Let no other daemon of this state directory begin meanwhile, so that of two one sees the other."""
    folder = os.open(state.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def watched_around(root: Path, mine: StateFolder) -> Path | None:
    """Return a folder above or below a watched one that a daemon watches, too; None if there is none.

    Told by the locks of this user's daemons and of the services, as far as they may be read: to look for
    locks in the folders themselves would touch a share that may hang.

    Args:
        root: absolute path.
        mine: its state folder.
    """
    for state in dict.fromkeys((mine.path.parents[1], SERVICE_STATE)):
        for lock in (state / "watch").glob("*/lock"):
            with suppress(OutputError, OSError):
                _, _, named = read_bounded(lock, _LONGEST_LOCK).partition(b"\n")
                other = Path(os.fsdecode(named))
                nested = other != root and (other.is_relative_to(root) or root.is_relative_to(other))
                if named and nested and StateFolder.within(state, other).lock == lock and is_held(lock):
                    return other
    return None


def is_held(lock: Path) -> bool:
    """Return whether a daemon holds the lock at a path.

    Raises:
        OutputError: it may not be opened.
    """
    try:
        file = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(lock, error) from error
    try:
        # Shared, so that two who ask do not take each other for a daemon.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return True
    finally:
        os.close(file)
    return False


def _unreadable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} may not be read: {error.strerror}; ask as root, or as the user of the service"
    )
