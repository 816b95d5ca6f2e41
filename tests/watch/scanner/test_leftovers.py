"""Temporary files that nobody finishes are removed; one that somebody writes never is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.scanner.leftovers import Leftovers

STALE_S = 30.0
NAME = "a/.colvi-123-0123456789abcdef.tmp"


@pytest.fixture
def results(tmp_path: Path) -> Iterator[PinnedFolder]:
    """Return a folder of results with one temporary file."""
    (tmp_path / "a").mkdir()
    (tmp_path / NAME).write_text("half")
    with PinnedFolder(tmp_path) as pinned:
        yield pinned


def see(leftovers: Leftovers, results: PinnedFolder, now: float) -> bool:
    """Have a scan find the file as it is; return whether it still is there."""
    path = results.path / NAME
    if path.exists():
        leftovers.found(results, NAME, Signature.of(path.stat()), now)
    leftovers.scan_ended()
    return path.exists()


def test_a_stale_file_is_removed(results: PinnedFolder) -> None:
    """When it has been as it is for longer than any file may take, and not before."""
    leftovers = Leftovers(STALE_S)

    assert see(leftovers, results, 100.0)
    assert see(leftovers, results, 100.0 + STALE_S - 0.1)
    assert not see(leftovers, results, 100.0 + STALE_S)
    assert not see(leftovers, results, 200.0)
    assert len(leftovers) == 0


def test_a_file_that_grows_is_not(results: PinnedFolder) -> None:
    """Each change gives it its time again, and so does another file of its name."""
    leftovers = Leftovers(STALE_S)
    for number in range(10):
        (results.path / NAME).write_text("x" * number)
        assert see(leftovers, results, number * STALE_S)
    (results.path / NAME).unlink()
    see(leftovers, results, 10 * STALE_S)
    (results.path / NAME).write_text("x" * 9)

    assert see(leftovers, results, 11 * STALE_S)


def test_a_folder_that_cannot_be_written(results: PinnedFolder) -> None:
    """Or was swapped for a link: left alone, tried again at the next scan."""
    (results.path / "a").rename(results.path / "b")
    (results.path / "a").symlink_to("b")
    leftovers = Leftovers(STALE_S)

    assert see(leftovers, results, 0.0)
    assert see(leftovers, results, STALE_S)
    (results.path / "a").unlink()
    (results.path / "b").rename(results.path / "a")
    assert not see(leftovers, results, 2 * STALE_S)
