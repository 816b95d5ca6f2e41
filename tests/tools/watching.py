"""What tests of a daemon share: its settings as a test's driver is told them, and patience."""

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.settings import Judging, Scanning


def told(**settings: Any) -> dict[str, Any]:
    """Return the settings of a daemon as JSON, which `typed.made` reads, each in the part that it is of."""
    parts = {"folders": FolderPaths, "judging": Judging, "scanning": Scanning}
    sorted_in: dict[str, Any] = {
        part: {field.name: settings.pop(field.name) for field in fields(kind) if field.name in settings}
        for part, kind in parts.items()
    }
    return {**sorted_in, "log_names": True, **settings}


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something that will come to pass."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
