"""Nothing is opened outside the root, whatever names and links are laid out below it."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from colvi_edge.watch.folder.pinned import PinnedFolder, open_below
from tests.tools.late_answers import answers_after


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder to be watched, beside a secret outside it."""
    (tmp_path / "secret.tif").write_text("secret")
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "c.tif").write_text("pixels")
    return tmp_path / "root"


def read(descriptor: int) -> str:
    """Return what is in an open file, and close it."""
    with os.fdopen(descriptor) as file:
        return file.read()


def refusal(root: Path, path: str) -> int | None:
    """Return the errno with which a raw file is refused."""
    with PinnedFolder(root) as pinned, pytest.raises(OSError, match=r".") as refused:
        pinned.open_raw(path)
    return refused.value.errno


def test_a_raw_file_is_opened_for_reading_only(root: Path) -> None:
    """Without waiting, without following, and not inherited by other programs."""
    import fcntl

    with PinnedFolder(root) as pinned:
        raw = pinned.open_raw("a/b/c.tif")
        flags = fcntl.fcntl(raw, fcntl.F_GETFL)

        assert flags & os.O_ACCMODE == os.O_RDONLY
        assert flags & os.O_NONBLOCK
        assert not os.get_inheritable(raw)
        assert read(raw) == "pixels"


@pytest.mark.parametrize(
    "path", ["../secret.tif", "a/../../secret.tif", "/etc/passwd", "a//b/c.tif", "./a/b/c.tif", "a/b/"]
)
def test_paths_that_are_no_plain_paths(root: Path, path: str) -> None:
    """Neither up nor absolute; also in a folder that has the same file."""
    assert refusal(root, path) == errno.EXDEV


def test_links_are_not_followed(root: Path) -> None:
    """Neither for the file nor for a folder on the way, wherever they lead."""
    (root / "link.tif").symlink_to("../secret.tif")
    (root / "inside.tif").symlink_to("a/b/c.tif")
    (root / "up").symlink_to("..")
    (root / "here").symlink_to("a")

    assert refusal(root, "link.tif") == refusal(root, "inside.tif") == errno.ELOOP
    assert refusal(root, "up/secret.tif") == refusal(root, "here/b/c.tif") == errno.ENOTDIR
    with PinnedFolder(root) as pinned, pytest.raises(NotADirectoryError):
        pinned.open_folder("up")


def test_pipes_sockets_and_folders_are_not_opened(root: Path) -> None:
    """To open a pipe would wake its writer, who would then write to nobody."""
    os.mkfifo(root / "pipe.tif")
    (root / "folder.tif").mkdir()
    woken = threading.Event()

    def write() -> None:
        with (root / "pipe.tif").open("w"):
            woken.set()

    threading.Thread(target=write, daemon=True).start()
    time.sleep(0.1)  # until it waits for a reader

    assert refusal(root, "pipe.tif") == refusal(root, "folder.tif") == errno.EINVAL
    assert not woken.wait(0.05)
    (root / "pipe.tif").open().close()


def test_a_path_through_which_one_may_only_pass(root: Path) -> None:
    """A folder on the way need not be readable; whoever is root is not asked."""
    (root / "a").chmod(0o111)
    try:
        with PinnedFolder(root) as pinned:
            assert read(pinned.open_raw("a/b/c.tif")) == "pixels"
    finally:
        (root / "a").chmod(0o755)


def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(root: Path) -> None:
    """A thousand times while it is read: never a word of what lies outside."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "c.tif").write_text("secret")
    there = root / "a" / "b"
    script = (
        "import os, sys\n"
        "there, aside, outside = sys.argv[1:]\n"
        "while True:\n"
        "    os.rename(there, aside); os.symlink(outside, there); os.unlink(there); os.rename(aside, there)"
    )
    command = [sys.executable, "-c", script, str(there), str(root / "aside"), str(outside)]
    seen = set()
    with subprocess.Popen(command) as swapper:
        with PinnedFolder(root) as pinned:
            tries = 0
            while tries < 1000 or ("pixels" not in seen and tries < 1_000_000):
                tries += 1
                try:
                    seen.add(read(pinned.open_raw("a/b/c.tif")))
                except OSError as error:
                    seen.add(errno.errorcode[error.errno or 0])
        swapper.kill()

    assert seen <= {"pixels", "ENOENT", "ENOTDIR"}
    assert "pixels" in seen


def test_nothing_stays_open(root: Path) -> None:
    """Not after success, not after any refusal."""
    with PinnedFolder(root) as pinned:
        before = len(list(Path("/proc/self/fd").iterdir()))
        os.close(pinned.open_raw("a/b/c.tif"))
        os.close(pinned.open_folder("a/b"))
        os.close(pinned.open_folder("x/y", create=True))
        for path in ("a/b/none.tif", "a/none/c.tif", "none", "../x", "a/b/c.tif/d"):
            for refused in (pinned.open_raw, pinned.open_folder, pinned.status):
                with pytest.raises(OSError, match=r"."):
                    refused(path)

        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_folders_are_made_below_the_root_only(root: Path) -> None:
    """Those that are there are taken, links are not."""
    (root / "up").symlink_to("..")
    with PinnedFolder(root) as pinned:
        for path in ("x/y/z", "a/new"):
            made = pinned.open_folder(path, create=True)
            assert os.path.samestat(os.fstat(made), (root / path).stat())
            os.close(made)
        for path in ("up/x", "../x"):
            with pytest.raises(OSError, match=r"."):
                pinned.open_folder(path, create=True)

    assert sorted(path.name for path in root.parent.iterdir()) == ["root", "secret.tif"]


def test_the_root_itself(root: Path) -> None:
    """An empty path is the root, each time with a position of its own."""
    with PinnedFolder(root) as pinned:
        for create in (False, True):
            folder = pinned.open_folder("", create=create)
            assert os.path.samestat(os.fstat(folder), root.stat())
            os.close(folder)
        top = open_below(pinned.fileno(), "", os.O_RDONLY)
        assert stat.S_ISDIR(os.fstat(top).st_mode)
        os.close(top)


def test_a_root_behind_a_link(root: Path) -> None:
    """The operator's own path may hold links; it is known where it really is."""
    link = root.parent / "link"
    link.symlink_to(root)
    with PinnedFolder(link) as pinned:
        assert pinned.is_current()
        assert pinned.real_path() == str(root.resolve())
        assert pinned.exists("a/b/c.tif")
        assert not pinned.exists("a/b/d.tif")


def test_a_root_made_anew_is_another(root: Path) -> None:
    """The descriptor still is the old one, and says so; the path leads to the new one."""
    with PinnedFolder(root) as pinned:
        assert pinned.is_current()
        root.rename(root.parent / "old")
        assert not pinned.is_current()
        root.mkdir()
        assert not pinned.is_current()
        assert read(pinned.open_raw("a/b/c.tif")) == "pixels"


def test_names_that_are_no_text(root: Path) -> None:
    """As `os.fsdecode` gives them."""
    name = os.fsdecode(b"\xff\n\x1b[2J.tif")
    (root / name).write_text("pixels")
    with PinnedFolder(root) as pinned:
        assert read(pinned.open_raw(name)) == "pixels"


@pytest.mark.parametrize("number", [errno.EHOSTDOWN, errno.EIO, errno.ESTALE, errno.ENOENT])
def test_a_server_that_does_not_answer_leaves_open_what_is_current(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Only what it says at once of the folder tells that this is another one now."""
    with PinnedFolder(root) as pinned:

        def refuse(_: Path) -> os.stat_result:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "stat", refuse)
        answers_after(monkeypatch, 15.0)
        if number == errno.ENOENT:
            assert not pinned.is_current()
            return
        with pytest.raises(OSError, match=os.strerror(number)):
            pinned.is_current()
        answers_after(monkeypatch, 0.01)
        if number == errno.ESTALE:
            assert not pinned.is_current()
