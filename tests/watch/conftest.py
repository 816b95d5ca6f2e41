"""Daemons with obedient children, see `fakes/daemon.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a function that starts a daemon."""
    started: list[Daemon] = []

    def start(**settings: Any) -> Daemon:
        daemon = Daemon(tmp_path, **settings)
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.close()
    opened = tmp_path / "opened"
    assert opened.read_text() == "", "the supervisor touched the watched folder"


@pytest.fixture
def daemon(start: Callable[..., Daemon]) -> Daemon:
    """Return a daemon that is ready."""
    started = start()
    started.scanner(HERE, SCANNED)
    wait_until(started.is_ready)
    return started
