"""Of several daemons that share a folder of results, one works."""

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.system.machine import machine_mark
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.share_lock import LOCK_NAME, FolderTakenError, ShareLock
from tests.tools.late_answers import answers_after


@pytest.fixture
def results(tmp_path: Path) -> Iterator[PinnedFolder]:
    """Return a folder of results, opened."""
    tmp_path.chmod(0o755)
    with PinnedFolder(tmp_path) as pinned:
        yield pinned


def test_the_second_is_told_who_has_it(results: PinnedFolder) -> None:
    """One of this machine, and gets it when that has ended; no name of host or process lies on the share."""
    script = (
        "import sys, pathlib\n"
        "from colvi_edge.watch.folder.share_lock import ShareLock\n"
        "from colvi_edge.watch.folder.pinned import PinnedFolder\n"
        "lock = ShareLock(PinnedFolder(pathlib.Path(sys.argv[1])))\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(results.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout
        assert first.stdout.readline() == b"locked\n"
        with pytest.raises(FolderTakenError, match=r"^another colvi-edge of this machine watches"):
            ShareLock(results)
        written = (results.path / LOCK_NAME).read_text()
        assert written == f"colvi-edge {machine_mark()}\n"
        assert socket.gethostname() not in written
        assert f" {first.pid}" not in written
        first.kill()
    ShareLock(results).close()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"colvi-edge 0123456789ab\n", "the colvi-edge of the machine 0123456789ab, as 'colvi-edge doctor' "),
        (b"lsm880-pc.lab 4711\n", "colvi-edge on lsm880-pc.lab, process 4711, watches"),
    ],
)
def test_the_holder_on_another_machine(results: PinnedFolder, written: bytes, words: str) -> None:
    """Is called by its mark, which doctor tells there; by earlier versions by host and process."""
    held = os.open(results.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    os.write(held, written)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(FolderTakenError, match=f"^{re.escape(words)}"):
        ShareLock(results)
    os.close(held)


@pytest.mark.parametrize(
    ("number", "late"), [(errno.EHOSTDOWN, False), (errno.EIO, True), (errno.ESTALE, True)]
)
def test_whether_it_holds_is_not_told_by_a_server_that_does_not_answer(
    results: PinnedFolder, monkeypatch: pytest.MonkeyPatch, number: int, late: bool
) -> None:
    """To take it again would ask the same server; a handle that is stale at once is of a removed lock."""
    lock = ShareLock(results)
    answers_after(monkeypatch, 15.0 if late else 0.01)

    def refuse(_: str) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(results, "status", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        lock.is_held()
    answers_after(monkeypatch, 0.01)
    assert number == errno.EHOSTDOWN or not lock.is_held()
    lock.close()


@pytest.mark.parametrize(
    "written",
    [b"", b"\xff\xfe garbage", b"one-word", b"a b c", b"colvi-edge 0123456789abc\n", b"M\xc3\xbcller 1\n"],
)
def test_a_lock_without_a_name(results: PinnedFolder, written: bytes) -> None:
    """What is written in it may be unreadable; the lock holds all the same."""
    held = os.open(results.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    os.write(held, written)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(FolderTakenError, match=r"^another colvi-edge watches this folder$"):
        ShareLock(results)
    os.close(held)


def test_words_of_another_machine_cannot_forge_a_log(results: PinnedFolder) -> None:
    """Escape sequences are escaped."""
    held = os.open(results.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    os.write(held, b"\x1b[2Jhost 1")
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(FolderTakenError) as taken:
        ShareLock(results)
    os.close(held)

    assert "\x1b" not in str(taken.value)


def test_a_lock_of_another_user(results: PinnedFolder) -> None:
    """Can be asked for without the right to write to it, and is theirs."""
    held = os.open(results.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    else:
        (results.path / LOCK_NAME).chmod(0o444)
    try:
        ShareLock(results).close()
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FolderTakenError):
            ShareLock(results)
    finally:
        os.seteuid(user)
        os.close(held)


def test_a_folder_that_cannot_be_written(results: PinnedFolder) -> None:
    """Is no reason to think that somebody else has it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    else:
        results.path.chmod(0o555)
    try:
        with pytest.raises(PermissionError):
            ShareLock(results)
    finally:
        os.seteuid(user)


def test_what_lies_in_the_place_of_the_lock(results: PinnedFolder) -> None:
    """A link is not followed, a pipe not waited for."""
    (results.path / LOCK_NAME).symlink_to("victim")
    with pytest.raises(OSError, match="symbolic links"):
        ShareLock(results)
    (results.path / LOCK_NAME).unlink()
    os.mkfifo(results.path / LOCK_NAME)
    with pytest.raises(OSError, match="is no file"):
        ShareLock(results)

    assert [path.name for path in results.path.iterdir()] == [LOCK_NAME]


def test_a_removed_lock_is_noticed(results: PinnedFolder) -> None:
    """Also when another took its place."""
    lock = ShareLock(results)
    assert lock.is_held()
    (results.path / LOCK_NAME).unlink()
    assert not lock.is_held()
    second = ShareLock(results)
    assert not lock.is_held()
    assert second.is_held()
    lock.close()
    second.close()
