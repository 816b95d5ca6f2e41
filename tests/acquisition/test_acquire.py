"""Opening a raw file: which names, which kinds of file, and that it is only ever read."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.acquisition import Acquisition, Limits, acquire
from colvi_edge.errors import AcquisitionError, ImageTooLargeError, IncompleteFileError, NotAnImageError
from colvi_edge.printable import printable_name
from colvi_edge.raw_files import is_raw_name


@pytest.mark.parametrize(
    "name", ["a.tif", "A.TIF", "b.tiff", "c.Tiff", "a.lif", "d.ome.tif", "x.tif.tif", "e f.tif"]
)
def test_raw_names(name: str) -> None:
    """A name is raw by its suffix, in any case."""
    assert is_raw_name(name)


@pytest.mark.parametrize(
    "name",
    [
        ".tif", ".hidden.tif", "~$a.tif", "a.tif.tmp", "a.tif.part", "a.tif.partial", "a.tif.crdownload",
        "a.tif.colvi.json", "a.tif.colvi.tif", "A.TIF.COLVI.TIF", "a.lsm", "a.lifext", "a.xlif", "a.png",
        "tif", "a.tif~", "",
    ],
)  # fmt: skip
def test_names_that_are_not_raw(name: str) -> None:
    """Hidden, temporary and our own files are none, nor is another format."""
    assert not is_raw_name(name)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("plain name µ.tif", "plain name µ.tif"),
        ("two\nlines\x1b[31m.tif", "two\\nlines\\x1b[31m.tif"),
        (os.fsdecode(b"latin-\xe9.tif"), "latin-\\udce9.tif"),
        ("\u202efit.exe.tif", "\\u202efit.exe.tif"),
    ],
)
def test_names_are_printable(name: str, printed: str) -> None:
    """What could forge a line of a log, or break JSON, is escaped."""
    assert printable_name(name) == printed
    assert printable_name(name).encode("utf-8")


def test_odd_name_of_a_good_file(kinds: dict[str, Any], tmp_path: Path) -> None:
    """Any name that the file system allows can be read, and its sentences are printable."""
    path = tmp_path / os.fsdecode(b"a*\xe9\n.tif")
    path.write_bytes(kinds["OME"].data)
    (acquisition,) = acquire(path)
    path.write_bytes(b"text")

    assert acquisition.name == "a*\\udce9\\n.tif"
    with pytest.raises(NotAnImageError, match=r"^a\*\\udce9\\n\.tif: is not a TIFF file"):
        list(acquire(path))


def test_raw_file_stays_as_it_is(kind: Any, tmp_path: Path) -> None:
    """Reading changes neither the file nor its times of change, and needs no right to write."""
    path = tmp_path / "x.tif"
    path.write_bytes(kind.data)
    path.chmod(0o444)
    before = path.stat()
    list(acquire(path))
    after = path.stat()

    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(kind.data).digest()
    assert (before.st_mtime_ns, before.st_ctime_ns, before.st_mode) == (
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_mode,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["x.tif"]


def test_leaves_no_file_open(kinds: dict[str, Any], tmp_path: Path) -> None:
    """The file is closed once it is read, whether or not it is an image."""
    path = tmp_path / "x.tif"
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path would hold it open
    for data in (kinds["RGB"].data, kinds["RGB"].data[:-9], b"text", b""):
        path.write_bytes(data)
        acquired = acquire(path)
        with contextlib.suppress(AcquisitionError):
            next(acquired)
        for bad in (tmp_path, tmp_path / "absent"):
            with pytest.raises(AcquisitionError):
                list(acquire(bad))

        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_follows_a_link(kinds: dict[str, Any], tmp_path: Path) -> None:
    """A link to a raw file that the operator gives is that file, under the link's name."""
    (tmp_path / "real").write_bytes(kinds["RGB"].data)
    (tmp_path / "link.tif").symlink_to("real")
    (acquisition,) = acquire(str(tmp_path / "link.tif"))

    assert acquisition.name == "link.tif"


@pytest.mark.parametrize("what", ["folder", "pipe", "device", "absent", "loop of links", "below a file"])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    """Nothing but a regular file is read, and nothing makes the reader wait."""
    path = tmp_path / "x.tif"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "loop of links":
        path.symlink_to("x.tif")
    elif what == "below a file":
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "x.tif"
    expected = {"folder": NotAnImageError, "pipe": NotAnImageError, "device": NotAnImageError}

    with pytest.raises(AcquisitionError, match=r"^x\.tif: ") as refused:
        list(acquire(path))
    assert type(refused.value) is expected.get(what, AcquisitionError)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", IncompleteFileError, "is empty"),
        (bytes(5000), IncompleteFileError, "begins with zeros"),
        (b"II*\0", IncompleteFileError, "ends inside its header"),
        (b"II*", NotAnImageError, "is not a TIFF file"),
        (b"II*\0\x08\0\0\0", IncompleteFileError, "directory should be at byte 8 of 8"),
        (b"hello, I am text", NotAnImageError, "is not a TIFF file"),
        (b"\x70\0\0\0" + bytes(99), NotAnImageError, "Leica container"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), NotAnImageError, "PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(99), NotAnImageError, "JPEG picture"),
        (b"ZISRAWFILE" + bytes(99), NotAnImageError, "Zeiss container"),
        (b"II+\0\x08\0\0\0", IncompleteFileError, "ends inside its header"),
        (b"II+\0\x04\0\0\0" + bytes(8), NotAnImageError, "BigTIFF header"),
    ],
)
def test_what_is_no_tiff_is_refused(
    data: bytes, error: type[AcquisitionError], words: str, read: Callable[..., Acquisition]
) -> None:
    """Each has its own sentence, whatever the name says."""
    with pytest.raises(error, match=rf"^x\.tif: .*{words}") as refused:
        read(data)
    assert type(refused.value) is error


def test_file_size_is_limited(kinds: dict[str, Any], read: Callable[..., Acquisition]) -> None:
    """A file is read up to exactly the limit, which the sentence names."""
    data = kinds["RGB"].data
    read(data, limits=Limits(file_bytes=len(data)))

    with pytest.raises(ImageTooLargeError, match=r"23,\d+ bytes long.*\(limit 'file_bytes'\)"):
        read(data, limits=Limits(file_bytes=len(data) - 1))


@pytest.mark.parametrize("change", ["grows", "shrinks", "is touched"])
def test_file_that_changes_is_incomplete(
    change: str, kinds: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a writer touches while it is read is not judged."""
    path = tmp_path / "x.tif"
    path.write_bytes(kinds["RGB"].data)
    real, looks = os.fstat, []

    def fstat(handle: int) -> os.stat_result:
        # The writer strikes between the first look and the reading.
        found = real(handle)
        looks.append(found)
        if len(looks) == 1:
            if change == "is touched":
                os.utime(path, ns=(0, 0))
            else:
                with path.open("r+b") as file:
                    file.truncate(found.st_size + (9 if change == "grows" else -9))
        return found

    monkeypatch.setattr(os, "fstat", fstat)

    with pytest.raises(IncompleteFileError, match="changed while it was read"):
        list(acquire(path))
