"""What the errors of a file system say of a share: that it is away, and what to do about it."""

import errno

# What a kernel answers on a soft mount for a server that does not.
_UNANSWERED = {
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET),
    *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED),
    errno.ESHUTDOWN,
}
# The same on NFS, after 15 s; but at once they tell of a bad disk, or of a file that somebody removed.
_UNANSWERED_IF_LATE = {errno.EIO, errno.ESTALE}
_LATE_S = 3.0

_REMEDIES = {
    **dict.fromkeys((*_UNANSWERED, errno.EIO), "the server, or the disk, does not answer"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let the user of this daemon list it"),
    errno.ESTALE: "unmount and mount it again",
}


class AwayError(Exception):
    """A folder is not there, its share is not mounted, or the server does not answer; the words say which."""


def away(shown: str, error: OSError) -> AwayError:
    """Return that a folder cannot be used, with the remedy.

    Args:
        shown: names the folder.
        error: what its file system said.
    """
    remedy = _REMEDIES.get(error.errno or 0, "make or mount it")
    return AwayError(f"{shown} cannot be opened: {error.strerror}; {remedy}")


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
