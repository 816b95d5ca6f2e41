"""Several bundles on one folder: each has names of its own, and touches no file of another."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from colvi_edge.acquisition import Provenance
from colvi_edge.errors import ScanModeError, UsageError
from colvi_edge.outputs.intact import index_entry, intact_sidecar, is_intact, read_result, standing_entry
from colvi_edge.outputs.names import (
    MAX_SLOT_BYTES,
    NEVER_CUT,
    OutputKind,
    is_index_name,
    is_output_name,
    output_name,
    record_label,
    record_name,
    slot_of,
    slots_of,
)
from colvi_edge.outputs.read_back import read_sidecar
from colvi_edge.outputs.result import REPLACED, write_error, write_index, write_result
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, to_json
from colvi_edge.pipeline.records import error_record, index_record
from colvi_edge.raw_files import is_raw_name
from colvi_edge.report.gather import Gatherer
from colvi_edge.report.listing import list_results
from colvi_edge.report.samples import NamePattern
from colvi_edge.system.writing import hold_folder

MakeSidecar = Callable[..., Sidecar]
SOURCE = Provenance(1234, "5" * 64, "", ())
BANDS = [[0.95, 0.8, 0.6], [0.4, 0.1, 0.99]]
BLANK = Shown(np.zeros((2, 128, 192), np.uint16), ("collagen", "nuclei"))

SUFFIX_WORDS = "colvi json png csv geojson rois zip ome tif tiff lif error prev"
BUNDLE_NAMES = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    [
        "nuclei",
        "Nuclei",
        "nuclei.",
        "tif",
        "LIF",
        "colvi",
        "error",
        "prev",
        "ome",
        "",
        "0003-a",
        "3",
        "x" * 99,
    ]
)
RAWS = st.sampled_from(
    [
        "X.lif",
        "X.tif",
        "X.tif.tif",
        "X.lif.tif",
        "X.nuclei.lif",
        "X.tif.nuclei.tif",
        "X.TIF",
        "x" * 251 + ".tif",
    ]
) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=80).map(lambda start: f"{start}.lif")
SERIES = st.lists(
    st.sampled_from(["", "a", "a.nuclei", "a.nuclei.nuclei", "nuclei", "error", "x" * 240]), max_size=9
)


@given(SERIES, st.lists(BUNDLE_NAMES, max_size=4), st.lists(RAWS, min_size=1, max_size=4))
@example(["a", "a.nuclei"], ["ColVI", "nuclei"], ["X.lif", "X.lif.tif"])
def test_no_two_outputs_share_a_name(series: list[str], bundles: list[str], raws: list[str]) -> None:
    """Of any raw files, their images, the slots of a run, and kinds; each fits, and is known as ours."""
    keys = ["", *(f"{number:04d}-{name}" for number, name in enumerate(series))]
    slots = {"", *map(slot_of, bundles)}
    owners: dict[str, tuple[str, str, str, OutputKind]] = {}
    for raw in filter(is_raw_name, raws):
        for key in keys:
            for slot in slots:
                for kind in OutputKind:
                    name = output_name(raw, kind, key, slot)
                    assert owners.setdefault(name, (raw, key, slot, kind)) == (raw, key, slot, kind)
                    assert len(os.fsencode(name)) <= 255
                    assert is_output_name(name)
                    assert not is_raw_name(name)
                    assert name.startswith(raw[:NEVER_CUT])
                    assert [kind] == [one for one in OutputKind if name.endswith(one.value)]


@given(SERIES, BUNDLE_NAMES)
def test_an_index_is_told_from_an_image_by_its_name(series: list[str], bundle: str) -> None:
    """In any slot: a page counts images, and an index is none."""
    for raw in ("X.lif", "a.b.LIF"):
        for slot in ("", slot_of(bundle)):
            assert is_index_name(output_name(raw, OutputKind.SIDECAR, "", slot))
            assert not is_index_name(output_name(raw, OutputKind.ERROR, "", slot))
            for number, name in enumerate(series):
                assert not is_index_name(output_name(raw, OutputKind.SIDECAR, f"{number:04d}-{name}", slot))
            assert not is_index_name(output_name("X.tif", OutputKind.SIDECAR, "", slot))


@pytest.mark.parametrize(
    ("raw", "key", "slot"),
    [
        ("X.lif.tif", "", ""),
        ("X.lif.TIFF", "", ""),
        ("X.lif.tif", "", "nuclei"),
        ("X.lif", "0003-A.lif", ""),
        ("X.lif", "0003-A.lif.Raw", ""),
        ("X.lif", "0003-A.lif", "nuclei"),
    ],
)
def test_an_image_that_is_called_as_an_index_is_is_told(
    tmp_path: Path, write: Callable[..., Sidecar], raw: str, key: str, slot: str
) -> None:
    """A raw file that was exported of a container, or a series called like one: table and page have it."""
    write(raw, key, slot)

    assert not is_index_name(output_name(raw, OutputKind.SIDECAR, key, slot))
    assert list_results(tmp_path).images == 1
    with hold_folder(tmp_path, "results") as folder_fd:
        assert len(Gatherer(NamePattern()).gather(folder_fd).entries) == 1


@given(BUNDLE_NAMES)
@example("e\u0301\u0323")
@example("\u00e4" * 60)
def test_a_slot_is_a_word_that_any_share_and_shell_takes(name: str) -> None:
    """One piece without dots, neither a suffix nor an image's key; what is a slot already stays one."""
    slot = slot_of(name)

    assert 0 < len(os.fsencode(slot)) <= MAX_SLOT_BYTES
    assert slot.isprintable()
    assert all(c.isalnum() or c in "-_~" for c in slot)
    assert not slot[0].isdigit()
    assert not slot.startswith("-")
    assert slot.lower() not in {*SUFFIX_WORDS.split()}
    assert slot_of(slot) == slot


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("nuclei", "nuclei"),
        ("colvi-edge synthetic demo model", "colvi-edge-synthetic-demo-model"),
        ("Nuclei (v2.0)", "Nuclei-v2-0"),
        ("\u00dcbersicht", "\u00dcbersicht"),
        ("U\u0308bersicht", "\u00dcbersicht"),
        ("../../etc/passwd", "etc-passwd"),
        ("tif", "model-tif"),
        ("Error", "model-Error"),
        ("2026-nuclei", "model-2026-nuclei"),
        ("...", "model"),
        ("nuclei\n\u202egnp", "nuclei-gnp"),
        # printf '%s' "$(printf 'x%.0s' $(seq 99))" | sha256sum
        ("x" * 99, "x" * 23 + "~d0621fdd"),
    ],
)
def test_the_slots_are_the_published_ones(name: str, slot: str) -> None:
    """A folder keeps them for ever: another rule would leave its results to nobody."""
    assert slot_of(name) == slot


def test_the_first_bundle_keeps_the_plain_names() -> None:
    """Whatever it is called, also as the second is: two versions of one model can be compared."""
    assert slots_of(["nuclei"]) == [""]
    assert slots_of(["ColVI", "nuclei", "vesicles"]) == ["", "nuclei", "vesicles"]
    assert slots_of(["nuclei", "nuclei"]) == ["", "nuclei"]
    assert output_name("X.tif", OutputKind.SIDECAR, slot="nuclei") == "X.tif.nuclei.colvi.json"
    assert output_name("X.lif", OutputKind.TABLE, "0003-a", "nuclei") == "X.lif.0003-a.nuclei.colvi.csv"
    assert record_name("X.lif", "error", slot="nuclei") == "X.lif.nuclei.colvi.error.json"
    assert record_label("X.tif.nuclei.colvi.json", "X.tif", "", "nuclei") == "X.tif.nuclei"


@pytest.mark.parametrize("other", ["nuclei", "Nuclei", "nuclei.", "NUCLEI"])
def test_two_further_bundles_of_one_slot_are_refused(other: str) -> None:
    """Also where only a share that knows no capitals would mix them up."""
    with pytest.raises(UsageError, match=r"found 'nuclei' and '.*would both leave X\.tif\..*export it under"):
        slots_of(["ColVI", "nuclei", other])


def test_a_slot_is_read_back_only_as_it_is_written(make_sidecar: MakeSidecar) -> None:
    """Files are looked for by it: what leads elsewhere is no record."""
    assert make_sidecar(BANDS, slot="nuclei").slot == "nuclei"
    for bad in ("", ".", "a.b", "../x", "tif", "0003-a", "x" * 33, "a\nb", "x" * 2**20):
        with pytest.raises(ValidationError, match=r"slot"):
            make_sidecar(BANDS, slot=bad)


@pytest.fixture
def write(tmp_path: Path, make_sidecar: MakeSidecar) -> Callable[..., Sidecar]:
    """Return a function that writes the result of an image in a slot, or one that fails."""

    def one(
        raw: str,
        key: str,
        slot: str,
        *,
        sha256: str = SOURCE.sha256,
        note: Callable[[str], None] = lambda _: None,
    ) -> Sidecar:
        plain = make_sidecar(BANDS)
        image = plain.image.model_copy(update={"name": raw, "key": key, "sha256": sha256})
        sidecar = plain.model_copy(update={"image": image, "slot": slot or None})
        with hold_folder(tmp_path, "results") as folder_fd:
            return write_result(folder_fd, raw, sidecar, BLANK, lambda: None, note=note).sidecar

    return one


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def indexed(folder_fd: int, raw: str, slot: str, *records: Sidecar | ErrorRecord) -> Index:
    """Write the index of some images."""
    entries = [index_entry(raw, record, to_json(record)) for record in records]
    index = index_record(raw, SOURCE, entries).model_copy(update={"slot": slot or None})
    write_index(folder_fd, raw, index, lambda: None)
    return index


@pytest.mark.parametrize(("mine", "other"), [("nuclei", ""), ("", "nuclei"), ("vesicles", "nuclei")])
def test_what_is_written_in_one_slot_touches_no_other(
    tmp_path: Path, write: Callable[..., Sidecar], mine: str, other: str
) -> None:
    """Results, errors, indexes; of a file of one image, of several, and of one that cannot be read at all."""
    with hold_folder(tmp_path, "results") as folder_fd:
        for raw, key in (("X.tif", ""), ("X.lif", "0000-a"), ("X.lif", "0001-b")):
            write(raw, key, other)
        indexed(folder_fd, "X.lif", other, *(write("X.lif", key, other) for key in ("0000-a", "0001-b")))
        before = files_of(tmp_path)
        assert before

        write("X.tif", "", mine)
        mine_too = [write("X.lif", key, mine) for key in ("0000-a", "0001-b", "0002-c")]
        index = indexed(folder_fd, "X.lif", mine, *mine_too)
        indexed(folder_fd, "X.lif", mine, *mine_too[:2])  # the third image is gone
        assert not list(tmp_path.glob(f"*.0002-c.{mine and f'{mine}.'}colvi.json"))
        assert files_of(tmp_path).items() >= before.items()
        assert index.images[0].name == output_name("X.lif", OutputKind.SIDECAR, "0000-a", mine)

        for raw, key in (("X.tif", ""), ("X.lif", "0000-a"), ("X.lif", "")):
            record = error_record(raw, ScanModeError("is an XZ scan"), key, SOURCE)
            write_error(folder_fd, raw, record.model_copy(update={"slot": mine or None}), lambda: None)
        assert files_of(tmp_path).items() >= before.items()
        left = {name for name in files_of(tmp_path) if name not in before and ".prev." not in name}
        assert left == {record_name("X.tif", "error", "", mine), record_name("X.lif", "error", "", mine)}
        for raw in ("X.tif", "X.lif"):
            standing = read_result(folder_fd, raw, other)
            assert standing is not None
            assert is_intact(folder_fd, raw, standing)
            assert read_result(folder_fd, raw, mine) is None


def test_what_gives_way_is_kept_aside_in_its_slot(tmp_path: Path, write: Callable[..., Sidecar]) -> None:
    """The record of the result before this one, of each bundle by itself."""
    first, second = write("X.tif", "", "nuclei"), write("X.tif", "", "")
    with hold_folder(tmp_path, "results") as folder_fd:
        record = error_record("X.tif", ScanModeError("is an XZ scan"), "", SOURCE)
        write_error(folder_fd, "X.tif", record.model_copy(update={"slot": "nuclei"}), lambda: None)

    assert read_sidecar(tmp_path / "X.tif.nuclei.colvi.prev.json") == first
    assert read_sidecar(tmp_path / "X.tif.colvi.json") == second
    assert not (tmp_path / "X.tif.colvi.prev.json").exists()


def test_a_series_called_as_a_slot_is_is_not_taken_for_it(
    tmp_path: Path, write: Callable[..., Sidecar]
) -> None:
    """What an earlier content of the file left under that name is of no image of this slot."""
    write("X.lif", "0003-a.nuclei", "")
    with hold_folder(tmp_path, "results") as folder_fd:
        assert (tmp_path / output_name("X.lif", OutputKind.SIDECAR, "0003-a", "nuclei")).exists()
        assert intact_sidecar(folder_fd, "X.lif", "0003-a.nuclei") is not None
        assert intact_sidecar(folder_fd, "X.lif", "0003-a", "nuclei") is None
        assert standing_entry(folder_fd, "X.lif", "0003-a", SOURCE.sha256, "nuclei") is None
        gone = error_record("X.lif", ScanModeError("is an XZ scan"), "", SOURCE)
        write_error(folder_fd, "X.lif", gone.model_copy(update={"slot": "nuclei"}), lambda: None)
        assert intact_sidecar(folder_fd, "X.lif", "0003-a.nuclei") is not None


def test_a_record_of_another_slot_is_neither_damaged_nor_a_result_that_is_gone(
    tmp_path: Path, write: Callable[..., Sidecar]
) -> None:
    """It gives way to what now has its name, and nothing untrue is said of it; of what is no record it is."""
    notes: list[str] = []
    record = error_record("X.lif", ScanModeError("is an XZ scan"), "0003-a", SOURCE)
    in_slot = record.model_copy(update={"slot": "nuclei"})
    other = write("X.lif", "0003-a.nuclei", "")
    with hold_folder(tmp_path, "results") as folder_fd:
        assert write_error(folder_fd, "X.lif", in_slot, lambda: None) == 0
        assert not (tmp_path / "X.lif.0003-a.nuclei.colvi.prev.json").exists()

        write("X.lif", "0003-a.nuclei", "")
        mine = write("X.lif", "0003-a", "nuclei", note=notes.append)
        assert notes == []
        assert intact_sidecar(folder_fd, "X.lif", "0003-a", "nuclei") == mine
        assert mine.revision == other.revision == 1
        assert write_error(folder_fd, "X.lif", in_slot, lambda: None) == 1
        assert read_sidecar(tmp_path / "X.lif.0003-a.nuclei.colvi.prev.json") == mine

    (tmp_path / "X.lif.0003-a.nuclei.colvi.json").write_text("{")
    write("X.lif", "0003-a", "nuclei", note=notes.append)
    assert notes == [REPLACED]
