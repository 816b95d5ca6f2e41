"""What tests of a daemon share: its settings as a test's driver is told them, and patience."""

import time
from collections.abc import Callable
from typing import Any


def told(**settings: Any) -> dict[str, Any]:
    """Return the settings of a daemon, as JSON can tell them to its process; root and bundle are missing."""
    return {
        "output_dir": None,
        "engine": "auto",
        "precision": "auto",
        "channels": None,
        "limits": {},
        "poll": False,
        "interval_s": None,
        "marker": None,
        "metrics": None,
        "log_names": True,
        "once": False,
        **settings,
    }


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that will come to pass."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
