"""Which raw files a command is about, and what is told of the others."""

from pathlib import Path

import pytest

from colvi_edge.errors import UsageError
from colvi_edge.pipeline.inputs import find_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of everything but raw files."""
    for name in (
        "a.png", "b.PNG", "c.czi", "below/x.tif.part", "README", ".x.tif", ".hidden/y.tif",
        "x.tif.colvi.json", "X.colvi.notes.tif",
    ):  # fmt: skip
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    return tmp_path / "data"


def test_an_empty_folder_is_told_with_what_was_found_instead(folder: Path) -> None:
    """What was looked for, and what there is: other kinds by suffix, results, hidden ones, links."""
    (folder / "link").symlink_to(folder.parent)

    with pytest.raises(UsageError) as told:
        find_inputs([folder])

    words = str(told.value)
    assert f"found no .tif, .tiff or .lif file below {folder}, but 6 files of other kinds: 2 .png, " in words
    for kind in ("1 .czi", "1 .part", "1 without suffix", "1 .tif"):  # named as only our files are
        assert kind in words
    assert "1 result file of colvi-edge; 2 hidden; 1 link was not followed" in words
    assert told.value.exit_code == 2


def test_a_flood_of_kinds_stays_a_sentence(tmp_path: Path) -> None:
    """The most frequent are named; a suffix that is none is not."""
    for number in range(50):
        (tmp_path / f"x.{number}").touch()
    (tmp_path / ("x." + "y" * 200)).touch()

    with pytest.raises(UsageError) as told:
        find_inputs([tmp_path])

    assert "but 51 files of other kinds: 1 ." in str(told.value)
    assert len(str(told.value)) < 300


def test_nothing_at_all(tmp_path: Path) -> None:
    """Two folders, and nothing in them."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    with pytest.raises(UsageError, match="below 2 folders, but nothing at all; name raw files or folders"):
        find_inputs([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("name", ["x.tif", "x.TIF", "x.tiff", "X.TIFF", "x.Lif", "x.LIF"])
def test_suffixes_are_read_in_capitals_too(tmp_path: Path, name: str) -> None:
    """As Windows programs write them."""
    (tmp_path / name).touch()

    assert [file.name for file in find_inputs([tmp_path])] == [name]


def test_links_are_not_followed_but_told_and_taken_where_they_are_named(tmp_path: Path) -> None:
    """To a file and to a folder, in one sentence."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y.tif").touch()
    data = tmp_path / "data"
    data.mkdir()
    (data / "x.tif").touch()
    (data / "folder").symlink_to(tmp_path / "elsewhere")
    (data / "file.tif").symlink_to(tmp_path / "elsewhere" / "y.tif")
    told: list[str] = []

    files = find_inputs([data], tell=told.append)
    named = find_inputs([data / "file.tif", data / "folder"])

    assert [file.name for file in files] == ["x.tif"]
    assert told == [
        f"2 links were not followed ({data / 'folder'} is one); what they lead to is diagnosed where you "
        "name it"
    ]
    assert [file.name for file in named] == ["file.tif"]  # the same file, by two ways


def test_no_link_no_word(tmp_path: Path) -> None:
    """Nothing is told of what nobody misses."""
    (tmp_path / "x.tif").touch()
    (tmp_path / "notes.txt").touch()
    told: list[str] = []

    find_inputs([tmp_path], tell=told.append)

    assert told == []


def test_what_a_shell_names_of_ours_is_passed_over(tmp_path: Path) -> None:
    """Results by their names, tables and pages by what they hold; others are taken, whatever their name."""
    ours = {
        "x.tif.colvi.png": b"",
        "x.tif.colvi.json": b"{",
        "r.html": b"<title>colvi-edge report: x</title>",
    }
    for name, content in {"x.tif": b"", "picture": b"path,status", **ours}.items():
        (tmp_path / name).write_bytes(content)
    told: list[str] = []

    files = find_inputs(sorted(tmp_path.iterdir()), tell=told.append)

    assert [file.name for file in files] == ["picture", "x.tif"]
    assert told == ["3 files of ours were passed over: results, pages, tables"]
    with pytest.raises(UsageError, match=r"found only 1 file of ours: .*; name raw files or folders"):
        find_inputs([tmp_path / "r.html"])
