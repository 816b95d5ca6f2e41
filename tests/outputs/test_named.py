"""Files that are written where somebody says: what is none of ours is never overwritten."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.errors import UsageError
from colvi_edge.outputs import table
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.settings import Judging
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.supervisor.telling.metrics import Metrics

MakeSidecar = Callable[..., Sidecar]
Run = Callable[..., tuple[int, str, str]]

FOREIGN = {
    "data.xlsx": b"PK\x03\x04\x14\0\6\0",
    "lab.html": b"<!doctype html>\n<title>Our lab</title>\n",
    "counts.csv": b"path,status,who\nx.tif,ok,me\n",
    "notes.csv": b"image_name,prediction,probability,notes\nx.tif,control,1.000,mine\n",
    "plain.txt": b"x",
}


@pytest.fixture
def folder(tmp_path: Path, run: Run) -> Path:
    """Give a folder with a raw file, its result, and files of others."""
    write_imagej(tmp_path / "x.tif", simulate_projection("control", 1, size_px=256))
    run("run", tmp_path, "--bundle", "demo")
    for name, content in FOREIGN.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("table", "{0}", "-o"),
        ("run", "{0}", "--bundle", "demo", "--result-csv"),
        ("run", "{0}", "--bundle", "demo", "--omero-csv"),
        ("run", "{0}", "--bundle", "demo", "--report"),
        ("bench", "--bundle", "demo", "--json"),
        ("bench", "--bundle", "demo", "--html"),
        ("evaluate", "demo", "{0}", "--html"),
        ("train", "{0}", "-o", "{0}/m.pt", "--html"),
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
def test_nothing_else_is_overwritten(folder: Path, run: Run, command: tuple[str, ...]) -> None:
    """A raw file, a result, and what others made are refused by one option of each command, with a remedy."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    words = [word.format(folder) for word in command]

    for name in ("x.tif", "new.TIFF", "x.tif.colvi.json", *FOREIGN):
        code, out, err = run(*words, folder / name)
        assert (code, out) == (2, ""), name
        assert name in err
        assert "another name" in err

    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_table_is_replaced_by_a_newer_one(folder: Path, run: Run) -> None:
    """As is an empty file; a link gives way, and what it leads to stays."""
    place, target = folder / "t.csv", folder / "plain.txt"
    ways = (("table", folder, "-o"), ("run", folder, "--bundle", "demo", "--result-csv"))
    for empty in (True, False):
        for way in ways:
            place.unlink(missing_ok=True)
            place.touch() if empty else place.symlink_to(target)
            assert [run(*way, place)[0] for _ in range(2)] == [0, 0]
            assert place.is_file()
            assert not place.is_symlink()
    assert target.read_bytes() == FOREIGN["plain.txt"]


def test_each_kind_knows_what_is_written(make_sidecar: MakeSidecar) -> None:
    """Its own, and no other."""
    listed = [table.ListedResult("x.tif", make_sidecar([[0.9, 0.1]]))]
    rendered = {
        table.result_csv(listed): Named.TABLE,
        table.omero_csv(listed): Named.TABLE,
        table.folder_csv([table.folder_row("x.tif", listed[0].sidecar)]): Named.TABLE,
        Metrics("folder", 0.0).text(0, ()).encode(): Named.METRICS,
    }
    for content, kind in rendered.items():
        assert [known for known in Named if known.begins(content[:4096])] == [kind]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nor replaced."""
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(UsageError, match=r"t\.csv is no table of colvi-edge"):
        refuse_other(Named.TABLE, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "words"), [("x.tif.colvi.json", "choose another name"), ("plain.txt", "no file of metrics")]
)
def test_metrics_take_no_other_place(tmp_path: Path, name: str, words: str) -> None:
    """Found before anything is watched."""
    (tmp_path / name).write_text("x")
    folders = FolderPaths(tmp_path / "watched")
    settings = WatchSettings(folders, Judging("demo"), metrics=tmp_path / name, once=True)
    with pytest.raises(UsageError, match=words):
        settings.validated()
