"""What an error of the file system says of the share, and which remedy goes with it."""

import errno
import os

import pytest

from colvi_edge.watch.folder.away import away, is_unanswered


def error(number: int) -> OSError:
    """Return the error of a number, as the kernel gives it."""
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "took_s", "words"),
    [
        (errno.ESTALE, 0.1, "Stale file handle; unmount and mount it again"),
        (errno.ESTALE, 12.0, "Stale file handle; the server, or the disk, does not answer"),
        (errno.EHOSTDOWN, 10.0, "Host is down; the server, or the disk, does not answer"),
        (errno.ETIMEDOUT, 0.1, "Connection timed out; the server, or the disk, does not answer"),
        (
            errno.ENOTCONN,
            0.1,
            "Transport endpoint is not connected; the server, or the disk, does not answer",
        ),
        (errno.EIO, 0.1, "Input/output error; the server, or the disk, does not answer"),
        (errno.ENOENT, 0.1, "the folder is not there; make or mount it"),
        (errno.EACCES, 0.1, "Permission denied; let the user of this daemon list it"),
    ],
)
def test_the_remedy_goes_by_the_error_and_its_time(number: int, took_s: float, words: str) -> None:
    """Found and remedy in one sentence; an NFS handle is also called stale when nobody could be asked."""
    assert str(away("/mnt/scope", error(number), took_s)) == f"/mnt/scope cannot be opened: {words}"


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
