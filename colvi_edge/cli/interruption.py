"""Ctrl-C while images are diagnosed: what is in hand is finished first, and all that was done is counted."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_WORDS = b"\nEnding after the image in hand; Ctrl-C again ends at once.\n"


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Make Ctrl-C ask for an end; gives a function that returns whether it was asked for.

    A second Ctrl-C ends the process at once, also after the block. Where Ctrl-C is ignored, as by `nohup` and
    shells that start something in the background, it stays so.
    """
    asked = False

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_DFL)
        os.write(2, _WORDS)  # not by a stream, in whose midst we may be

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        if not asked:
            signal.signal(signal.SIGINT, before)
