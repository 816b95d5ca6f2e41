"""The state folder: its name, the request in it, and its lock, also on a disk that is full."""

import os
import resource
from contextlib import closing
from pathlib import Path

import pytest

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.watch.state_folder import DaemonLock, StateFolder, is_held


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (b"", Replace.OWN),
        (b"stale\n", Replace.STALE),
        (b"all\n", Replace.ALL),
        (b"ALL", Replace.OWN),
        (b"\xff\x00", Replace.OWN),
    ],
)
def test_whatever_stands_in_a_request(tmp_path: Path, words: bytes, wanted: Replace) -> None:
    """An empty one is of an earlier version; what is none of ours asks for the least."""
    state = StateFolder(tmp_path)
    state.retry.write_bytes(words)
    assert state.wanted_again() is wanted


def test_a_flood_of_a_request(tmp_path: Path) -> None:
    """Is not read."""
    state = StateFolder(tmp_path)
    state.retry.write_bytes(b"all" * 1000)
    with pytest.raises(OSError, match="expected at most 16"):
        state.wanted_again()


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Until its process ends, however that ends; who asks does not take it."""
    path = tmp_path / "lock"
    first, second = DaemonLock(path), DaemonLock(path)
    assert first.take()
    assert is_held(path)
    assert not second.take()
    assert second.holder() == str(os.getpid())
    first.close()
    assert not is_held(path)
    assert second.take()
    second.close()
    with pytest.raises(OutputError, match="cannot be opened"):
        DaemonLock(tmp_path / "missing" / "lock")


def test_on_a_full_disk_it_holds_without_words(tmp_path: Path) -> None:
    """Nothing can be written, and nothing fails: who asks is told "?" of its holder, and others wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(DaemonLock(tmp_path / "lock")) as lock, closing(DaemonLock(tmp_path / "lock")) as other:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # Python ignores SIGXFSZ
        try:
            assert lock.take(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        assert (tmp_path / "lock").read_bytes() == b""
        assert lock.holder() == "?"
        assert is_held(tmp_path / "lock")
        assert not other.take(tmp_path)


def test_state_folders_differ_as_their_roots_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two roots of one name have two; each is one folder with a harmless name, whatever the root's is."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    names = [
        "/a/scope",
        "/b/scope",
        "/a/M\u00fcller & S\u00f6hne",
        "/a/" + "x" * 255,
        "/",
        "/a/..caf\udce9\n",
        "/a/$(id)",
    ]
    folders = [StateFolder.of(Path(name)).path for name in names]

    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == tmp_path / "watch"
        assert folder.name.isascii()
        assert all(c.isalnum() or c in "._-" for c in folder.name)
        assert len(folder.name) < 60
    assert StateFolder.of(Path("/a/b/../scope/")).path == folders[0]
    monkeypatch.chdir("/")
    assert StateFolder.of(Path("a/scope")).path == folders[0]
