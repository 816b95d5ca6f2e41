"""The line between supervisor and children: whole messages, none lost, however they arrive."""

import select
import socket
from collections.abc import Iterator

import pytest

from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.channel import Channel, encode
from colvi_edge.watch.ipc.messages import Alive, RecordFailure

MOUNT = Mount(point="/", kind="ext4", source="/dev/sda1", inside="/")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    """Return the bare socket of one side and the line of the other."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)
    line = Channel(theirs)
    yield ours, line
    ours.close()
    line.close()


def test_what_follows_the_first_message_is_not_lost(ends: tuple[socket.socket, Channel]) -> None:
    """Settings and work may come in one piece; the work must still be waiting, where `select` sees it."""
    ours, line = ends
    work = RecordFailure(7, "M\udcfcller.tif", MOUNT, "three times")
    ours.sendall(encode(Alive()) + encode(work))

    assert line.first() == Alive()
    assert select.select([line], [], [], 0)[0] == [line]
    assert line.receive() == [work]


def test_messages_come_in_any_pieces(ends: tuple[socket.socket, Channel]) -> None:
    """A message may be cut anywhere on its way."""
    ours, line = ends
    data = encode(RecordFailure(1, "a", MOUNT, "")) + encode(Alive())
    found = []
    for start in range(0, len(data), 5):
        ours.sendall(data[start : start + 5])
        found += line.receive() or []

    assert found == [RecordFailure(1, "a", MOUNT, ""), Alive()]


def test_an_end_is_told(ends: tuple[socket.socket, Channel]) -> None:
    """Without a first message there is nobody to work for."""
    ours, line = ends
    ours.sendall(b'{"say": ')
    ours.shutdown(socket.SHUT_WR)

    with pytest.raises(EOFError):
        line.first()
    assert line.receive() is None
