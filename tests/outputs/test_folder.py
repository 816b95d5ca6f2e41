"""The files of one image appear together: what a program in between, a full disk or a power cut may find."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.errors import OutputError
from colvi_edge.outputs.intact import intact_sidecar
from colvi_edge.outputs.result import write_result
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.system.writing import hold_folder
from tests.tools.limits import file_size_limit
from tests.tools.results import files_of

MakeSidecar = Callable[..., Sidecar]
RAW = "culture_07.tif"
BANDS = [[0.95, 0.8, 0.6], [0.4, 0.1, 0.99]]
BLANK = Shown(np.zeros((2, 128, 192), np.uint16), ("collagen", "nuclei"))
FILES = files_of(RAW)

PREVIOUS = f"{RAW}.colvi.prev.json"


def write(folder: Path, sidecar: Sidecar, confirm: Callable[[], None] = lambda: None) -> Sidecar:
    """Write a result into a folder."""
    with hold_folder(folder, "results") as folder_fd:
        return write_result(folder_fd, RAW, sidecar, BLANK, confirm).sidecar


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_result_is_its_usual_files_with_their_hashes(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """The sidecar lists the others, and what each step took; `intact_sidecar` finds them so."""
    written = write(tmp_path, make_sidecar(BANDS))
    found = contents(tmp_path)

    assert set(found) == FILES
    assert {output.name: output.sha256 for output in written.outputs} == {
        name: sha256(data).hexdigest() for name, data in found.items() if not name.endswith(".colvi.json")
    }
    assert {"overlay", "encode", "tables"} <= set(written.timings_ms)
    with hold_folder(tmp_path, "results") as folder_fd:
        assert intact_sidecar(folder_fd, RAW) == written


def test_names_appear_after_their_contents_and_the_sidecar_last(
    tmp_path: Path, make_sidecar: MakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files on the disk, all names but one, the folder, the sidecar's name, the folder: in this order."""
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def spying_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def spying_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append("sidecar" if target.endswith(".colvi.json") else "name")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", spying_fsync)
    monkeypatch.setattr(os, "rename", spying_rename)
    write(tmp_path, make_sidecar(BANDS))

    assert steps == [
        *["content"] * len(FILES),
        *["name"] * (len(FILES) - 1),
        "folder",
        "sidecar",
        "folder",
    ]


def test_while_names_change_there_is_no_sidecar(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """Who looks in between finds the old result whole, or no sidecar, or the new result whole."""
    write(tmp_path, make_sidecar(BANDS))
    old = contents(tmp_path)
    seen: list[str] = []

    def look() -> None:
        found = {name: data for name, data in contents(tmp_path).items() if name in FILES}
        done = f"{RAW}.colvi.json" in found
        seen.append("old" if done and found == old else "done" if done else "not done")

    changed = make_sidecar(np.array(BANDS)[::-1], result_id="12345678-1234-5678-9234-567812345679")
    written = write(tmp_path, changed, look)

    assert seen == ["old", *["not done"] * len(FILES)]
    assert written.revision == 2
    assert set(contents(tmp_path)) == FILES | {PREVIOUS}
    assert contents(tmp_path)[PREVIOUS] == old[f"{RAW}.colvi.json"]


@pytest.mark.parametrize("limit_bytes", [100, 2000, 3000])
def test_a_full_disk_leaves_the_old_result(
    tmp_path: Path, make_sidecar: MakeSidecar, limit_bytes: int
) -> None:
    """Whichever of the files finds no room: nothing has changed, and nothing lies about."""
    write(tmp_path, make_sidecar(BANDS))
    old = contents(tmp_path)
    with file_size_limit(limit_bytes), pytest.raises(OutputError, match="cannot write results"):
        write(tmp_path, make_sidecar(np.array(BANDS)[::-1]))

    assert contents(tmp_path) == old


def test_who_takes_the_word_back_finds_nothing_changed(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """`confirm` comes before the first change; what was drafted is gone."""
    write(tmp_path, make_sidecar(BANDS))
    old = contents(tmp_path)

    def refuse() -> None:
        raise OutputError("the raw file changed")

    with pytest.raises(OutputError, match="the raw file changed"):
        write(tmp_path, make_sidecar(np.array(BANDS)[::-1]), refuse)

    assert contents(tmp_path) == old


def test_a_rejected_image_takes_the_tables_away(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """Overlay and sidecar are all that it has; tables of an earlier result would be another's."""
    write(tmp_path, make_sidecar(BANDS))
    write(tmp_path, make_sidecar(None))

    assert set(contents(tmp_path)) == {f"{RAW}.colvi.png", f"{RAW}.colvi.json"}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user with no rights to what others have."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can be two users")
@pytest.mark.parametrize("held", sorted(FILES))
@pytest.mark.parametrize("result_id", ["1" * 32, "2" * 32])
def test_one_file_that_cannot_be_replaced_keeps_all_the_others(
    tmp_path: Path, make_sidecar: MakeSidecar, held: str, result_id: str
) -> None:
    """As one that a viewer holds open on a share; whichever of them it is, nothing has changed."""
    folder = tmp_path / "results"
    folder.mkdir()
    write(folder, make_sidecar(BANDS, result_id="0" * 32))
    write(folder, make_sidecar(BANDS, result_id="1" * 32))
    for path in folder.iterdir():
        os.chown(path, 65533 if path.name == held else 65534, -1)
    folder.chmod(0o1777)  # where everybody may write, but rename only what is his
    old = contents(folder)
    assert set(old) == FILES | {PREVIOUS}

    with hold_folder(folder, "results") as folder_fd, as_nobody(), pytest.raises(PermissionError):
        write_result(folder_fd, RAW, make_sidecar(BANDS, result_id=result_id), BLANK, lambda: None)

    assert contents(folder) == old
    for path in folder.iterdir():
        os.chown(path, 65534, -1)
    with hold_folder(folder, "results") as folder_fd, as_nobody():
        write_result(folder_fd, RAW, make_sidecar(BANDS, result_id=result_id), BLANK, lambda: None)
    assert set(contents(folder)) == FILES | {PREVIOUS}


@pytest.mark.parametrize("held", sorted(FILES | {PREVIOUS}))
def test_a_rename_that_fails_removes_nothing(
    tmp_path: Path, make_sidecar: MakeSidecar, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """What could not be put aside is still there, and is not taken for half of what was to come."""
    for result_id in ("0" * 32, "1" * 32):
        write(tmp_path, make_sidecar(BANDS, result_id=result_id))
    old = contents(tmp_path)
    rename = os.rename

    def failing(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if source == held:
            raise OSError(5, "Input/output error")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OutputError):
        write(tmp_path, make_sidecar(BANDS, result_id="2" * 32))

    assert contents(tmp_path) == old
