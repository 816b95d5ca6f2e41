"""How long each step of an image took: for its sidecar, and for `bench`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Takes the milliseconds of named steps, rounded to a hundredth; steps may run in several threads."""

    def __init__(self) -> None:
        """Start with no step taken."""
        self.laps_ms: dict[str, float] = {}

    @contextmanager
    def lap(self, step: str) -> Iterator[None]:
        """Time a step; one that is taken several times is summed."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took_ms = 1000 * (time.perf_counter() - began)
            self.laps_ms[step] = round(self.laps_ms.get(step, 0) + took_ms, 2)
