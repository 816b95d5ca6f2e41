"""A format is a room: it registers what it is known by, and has one reader; nobody else spells its suffix."""

import ast
import os
from pathlib import Path

import pytest

import colvi_edge
from colvi_edge.acquisition import Acquisition, acquire, acquire_opened
from colvi_edge.acquisition.reading import READERS
from colvi_edge.acquisition.refusals import BEGINNING_BYTES, refuse_other_formats
from colvi_edge.acquisition.source import OPEN_FLAGS
from colvi_edge.errors import ImageTooSmallError, NotAnImageError
from colvi_edge.raw_files import FORMATS
from colvi_edge.simulate import simulate_projection, write_imagej

ROOMS = Path(colvi_edge.__file__).parent
FORMAT_ROOMS = {path.parent.name for path in (ROOMS / "acquisition").glob("*/__init__.py")}


def imports(module: Path) -> set[str]:
    """Return what a module imports, by its full name."""
    nodes = ast.walk(ast.parse(module.read_text()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def texts(module: Path) -> set[str]:
    """Return the texts of a module that stand alone; parts of a name that is put together do not."""
    tree = ast.parse(module.read_text())
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    constants = {node for node in ast.walk(tree) if isinstance(node, ast.Constant)} - parts
    return {constant.value for constant in constants if isinstance(constant.value, str)}


def test_every_format_has_one_reader() -> None:
    """In a room of its own; and none is of a format that nobody knows by its suffix."""
    readers = imports(ROOMS / "acquisition" / "reading.py")

    assert tuple(READERS) == FORMATS
    assert {name for name in readers if name.count(".") > 2} == {
        f"colvi_edge.acquisition.{room}.reader" for room in FORMAT_ROOMS
    }
    assert len(FORMAT_ROOMS) == len(FORMATS)


@pytest.mark.parametrize("room", sorted(FORMAT_ROOMS))
def test_a_format_knows_no_other(room: str) -> None:
    """What two share stands beside them, so that a third finds it."""
    others = tuple(f"colvi_edge.acquisition.{other}" for other in FORMAT_ROOMS - {room})
    modules = (ROOMS / "acquisition" / room).glob("*.py")

    assert not [name for module in modules for name in imports(module) if name.startswith(others)]


def test_nobody_else_spells_a_suffix() -> None:
    """Who asks whether a file is raw, or holds several images, asks `raw_files`."""
    suffixes = {suffix for known in FORMATS for suffix in known.suffixes}
    runtime = [module for module in ROOMS.rglob("*.py") if module != ROOMS / "raw_files.py"]

    assert len(runtime) > 100
    assert not [module.name for module in runtime if texts(module) & suffixes]


@pytest.mark.parametrize(
    "magic", [magic for known in FORMATS for magic in known.magics], ids=lambda magic: magic.hex()
)
def test_no_format_that_is_read_is_refused_as_foreign(magic: bytes) -> None:
    """What it begins with is asked before any reader is."""
    refuse_other_formats(magic)
    refuse_other_formats(magic.ljust(BEGINNING_BYTES, b"\0"))


def test_a_foreign_file_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    """However long it is: that more of it can be allowed would help nobody."""
    raw = tmp_path / "day.czi"
    raw.write_bytes(b"ZISRAWFILE")
    os.truncate(raw, 2**40)

    with pytest.raises(NotAnImageError, match=r"day\.czi: is a Zeiss container \(\.czi\), which is not read"):
        list(acquire(raw))


def test_a_raw_file_is_opened_once(tmp_path: Path) -> None:
    """Its format is told by the bytes that are read."""
    raw = tmp_path / "x.tif"
    write_imagej(raw, simulate_projection("control", 1, size_px=128))
    opened: list[int] = []

    def once() -> int:
        opened.append(os.open(raw, OPEN_FLAGS))
        return opened[-1]

    (image,) = acquire_opened(once, raw.name)

    assert isinstance(image, Acquisition)
    assert len(opened) == 1


def test_an_error_tells_its_subject_and_its_words_apart(tmp_path: Path) -> None:
    """Joined they are the sentence; whoever has named the file takes the words."""
    raw = tmp_path / "x\n.tif"
    write_imagej(raw, simulate_projection("control", 1, size_px=128))
    (image,) = acquire(raw)

    with pytest.raises(ImageTooSmallError) as caught:
        image.check_holds_patch(256)

    assert caught.value.subject == r"x\n.tif"
    assert caught.value.words.startswith("is 128 x 128 pixels, smaller than one patch of 256 x 256; ")
    assert str(caught.value) == f"{caught.value.subject}: {caught.value.words}"
