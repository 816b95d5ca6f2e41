"""Streams that stand before others: one whose reader may go away, one that writes only what is printable."""

import io
import os
from typing import TextIO

from colvi_edge.printable import printable_lines


class StreamBefore(io.TextIOBase):
    """A stream that stands before another: what it is asked, that one answers."""

    def __init__(self, behind: TextIO) -> None:
        """Remember the stream behind."""
        self._behind = behind

    @property
    def encoding(self) -> str:  # type: ignore[override] # nobody sets it
        """That of the stream behind."""
        return self._behind.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """That of the stream behind."""
        return self._behind.errors

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        return self._behind.write(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        self._behind.flush()

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self._behind.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self._behind.fileno()


class ForgivingStream(StreamBefore):
    """A stream whose reader may go away: what would be written to it then is dropped; the work goes on."""

    def __init__(self, behind: TextIO | None) -> None:
        """Remember the stream behind; None is one that was closed before we were started."""
        # `open` takes the descriptor that is closed, which so does not become that of a raw file.
        super().__init__(open(os.devnull, "w") if behind is None else behind)  # noqa: SIM115, PTH123 - for ever

    def write(self, text: str) -> int:
        """Write a text, or drop it; return its length."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        # Under the stream, as it still holds what it could not write, and tries once more when we end.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self._behind.fileno())
        os.close(nowhere)


class PrintableStream(StreamBefore):
    """A stream behind which nothing arrives that is not printable, but line feeds.

    The command line puts it before stdout and stderr, where also usage errors, warnings and the logs of
    libraries end. Whoever prints names says itself which line feeds are its own, see `printable_name`.

    Attributes:
        rich_proxied_file: the stream behind, by rich's name for that. What rich writes to a terminal has
            colours, and is made printable before, by `PrintableConsole`.
    """

    def __init__(self, behind: TextIO) -> None:
        """Remember the stream behind."""
        super().__init__(behind)
        self.rich_proxied_file = behind

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        super().write(printable_lines(text))
        return len(text)
