"""What systemd is told, as a socket of its kind receives it."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from colvi_edge.watch.supervisor.telling.systemd import notify, watchdog_s


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """Return a socket that listens as systemd does, in the file system or in the abstract name space."""
    name = f"@colvi-edge-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        listener.setblocking(False)
        yield listener


def test_fields_are_lines_of_one_message(systemd: socket.socket) -> None:
    """What belongs together is understood together, as in sd_notify(3)."""
    notify(READY="1", STATUS="watching; 3 done")

    assert systemd.recv(4096) == b"READY=1\nSTATUS=watching; 3 done"


def test_a_value_cannot_begin_a_field(systemd: socket.socket) -> None:
    """STATUS tells of files, whose names may hold line breaks and bytes of no encoding."""
    notify(STATUS="judged x\nSTOPPING=1\udcff.tif ö")

    assert systemd.recv(4096).decode() == "STATUS=judged x\\nSTOPPING=1\\udcff.tif ö"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon runs from a shell, too."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    notify(READY="1")


def test_a_systemd_that_does_not_listen_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While systemd executes itself anew its socket refuses; the daemon must outlive that."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    notify(WATCHDOG="1")


def test_a_systemd_that_does_not_read_does_not_hang_the_daemon(systemd: socket.socket) -> None:
    """A full queue of messages costs the message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler, suppress(BlockingIOError):
        filler.setblocking(False)
        while True:
            filler.sendto(b"full", systemd.getsockname())

    notify(STATUS="lost")

    assert systemd.recv(4096) == b"full"


@pytest.mark.parametrize(
    ("wanted", "process", "seconds"),
    [
        (None, None, None),
        ("", None, None),
        ("90000000", None, 90.0),
        ("500000", "this one", 0.5),
        ("90000000", "1", None),
    ],
)
def test_watchdog_is_asked_for_by_systemd(
    wanted: str | None, process: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WATCHDOG_PID keeps a child that inherited the environment from answering for the service."""
    for name, value in (("WATCHDOG_USEC", wanted), ("WATCHDOG_PID", process)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(os.getpid()) if value == "this one" else value)

    assert watchdog_s() == seconds
