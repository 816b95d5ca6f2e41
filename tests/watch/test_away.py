"""What an error of the file system says of the share, and which remedy goes with it."""

import errno
import os

import pytest

from colvi_edge.watch.away import away, is_unanswered


def error(number: int) -> OSError:
    """Return the error of a number, as the kernel gives it."""
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ESTALE, "Stale file handle; unmount and mount it again"),
        (errno.EHOSTDOWN, "Host is down; the server, or the disk, does not answer"),
        (errno.ETIMEDOUT, "Connection timed out; the server, or the disk, does not answer"),
        (errno.ENOTCONN, "Transport endpoint is not connected; the server, or the disk, does not answer"),
        (errno.EIO, "Input/output error; the server, or the disk, does not answer"),
        (errno.ENOENT, "No such file or directory; make or mount it"),
        (errno.EACCES, "Permission denied; let the user of this daemon list it"),
    ],
)
def test_the_remedy_goes_by_the_error(number: int, words: str) -> None:
    """Found and remedy in one sentence."""
    assert str(away("/mnt/scope", error(number))) == f"/mnt/scope cannot be opened: {words}"


@pytest.mark.parametrize(
    ("number", "took_s", "expected"),
    [
        (errno.EHOSTDOWN, 0.0, True),
        (errno.ETIMEDOUT, 0.0, True),
        (errno.EIO, 15.0, True),
        (errno.EIO, 0.1, False),
        (errno.ESTALE, 12.0, True),
        (errno.ESTALE, 0.1, False),
        (errno.EACCES, 15.0, False),
        (errno.EBUSY, 15.0, False),
    ],
)
def test_what_says_that_the_server_does_not_answer(number: int, took_s: float, expected: bool) -> None:
    """A bad sector and a file that somebody removed are told at once, and are their own trouble."""
    assert is_unanswered(error(number), took_s) is expected
