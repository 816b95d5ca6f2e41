"""Signals as something to select on, so that they come between two steps of a loop and never within one."""

import signal
import socket
from types import TracebackType

_TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Takes the signals over while it is entered; readable when one has come."""

    def __enter__(self) -> "Signals":
        """Take them over."""
        self._out, self._in = socket.socketpair()
        self._out.setblocking(False)
        self._in.setblocking(False)
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in _TAKEN}
        self._wakeup_fd = signal.set_wakeup_fd(self._in.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        signal.set_wakeup_fd(self._wakeup_fd)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._out.close()
        self._in.close()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._out.fileno()

    def take(self) -> set[signal.Signals]:
        """Return the signals that have come since the last call."""
        try:
            return {signal.Signals(number) for number in self._out.recv(4096)}
        except BlockingIOError:
            return set()
