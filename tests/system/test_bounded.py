"""What is read from a folder that others may write to."""

import os
from pathlib import Path

import pytest

from colvi_edge.system.atomic import open_folder
from colvi_edge.system.bounded import read_bounded


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """By its path, or below a folder; one byte more than is allowed is refused, and says how large it is."""
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "x").write_bytes(b"12345")

    assert read_bounded(tmp_path / "day" / "x", 5) == b"12345"
    with open_folder(tmp_path) as folder_fd:
        assert read_bounded("day/x", 5, folder_fd) == b"12345"
        with pytest.raises(OSError, match="5 bytes, expected at most 4"):
            read_bounded("day/x", 4, folder_fd)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe is not waited for, a link not followed, a folder not read."""
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "folder", "pipe"):
        with pytest.raises(OSError, match=r"no file|symbolic links|Is a directory"):
            read_bounded(tmp_path / name, 5)
