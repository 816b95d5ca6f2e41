"""A terminal whose picture is kept, for what is written only to one."""

import io
import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Screen(io.StringIO):
    """What is written to a terminal, for a console that is told its width."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@contextmanager
def read_terminal() -> Iterator[tuple[int, list[bytes]]]:
    """Give the descriptor of a terminal, and what is written to it: all of that once the block has ended."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def look() -> None:
        try:
            while text := os.read(ours, 1 << 16):
                seen.append(text)
        except OSError:  # the last who had it open closed it
            pass

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield theirs, seen
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
