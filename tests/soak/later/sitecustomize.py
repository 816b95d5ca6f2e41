"""Lets time pass at once: with this folder on PYTHONPATH, $SOAK_CLOCK names a file of seconds to add.

Only what a program measures by time.monotonic is moved, in all its processes alike; its sleeps and timeouts
stay as long as they are. The daemon waits an hour for an unfinished file, which no test can.
"""

import os
import time
from pathlib import Path

_CLOCK = Path(os.environ["SOAK_CLOCK"])
_true = time.monotonic
_looked_at, _added = 0.0, 0.0


def _moved() -> float:
    global _looked_at, _added
    now = _true()
    if now - _looked_at > 0.05:
        _looked_at, _added = now, float(_CLOCK.read_text())
    return now + _added


time.monotonic = _moved
