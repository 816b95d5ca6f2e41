"""status.json is read as it was written."""

from dataclasses import replace
from pathlib import Path

import pytest

from colvi_edge.watch.status_file import (
    Waiting,
    count_words,
    read_status,
    write_status,
)
from tests.tools.watched_folder import STATUS


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Also with names that are not UTF-8."""
    status = replace(STATUS, waiting=[Waiting("caf\udce9", "output", "no")], last=None, model=None)
    write_status(tmp_path / "status.json", status)

    assert read_status(tmp_path / "status.json") == status


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"done": 0, "failed": 0, "pending": 0}, "no files yet"),
        (
            {"done": 12_345, "failed": 1, "quarantined": 1, "pending": 0},
            "12,345 done, 1 error, 1 quarantined",
        ),
        ({"done": 0, "failed": 2, "pending": 3}, "2 errors, 3 pending"),
    ],
)
def test_counts_in_words(counts: dict[str, int], words: str) -> None:
    """Without what there is none of, and with the right plural."""
    assert count_words(counts) == words
