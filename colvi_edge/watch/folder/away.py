"""What the errors of a file system say of a share: that it is away, and what to do about it."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager

from colvi_edge.printable import printable_name

# What a kernel answers on a soft mount for a server that does not.
_UNANSWERED = {
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET),
    *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED),
    errno.ESHUTDOWN,
}
# The same on NFS, after 15 s; but at once they tell of a bad disk, or of a file that somebody removed.
_UNANSWERED_IF_LATE = {errno.EIO, errno.ESTALE}
_LATE_S = 3.0

_UNANSWERED_WORDS = "the server, or the disk, does not answer"
_REMEDIES = {
    errno.EIO: _UNANSWERED_WORDS,
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let the user of this daemon list it"),
    errno.ESTALE: "unmount and mount it again",
}


class AwayError(Exception):
    """A folder is not there, its share is not mounted, or the server does not answer; the words say which."""


def away(folder: str, error: OSError, took_s: float) -> AwayError:
    """Return that a folder cannot be used, with the remedy.

    Args:
        folder: its path.
        error: what its file system said.
        took_s: how long that took.
    """
    remedy = _REMEDIES.get(error.errno or 0, "make or mount it")
    if is_unanswered(error, took_s):
        remedy = _UNANSWERED_WORDS
    found = "the folder is not there" if error.errno == errno.ENOENT else error.strerror
    return AwayError(f"{printable_name(folder)} cannot be opened: {found}; {remedy}")


@contextmanager
def claiming(folder: str) -> Iterator[None]:
    """Turn what the file system says against opening a folder into an AwayError."""
    began = time.monotonic()
    try:
        yield
    except OSError as error:
        raise away(folder, error, time.monotonic() - began) from error


def is_of_share(error: OSError) -> bool:
    """Return whether an error is the share's or the disk's, and not of what was asked."""
    return error.errno in _UNANSWERED | _UNANSWERED_IF_LATE


def is_unanswered(error: OSError, took_s: float) -> bool:
    """Return whether an error says that the server does not answer, whatever it was asked.

    Args:
        error: what the file system said.
        took_s: how long that took.
    """
    return error.errno in _UNANSWERED or (error.errno in _UNANSWERED_IF_LATE and took_s > _LATE_S)
