"""A watched folder whose daemon runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.watch import state_folder
from tests.tools.asking import tell_status
from tests.tools.watched_folder import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a folder with a daemon that runs."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "service")
    made = Place(tmp_path / "scope")
    yield made
    made.lock.close()


@pytest.fixture
def shown(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str, dict[str, Any]]]:
    """Return a function that gives the exit code, the text and the JSON of a status."""

    def show() -> tuple[int, str, dict[str, Any]]:
        code = tell_status(place.root, as_json=False)
        text = capsys.readouterr().out
        assert tell_status(place.root, as_json=True) == code
        return code, text, json.loads(capsys.readouterr().out)

    return show
