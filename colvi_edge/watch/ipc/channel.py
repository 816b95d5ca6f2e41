"""How messages travel between the processes of the daemon: lines of JSON, checked and bounded."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from colvi_edge.printable import printable_name
from colvi_edge.system.bounded import json_of
from colvi_edge.watch.ipc.messages import Message
from colvi_edge.watch.ipc.typed import WrongTypeError, made

LINE_BYTES = 1 << 20
"""Of a message at most. A text of 65,536 characters, each escaped as JSON does it, takes 786,432."""

LONGEST_WORDS = 4000  # characters: an error may quote the file that it is about

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


class BadMessageError(ValueError):
    """What came is no message: no JSON, of no known kind, of wrong types, out of bounds, or endless."""


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    plain = {"say": type(message).__name__, **asdict(message)}
    return json.dumps(plain, default=os.fspath).encode() + b"\n"


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
