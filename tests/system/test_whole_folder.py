"""A folder is whole or absent, and what stood in its place stays until the new one is there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.system.atomic import is_temporary_name
from colvi_edge.system.whole_folder import remove_all, write_folder

FILES = {"a": b"1", "b": b"", "c": bytes(2**20)}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def a_folder(path: Path) -> None:
    """Put a folder in the way."""
    path.mkdir()
    (path / "old").write_bytes(b"old")


def a_file(path: Path) -> None:
    """Put a file in the way."""
    path.write_bytes(b"old")


def a_link(path: Path) -> None:
    """Put a link to a folder in the way."""
    a_folder(path.with_name("target"))
    path.symlink_to("target")


@pytest.mark.parametrize("stand", [lambda _: None, a_folder, a_file, a_link])
def test_a_folder_takes_the_place_of_whatever_is_there(tmp_path: Path, stand: object) -> None:
    """The target of a link is left alone, and nothing else is beside the folder in the end."""
    assert callable(stand)
    stand(tmp_path / "x")
    write_folder(tmp_path / "x", FILES.items(), 0o750)

    assert contents(tmp_path / "x") == FILES
    assert not (tmp_path / "x").is_symlink()
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o750
    assert {path.name for path in tmp_path.iterdir()} == {"x"} | ({"target"} if stand is a_link else set())
    if stand is a_link:
        assert contents(tmp_path / "target") == {"old": b"old"}


def test_what_fails_on_the_way_leaves_all_as_it_was(tmp_path: Path) -> None:
    """As a disk that fills up with the second file, or Ctrl-C at that moment."""
    a_folder(tmp_path / "x")

    def files() -> Iterator[tuple[str, bytes]]:
        yield "a", b"1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "x", files())

    assert contents(tmp_path / "x") == {"old": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("at", [1, 2])
def test_a_rename_that_fails_keeps_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Whichever of the two."""
    a_folder(tmp_path / "x")
    rename, calls = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_folder(tmp_path / "x", FILES.items())

    assert contents(tmp_path / "x") == {"old": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_where_it_cannot_even_be_put_back_it_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two renames fail: then what stood there is hidden, and whole."""
    a_folder(tmp_path / "x")
    rename, calls = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_folder(tmp_path / "x", FILES.items())

    (hidden,) = tmp_path.iterdir()
    assert is_temporary_name(hidden.name)
    assert contents(hidden) == {"old": b"old"}


def test_the_files_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file, their folder, the rename, the folder above: in another order a power cut tears it."""
    steps = []
    fsync, rename = os.fsync, Path.rename

    def spying_fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        steps.append("the draft" if is_temporary_name(name) else name)
        fsync(descriptor)

    def spying_rename(self: Path, target: Path) -> Path:
        steps.append(f"rename to {target.name}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spying_fsync)
    monkeypatch.setattr(Path, "rename", spying_rename)
    write_folder(tmp_path / "x", FILES.items())

    assert steps == [*FILES, "the draft", "rename to x", tmp_path.name]


def test_all_is_removed_but_the_target_of_a_link(tmp_path: Path) -> None:
    """A folder, a file, a link, and what is not there."""
    for number, stand in enumerate((lambda _: None, a_folder, a_file, a_link)):
        stand(tmp_path / str(number))
        remove_all(tmp_path / str(number))

    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert contents(tmp_path / "target") == {"old": b"old"}
