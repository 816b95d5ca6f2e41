"""What is printed when things do not go as planned."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.errors import IncompleteFileError
from colvi_edge.jobs import Job
from colvi_edge.pipeline import Outcome
from colvi_edge.terminal import show


def test_an_interruption_shows_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C in the middle of a long run loses no result that is already on disk, nor its line."""

    def outcomes() -> Iterator[Outcome[Job]]:
        yield Outcome(Job(Path("a.tif"), Path()), IncompleteFileError("a.tif: is empty (0 bytes)"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show(outcomes(), 3, as_json=False)

    printed = capsys.readouterr()
    assert "is empty (0 bytes)" in printed.out
    assert "1 image: 1 error" in printed.out
    assert "Interrupted: 1 of 3 files done." in printed.err
