"""`colvi-edge clean`: our files go, all of them and nothing else, and only where somebody agreed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colvi_edge.cleaning import find_ours, remove_ours
from colvi_edge.errors import OutputError
from colvi_edge.outputs.names import OutputKind, explanation_name, is_output_name, output_name
from colvi_edge.raw_files import is_raw_name
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.watch.folder.share_lock import LOCK_NAME
from tests.tools.results import files_of

Run = Callable[..., tuple[int, str, str]]

OURS = [
    *(f"a.tif{kind.value}" for kind in OutputKind if kind not in (OutputKind.OME_TIFF, OutputKind.LABELS)),
    "x.lif.0003-Series004.colvi.json",
    "a.tif.colvi.saliency.png",
    "a.tif.colvi.patch-03-12.png",
    ".colvi-1234-0123456789abcdef.tmp",
    LOCK_NAME,
]
OTHERS = [
    "a.tif", "a.tiff", "x.LIF", "report.html", "result.csv", "a.colvi.txt", "colvi.json", "a.tif.colvi",
    ".colvi-notes", "a.tif.colvi.json.bak", ".hidden/a.tif.colvi.json", "my.colvi/bioimageio.yaml",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of our files and of others, and the same below it."""
    for below in ("data", "data/P01/day"):
        for name in (*OURS, *OTHERS):
            (tmp_path / below / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / below / name).write_text(f"{below}/{name}")
    return tmp_path / "data"


def files_in(folder: Path) -> dict[str, str]:
    """Every file below a folder with its hash; a link is not read."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        ).hexdigest()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_all_of_ours_goes_and_nothing_else(folder: Path, run: Run) -> None:
    """In the folder and below it; what goes is counted before, and after."""
    before = files_in(folder)

    code, out, err = run("clean", folder, "--yes")

    assert (code, err) == (0, "")
    assert files_in(folder) == {name: before[name] for name in before if Path(name).name not in OURS} | {
        name: before[name] for name in before if ".hidden" in name
    }
    ours = [name for name in before if Path(name).name in OURS and ".hidden" not in name]
    size = sum(len(f"data/{name}") for name in ours)
    assert f"Below {folder}, {len(ours)} files of colvi-edge, {size} B:" in out
    assert "      4  .colvi.json" in out
    assert "      2  .colvi.prev.json" in out
    assert out.endswith(f"Removed {len(ours)} files.\n")


def test_what_run_and_explain_leave_is_ours(tmp_path: Path, run: Run) -> None:
    """A folder is as before the run, whatever the options."""
    write_imagej(tmp_path / "a.tif", simulate_projection("control", 1, size_px=256))
    (tmp_path / "b.tif").write_bytes(b"no image\n" * 20)
    before = files_in(tmp_path)
    assert run("run", tmp_path, "--bundle", "demo", "--overlay", "ome-tiff")[0] == 1
    assert len(files_in(tmp_path)) == len(before) + len(files_of("a.tif", "ome.tif")) + 1

    run("clean", tmp_path, "--yes")

    assert files_in(tmp_path) == before


def test_a_dry_run_removes_nothing(folder: Path, run: Run) -> None:
    """And says so; with --yes, too."""
    before = files_in(folder)

    code, out, _ = run("clean", folder, "--dry-run", "--yes")

    assert code == 0
    assert "Nothing was removed: --dry-run." in out
    assert files_in(folder) == before


def test_who_cannot_be_asked_says_yes(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it is an error of usage with the remedy."""
    before = files_in(folder)
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        code, _, err = run("clean", folder)

    assert code == 2
    assert "say --yes" in err
    assert files_in(folder) == before


@pytest.mark.parametrize(
    ("answer", "goes"), [("y", True), ("YES", True), ("", False), ("n", False), ("no", False)]
)
def test_only_a_yes_is_a_yes(folder: Path, answer: str, goes: bool) -> None:
    """On a terminal it is asked; Return alone is no."""
    before = files_in(folder)
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())

    ended = subprocess.run(
        [sys.executable, "-c", "from colvi_edge.cli import main; main()", "clean", str(folder)],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    os.close(ours)
    os.close(theirs)

    assert "Remove them? [y/N] " in ended.stdout
    assert ("Nothing was removed." in ended.stdout) is not goes
    assert (files_in(folder) == before) is not goes


def test_a_link_is_neither_removed_nor_followed(folder: Path, run: Run) -> None:
    """Not to a file, not to a folder; and a folder of such a name stays."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "b.tif.colvi.json").touch()
    (folder / "b.tif.colvi.png").symlink_to(outside / "b.tif.colvi.json")
    (folder / "linked").symlink_to(outside)
    (folder / "c.tif.colvi.json").mkdir()

    code, out, _ = run("clean", folder, "--yes")

    assert code == 0
    assert (outside / "b.tif.colvi.json").exists()
    assert (folder / "b.tif.colvi.png").is_symlink()
    assert (folder / "linked").is_symlink()
    assert (folder / "c.tif.colvi.json").is_dir()
    assert "2 others of such names stay" in out


@pytest.mark.parametrize("name", ["raw.colvi.ome.tif", "raw.colvi.labels.tif"])
def test_an_image_must_say_that_it_is_ours(tmp_path: Path, run: Run, name: str) -> None:
    """An image that somebody named so is the only one of its kind, perhaps."""
    write_imagej(tmp_path / name, simulate_projection("control", 1, size_px=256))
    (tmp_path / "raw.colvi.json").touch()

    code, out, _ = run("clean", tmp_path, "--yes")

    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert "1 other of such names" in out


def test_what_changed_meanwhile_stays(folder: Path) -> None:
    """Between the question and the answer: new results stay, and so does what a link took the place of."""
    found = find_ours(folder)
    (folder / "new.tif.colvi.json").touch()
    (folder / "a.tif.colvi.csv").unlink()
    (folder / "a.tif.colvi.png").unlink()
    (folder / "a.tif.colvi.png").symlink_to("a.tif")
    shutil.move(folder / "P01", folder.parent / "P01")
    (folder / "P01").symlink_to(folder.parent / "P01")

    removed = remove_ours(folder, found)

    assert removed == len(OURS) - 2
    assert (folder / "new.tif.colvi.json").exists()
    assert (folder / "a.tif.colvi.png").is_symlink()
    assert (folder / "a.tif").exists()
    assert len(list((folder.parent / "P01" / "day").iterdir())) == len(OURS) + len(OTHERS)


@pytest.fixture
def daemon() -> Iterator[Callable[[Path], None]]:
    """Return a function that starts to watch a folder; it ends with the test."""
    daemons = []

    def watch(folder: Path) -> None:
        words = ["watch", str(folder), "--bundle", "demo"]
        command = [sys.executable, "-c", "from colvi_edge.cli import main; main()", *words]
        daemons.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        while not _is_locked(folder / LOCK_NAME):
            assert daemons[-1].poll() is None
            time.sleep(0.02)

    yield watch
    for one in daemons:
        one.terminate()
        one.wait(60)


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize("watched", ["data", "data/P01", "."])
def test_nothing_is_removed_under_a_daemon(
    folder: Path, run: Run, daemon: Callable[[Path], None], watched: str
) -> None:
    """Of the folder, of one below or above it: refused, with what ends it."""
    place = folder.parent / watched
    for path in folder.rglob("*.lif"):
        path.unlink()
    daemon(place)

    code, _, err = run("clean", folder, "--yes")

    assert code == 2
    assert f"{place.resolve()}: another colvi-edge of this machine watches this folder" in err
    assert "systemctl stop" in err
    assert (folder / LOCK_NAME).exists()
    assert (folder / ".colvi-1234-0123456789abcdef.tmp").exists()


def test_what_cannot_be_removed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go; exit code 1."""
    found = find_ours(folder)
    unlink = os.unlink

    def refusing(path: str, *, dir_fd: int) -> None:
        if path == "a.tif.colvi.csv":
            raise PermissionError(13, "Permission denied")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)
    with pytest.raises(OutputError, match="2 files cannot be removed") as told:
        remove_ours(folder, found)

    assert "a.tif.colvi.csv: Permission denied" in str(told.value)
    assert told.value.exit_code == 1
    assert {path.name for path in folder.rglob("*") if is_output_name(path.name)} == {
        "a.tif.colvi.csv",
        "a.tif.colvi.json",
    }


@pytest.mark.parametrize("there", [True, False])
def test_nothing_there(tmp_path: Path, run: Run, there: bool) -> None:
    """A folder without results is no failure; none at all is one of usage."""
    if there:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "x.tif").touch()

    code, out, err = run("clean", tmp_path / "data")

    assert code == (0 if there else 2)
    assert ("there is no file of colvi-edge" in out) is there
    assert ("cannot be listed: No such file or directory" in err) is not there


@given(st.text(min_size=1))
@example("a.colvi.ome.tif")
@example(".colvi-.tif.tmp")
@example("a.colvi.saliency.png.tif")
def test_no_raw_file_is_named_as_ours(name: str) -> None:
    """Whatever it is called; nor is what is made of it a raw file."""
    assert not (is_raw_name(name) and is_output_name(name))
    for output in (*(output_name(name, kind) for kind in OutputKind), explanation_name(name, "saliency")):
        assert is_output_name(output)
        assert not is_raw_name(output)
