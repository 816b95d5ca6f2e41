"""Batches of windows under way beside each other, whichever runtime works on them."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Fill = Callable[[NDArray[np.float32], int], None]
"""Puts the window of a number into its place in a batch, (C, h, w)."""


class Lanes(Protocol):
    """Places for batches of windows of one size, each worked on while others are filled or read."""

    @property
    def inputs(self) -> Sequence[NDArray[np.float32]]:
        """(N, C, h, w) of each lane, to be filled before it is started."""
        ...

    def start(self, lane: int) -> None:
        """Have the network work on a lane's input."""
        ...

    def answers(self, lane: int) -> NDArray[np.float32]:
        """Wait, and return (N, K, h, w) or (N, K), which lasts until the lane is started again."""
        ...


class ThreadLanes:
    """Two lanes in front of a network that waits for its own answer: a thread does the waiting."""

    def __init__(
        self,
        network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        shape: Sequence[int],
        thread: ThreadPoolExecutor,
    ) -> None:
        """Make room.

        Args:
            network: of batches (N, C, h, w).
            shape: of the batches.
            thread: which waits, one batch after the other.
        """
        self.inputs = [np.zeros(shape, np.float32) for _ in range(2)]
        self._network, self._thread = network, thread
        self._started: dict[int, Future[NDArray[np.float32]]] = {}

    def start(self, lane: int) -> None:
        """See `Lanes.start`."""
        self._started[lane] = self._thread.submit(self._network, self.inputs[lane])

    def answers(self, lane: int) -> NDArray[np.float32]:
        """See `Lanes.answers`."""
        return self._started.pop(lane).result()


def answered(lanes: Lanes, windows: int, fill: Fill) -> Generator[NDArray[np.float32], None, None]:
    """Yield the network's answer (K, h, w) or (K,) to each window, in order; it lasts until the next one.

    While an answer is looked at, the lanes behind it are at work.

    Args:
        lanes: where they are worked on.
        windows: how many there are.
        fill: is asked for each of them, in order.
    """
    ahead, size = len(lanes.inputs), len(lanes.inputs[0])
    starts = range(0, windows, size)
    under_way: list[int] = []
    try:
        for turn in range(len(starts) + ahead):
            if turn >= ahead and under_way:
                answers = lanes.answers(under_way[0])
                under_way.pop(0)
                yield from answers[: min(size, windows - starts[turn - ahead])]
            if turn < len(starts):
                for place, number in enumerate(range(starts[turn], min(starts[turn] + size, windows))):
                    fill(lanes.inputs[turn % ahead][place], number)
                lanes.start(turn % ahead)
                under_way.append(turn % ahead)
    finally:
        for lane in under_way:  # after an error: nothing may still write where the next image is put
            with suppress(Exception):
                lanes.answers(lane)
