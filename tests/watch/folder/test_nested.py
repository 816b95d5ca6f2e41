"""Folders that lie in each other: only one of them is watched at a time."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from colvi_edge.errors import UsageError
from colvi_edge.watch import state_folder
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.settings import Judging
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.supervisor.held_state import HeldState
from colvi_edge.watch.supervisor.signals import Signals
from colvi_edge.watch.timings import Timings


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], HeldState]]:
    """Return a function that gives what a daemon of a folder holds, before it has begun."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "service")
    signals = Signals()

    def hold(name: str) -> HeldState:
        settings = WatchSettings(FolderPaths(tmp_path / name), Judging("demo"))
        return HeldState(settings, signals, Timings())

    with signals:
        yield hold


@pytest.mark.parametrize(
    ("first", "second", "where"),
    [
        ("nest", "nest/a/sub", "in which this folder lies"),
        ("nest/a/sub\nof", "nest", "which lies in this folder"),
    ],
)
def test_a_folder_in_a_watched_one_is_refused(
    held: Callable[[str], HeldState], tmp_path: Path, first: str, second: str, where: str
) -> None:
    """Above or below, for as long as the other is watched; a neighbour of a like name is no such folder."""
    with closing(held(first)) as one, closing(held(second)) as other, closing(held("nest2")) as neighbour:
        assert one.begin()
        named = str(tmp_path / first).replace("\n", r"\n")
        with pytest.raises(UsageError) as refused:
            other.begin()
        assert f"found {named} watched already, {where}; " in str(refused.value)
        assert not state_folder.is_held(other.folder.lock)
        assert neighbour.begin()
        assert one.loss() == ""
        one.close()
        assert other.begin()


def test_a_service_that_may_be_looked_at_counts_too(
    held: Callable[[str], HeldState], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its state is in a directory of its own; what may not be read there stands in nobody's way."""
    with closing(held("nest")) as one, closing(held("nest/sub")) as other:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "service"))
        assert one.begin()
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
        with pytest.raises(UsageError, match="nest watched already"):
            other.begin()
        (tmp_path / "service/watch/other").mkdir()
        (tmp_path / "service/watch/other/lock").symlink_to("lock")
        one.close()
        assert other.begin()
