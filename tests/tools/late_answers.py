"""Servers that take their time, without waiting for them: the clock passes by as much at each look."""

import time
from itertools import count

import pytest


def answers_after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have whatever is timed by the monotonic clock in this process take that long."""
    ticks = count(time.monotonic(), seconds)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
