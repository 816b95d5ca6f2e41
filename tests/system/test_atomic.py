"""A file is whole or absent, and nothing but that file is touched."""

import errno
import hashlib
import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.system.atomic import (
    Aside,
    is_temporary_name,
    open_folder,
    remove,
    remove_leftovers,
    write_atomically,
    write_whole,
)
from tests.tools.limits import file_size_limit

KILLS = 60
NOBODY = 65534

WRITER = """
import hashlib, itertools, random, sys
from pathlib import Path
from colvi_edge.system.atomic import open_folder, write_atomically

bodies = [random.randbytes(size) for size in (10, 40_000, 2_000_000)]
contents = [hashlib.sha256(body).digest() + body for body in bodies]
with open_folder(Path(sys.argv[1])) as folder_fd:
    for number, content in enumerate(itertools.cycle(contents)):
        write_atomically(folder_fd, "X.tif.colvi.json", content)
        if number == 0:
            print("the first is written", flush=True)
"""


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    """Hold the test's folder open."""
    with open_folder(tmp_path) as descriptor:
        yield descriptor


def names_in(folder: Path) -> list[str]:
    """Return what a folder holds."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path, folder_fd: int) -> None:
    """The new file takes the name; who has the old one open keeps reading the old one."""
    write_atomically(folder_fd, "X.tif.colvi.json", b"old")
    with (tmp_path / "X.tif.colvi.json").open("rb") as reader:
        write_atomically(folder_fd, "X.tif.colvi.json", b"new")

        assert reader.read() == b"old"
    assert (tmp_path / "X.tif.colvi.json").read_bytes() == b"new"
    assert names_in(tmp_path) == ["X.tif.colvi.json"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_for_all_is_for_all(tmp_path: Path, umask: int) -> None:
    """As a request that root leaves for the service; and it is whole as any other."""
    (tmp_path / "a").write_bytes(b"old")
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a", b"new", for_all=True)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_mode_follows_the_umask(tmp_path: Path, folder_fd: int, umask: int, mode: int) -> None:
    """Lab users can read results unless the umask says otherwise; nobody can execute them."""
    before = os.umask(umask)
    try:
        write_atomically(folder_fd, "a", b"")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_killed_writer_leaves_whole_files(tmp_path: Path) -> None:
    """Kill -9 at any moment: the file is the old or the new one, and litter is recognisable."""
    rng = random.Random(2)  # noqa: S311
    litter = 0
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.02))
            writer.kill()
        content = (tmp_path / "X.tif.colvi.json").read_bytes()
        assert hashlib.sha256(content[32:]).digest() == content[:32]
        for path in tmp_path.iterdir():
            litter += is_temporary_name(path.name)
            assert path.name == "X.tif.colvi.json" or is_temporary_name(path.name)
            path.unlink()

    assert litter > 0  # else no kill fell into a write, and nothing was tested


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path: Path, folder_fd: int) -> None:
    """Whoever can write into the folder cannot aim our writing at another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "X.tif.colvi.json").symlink_to(victim)
    (tmp_path / "Y.tif.colvi.json").symlink_to(tmp_path / "not there")
    for name in ("X.tif.colvi.json", "Y.tif.colvi.json"):
        write_atomically(folder_fd, name, b"result")

        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"result"
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "not there").exists()


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    """The folder is the one that was opened, whatever stands under its name later."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    with open_folder(folder) as folder_fd:
        folder.rename(tmp_path / "moved")
        folder.symlink_to(elsewhere)
        write_atomically(folder_fd, "a", b"result")

    assert names_in(elsewhere) == []
    assert (tmp_path / "moved" / "a").read_bytes() == b"result"


def test_names_that_are_not_utf8_work(tmp_path: Path, folder_fd: int) -> None:
    """A raw name in Latin-1 reaches Python with surrogates, and its outputs go back as they came."""
    write_atomically(folder_fd, os.fsdecode(b"M\xfcller.tif.colvi.json"), b"result")

    assert [os.fsencode(name) for name in names_in(tmp_path)] == [b"M\xfcller.tif.colvi.json"]


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, folder_fd: int) -> None:
    """The first write comes back short, the second fails: the error passes, nothing changes."""
    write_atomically(folder_fd, "a", b"old")
    with file_size_limit(4096), pytest.raises(OSError, match="too large") as raised:
        write_atomically(folder_fd, "a", bytes(10_000))

    assert raised.value.errno == errno.EFBIG
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_in_the_way_is_an_error_without_litter(tmp_path: Path, folder_fd: int) -> None:
    """A rename that fails takes its temporary file with it."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(folder_fd, "a", b"result")

    assert names_in(tmp_path) == ["a"]


def test_a_read_only_folder_is_an_error_without_litter(tmp_path: Path, folder_fd: int) -> None:
    """Who may not write there is told so by the file system."""
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)  # root may write anywhere
    try:
        with pytest.raises(PermissionError):
            write_atomically(folder_fd, "a", b"result")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)

    assert names_in(tmp_path) == []


def test_the_content_is_on_the_disk_before_the_name(
    tmp_path: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fsync of the whole file, rename, fsync of the folder: in another order a power cut tears files."""
    steps = []
    fsync, rename = os.fsync, os.rename

    def spying_fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        steps.append("fsync folder" if stat.S_ISDIR(found.st_mode) else f"fsync {found.st_size} bytes")
        fsync(descriptor)

    def spying_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append(f"rename to {target}")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", spying_fsync)
    monkeypatch.setattr(os, "rename", spying_rename)
    write_atomically(folder_fd, "a", bytes(100))

    assert steps == ["fsync 100 bytes", "rename to a", "fsync folder"]


def test_removing_what_is_not_there_is_no_error(tmp_path: Path, folder_fd: int) -> None:
    """Removing takes a file or a link, never the target of one."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(victim)
    remove(folder_fd, "link")
    remove(folder_fd, "link")

    assert names_in(tmp_path) == ["victim"]
    assert victim.read_bytes() == b"precious"


def test_only_a_folder_can_be_opened(tmp_path: Path) -> None:
    """A file or nothing under the name is the file system's error, and no descriptor stays open."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), open_folder(tmp_path / "file"):
        pass
    with pytest.raises(FileNotFoundError), open_folder(tmp_path / "nothing"):
        pass
    with open_folder(tmp_path) as folder_fd:
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(folder_fd)


def test_leftovers_go_when_they_are_old(tmp_path: Path, folder_fd: int) -> None:
    """By the folder's time; what is written or put aside now stays, and so does what only looks alike."""
    old = time.time() - 7200
    for name in (".colvi-1-a.tmp", "x.tmp", "X.tif.colvi.json", ".colvi-1-target"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / ".colvi-2-link.tmp").symlink_to(tmp_path / "x.tmp")
    (tmp_path / ".colvi-3-folder.tmp").mkdir()
    before = set(names_in(tmp_path))

    with Aside(folder_fd) as aside:
        aside.put("X.tif.colvi.json")  # keeps the time of its writing
        assert remove_leftovers(folder_fd) == 0
        assert len(names_in(tmp_path)) == len(before)
    before.remove("X.tif.colvi.json")
    later = time.time() + 7200
    os.utime(tmp_path, (later, later))

    assert remove_leftovers(folder_fd) == 1
    assert set(names_in(tmp_path)) == before - {".colvi-1-a.tmp"}
