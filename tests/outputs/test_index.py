"""The index of a file that holds several images: the word "done", while every file below it is as written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.acquisition import Provenance
from colvi_edge.errors import ScanModeError
from colvi_edge.outputs.intact import index_entry, is_intact, read_result
from colvi_edge.outputs.result import write_error, write_index, write_result
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, to_json
from colvi_edge.pipeline.records import error_record, index_record
from colvi_edge.system.writing import hold_folder
from tests.tools.results import USUAL, files_of

MakeSidecar = Callable[..., Sidecar]
RAW = "day.lif"
SOURCE = Provenance(1234, "5" * 64, "", ())
BANDS = [[0.95, 0.8, 0.6], [0.4, 0.1, 0.99]]
BLANK = Shown(np.zeros((2, 128, 192), np.uint16), ("collagen", "nuclei"))


@pytest.fixture
def write(tmp_path: Path, make_sidecar: MakeSidecar) -> Callable[..., Index]:
    """Return a function that writes a result for each key, an error record for those that end in "!"."""

    def everything(*keys: str, raw: str = RAW) -> Index:
        records: list[Sidecar | ErrorRecord] = []
        with hold_folder(tmp_path, "results") as folder_fd:
            for key in keys:
                if key.endswith("!"):
                    failed = error_record(raw, ScanModeError("is an XZ scan"), key, SOURCE)
                    write_error(folder_fd, raw, failed, lambda: None)
                    records.append(failed)
                else:
                    judged = make_sidecar(BANDS)
                    image = judged.image.model_copy(update={"name": raw, "key": key})
                    result = judged.model_copy(update={"image": image})
                    written = write_result(folder_fd, raw, result, BLANK, lambda: None)
                    records.append(written.sidecar)
            entries = [index_entry(raw, record, to_json(record)) for record in records]
            index = index_record(raw, SOURCE, entries)
            write_index(folder_fd, raw, index, lambda: None)
        return index

    return everything


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_an_index_lists_what_is_there(tmp_path: Path, write: Callable[..., Index]) -> None:
    """Each image has its own files, the index names and hashes their records, and is found intact."""
    index = write("0000-a", "0001-b!", "0002-a")

    assert [(entry.key, entry.status, entry.name) for entry in index.images] == [
        ("0000-a", "ok", "day.lif.0000-a.colvi.json"),
        ("0001-b!", "error", "day.lif.0001-b!.colvi.error.json"),
        ("0002-a", "ok", "day.lif.0002-a.colvi.json"),
    ]
    assert (index.status, index.image.bytes, index.image.sha256) == ("ok", 1234, "5" * 64)
    written = {"day.lif.colvi.json", "day.lif.0001-b!.colvi.error.json"}
    assert names(tmp_path) == written | files_of("day.lif.0000-a") | files_of("day.lif.0002-a")
    with hold_folder(tmp_path, "results") as folder_fd:
        assert read_result(folder_fd, RAW) == index
        assert is_intact(folder_fd, RAW, index)


@pytest.mark.parametrize(
    "name", ["0000-a.colvi.json", "0000-a.colvi.png", "0000-a.colvi.csv", "0001-b!.colvi.error.json"]
)
@pytest.mark.parametrize("gone", [True, False])
def test_an_index_is_not_intact_without_one_file(
    name: str, gone: bool, tmp_path: Path, write: Callable[..., Index]
) -> None:
    """Whatever is removed or changed below it, the file counts as not done."""
    write("0000-a", "0001-b!")
    path = tmp_path / f"{RAW}.{name}"
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")

    with hold_folder(tmp_path, "results") as folder_fd:
        result = read_result(folder_fd, RAW)
        assert isinstance(result, Index)  # it says nothing of what became of what it lists
        assert not is_intact(folder_fd, RAW, result)


@pytest.mark.parametrize("again", ["0000-a", "0001-b!"])
def test_the_index_goes_before_its_images_change(
    again: str, tmp_path: Path, write: Callable[..., Index], make_sidecar: MakeSidecar
) -> None:
    """There is no moment at which an index stands above files that are not those that it lists."""
    write("0000-a", "0001-b!")
    seen: list[bool] = []

    def confirm() -> None:
        seen.append((tmp_path / "day.lif.colvi.json").exists())

    with hold_folder(tmp_path, "results") as folder_fd:
        if again.endswith("!"):
            write_error(folder_fd, RAW, error_record(RAW, ScanModeError("other"), again, SOURCE), confirm)
        else:
            judged = make_sidecar(BANDS)
            image = judged.image.model_copy(update={"name": RAW, "key": again})
            changed = judged.model_copy(update={"image": image})
            write_result(folder_fd, RAW, changed, BLANK, confirm)

    assert seen[0]
    assert not any(seen[1:])
    assert len(seen) > 1


def test_what_an_image_left_goes_with_it(tmp_path: Path, write: Callable[..., Index]) -> None:
    """An image that was renamed or removed leaves nothing; others' results, however alike, stay."""
    (tmp_path / "day.lif.0009-mine.colvi.json").write_text("{}")
    write("0000-x", raw="day.lif.0001-other.lif")
    write("0000-x", raw="day.lif.old.lif")
    foreign = names(tmp_path)
    write("0000-a", "0001-b", "0002-c!")

    write("0000-a", "0001-renamed!")

    left = names(tmp_path) - foreign
    assert {name for name in left if "0000-a" in name} == files_of("day.lif.0000-a")
    assert {name for name in left if "0000-a" not in name} == {
        "day.lif.colvi.json",
        "day.lif.0001-renamed!.colvi.error.json",
    }
    assert foreign <= names(tmp_path)


def test_long_names_are_cleared_too(tmp_path: Path, write: Callable[..., Index]) -> None:
    """Names that had to be cut are found by what stands in them."""
    raw = "µ" * 120 + ".lif"
    write("0000-a", "0001-b!", raw=raw)
    write("0000-c", raw=raw)

    assert len(names(tmp_path)) == 1 + len(USUAL)


def test_an_error_of_the_whole_file_leaves_no_image(tmp_path: Path, write: Callable[..., Index]) -> None:
    """A container that cannot be used any more has its error record and what was before; and back again."""
    write("0000-a", "0001-b!")
    with hold_folder(tmp_path, "results") as folder_fd:
        write_error(folder_fd, RAW, error_record(RAW, ScanModeError("is no container")), lambda: None)

    assert names(tmp_path) == {"day.lif.colvi.error.json", "day.lif.0000-a.colvi.prev.json"}
    write("0000-a")
    assert "day.lif.colvi.error.json" not in names(tmp_path)


@pytest.mark.parametrize(
    ("keys", "status"), [(["0000-a!", "0001-b"], "ok"), (["0000-a!", "0001-b!"], "error"), (["0000-a"], "ok")]
)
def test_status_of_the_whole(keys: list[str], status: str, write: Callable[..., Index]) -> None:
    """One judged image suffices for "ok"; where there is none, it is an error."""
    assert write(*keys).status == status
