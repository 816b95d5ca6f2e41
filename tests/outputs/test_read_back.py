"""Records that lie in folders that others may write to: whatever they hold ends nobody that reads them."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from colvi_edge.outputs import read_back, table
from colvi_edge.outputs.cells import headline
from colvi_edge.outputs.intact import read_result
from colvi_edge.outputs.patches import table as patch_table
from colvi_edge.outputs.read_back import (
    MAX_PARTS,
    MAX_RECORD_BYTES,
    MAX_VALUES,
    parsed,
    read_record,
    read_sidecar,
)
from colvi_edge.outputs.result import write_result
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import (
    MAX_PATCHES,
    MAX_REVISION,
    MAX_TEXT,
    ErrorRecord,
    Index,
    Sidecar,
    as_plain,
    cut,
    json_schema,
    to_json,
)
from colvi_edge.outputs.sidecar import patches as sidecar_models
from colvi_edge.outputs.table import write_table
from colvi_edge.report.entries import entry
from colvi_edge.report.page import render
from colvi_edge.report.samples import NamePattern
from colvi_edge.system.writing import hold_folder
from colvi_edge.watch.worker.process import summary
from tests.tools.hostile import every, some, spoilt

MakeSidecar = Callable[..., Sidecar]
Record = Sidecar | ErrorRecord | Index

WRITTEN = sorted((Path(__file__).parent / "written").glob("*/*.json"))
"""What earlier versions and this one left beside real images, a folder for each version."""
KINDS: tuple[type[Record], ...] = (Sidecar, ErrorRecord, Index)
PATTERN = NamePattern()
OTHER = '"other",'
LATER = datetime(2100, 1, 1, tzinfo=timezone.utc)


def kind_of(path: Path) -> type[Record]:
    """Return what a record is, by what it says."""
    schema = json.loads(path.read_bytes())["schema"]
    return next(kind for kind in KINDS if kind.__name__.removesuffix("Record").lower() in schema)


def tree_of(name: str) -> Any:
    """Return a written record of today as plain values, its grids cut to one row of two patches."""
    tree = json.loads((Path(__file__).parent / "written" / "2" / name).read_bytes())
    if grid := tree.get("patches"):
        p_control, p_patient, vote, band = (
            [grid[key][0][:2]] for key in ("p_control", "p_patient", "vote", "band")
        )
        counts = Counter(vote[0])
        size = {"rows": 1, "cols": 2, "p_control": p_control, "p_patient": p_patient}
        tree["patches"] = {**grid, **size, "vote": vote, "band": band}
        control, patient = counts["control"], counts["patient"]
        tree["votes"] = {"control": control, "patient": patient, "tie": counts["tie"]}
        tree["score"] = 50 * control
        tree["diagnosis"] = "unsure" if control == patient else "control" if control > patient else "patient"
    return tree


TREES = {
    name: tree_of(name)
    for name in ("control.tif.colvi.json", "rejected.tif.colvi.json", "broken.tif.colvi.error.json",
                 "day.lif.colvi.json")
}  # fmt: skip


def use(record: Record) -> None:
    """Do with a record what each of its readers does."""
    assert parsed(type(record), to_json(record)) == record
    json.dumps(as_plain(record), allow_nan=False)
    if isinstance(record, Index):
        summary(record)
        return
    shown = entry(record, "day 1", "x.tif.colvi.json", PATTERN)
    render({"folder": "x", "images": [dict(shown.shown)]})
    assert sorted([shown.created, LATER])
    if isinstance(record, ErrorRecord):
        return
    sqlite3.connect(":memory:").execute("SELECT ?", (record.revision,))
    summary(record)
    headline(record)
    table.result_csv([table.ListedResult("x.tif", record)])
    table.omero_csv([table.ListedResult("x.tif", record)])
    if record.status == "ok":
        patch_table.render(record)


def agrees(record: Sidecar) -> bool:
    """Return whether the diagnosis is that of the patches: counted here once more."""
    if record.status == "rejected":
        return (record.diagnosis, record.score, record.votes, record.patches) == (None,) * 4
    votes = [vote for row in record.patches.vote for vote in row]  # type: ignore[union-attr]
    control, patient = votes.count("control"), votes.count("patient")
    majority = {True: "control", False: "patient"}.get(control > patient)
    return (
        record.diagnosis == ("unsure" if control == patient else majority)
        and record.score == pytest.approx(100 * control / len(votes))
        and record.votes == type(record.votes)(control=control, patient=patient, tie=votes.count("tie"))  # type: ignore[misc]
    )


# --- what was written is read


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_written_is_read_for_ever(path: Path) -> None:
    """Records of each version, byte for byte, and by the published schema as well."""
    text = path.read_bytes()
    record = parsed(kind_of(path), text)

    assert record is not None
    assert to_json(record) == text
    Draft202012Validator(json_schema()).validate(json.loads(text))
    use(record)


def test_the_trees_are_records() -> None:
    """Else all that is made of them would be refused for another reason."""
    for name, tree in TREES.items():
        kinds = [kind for kind in KINDS if parsed(kind, json.dumps(tree).encode())]
        assert len(kinds) == 1, name


# --- what nobody wrote harms nobody


@pytest.mark.parametrize("name", TREES)
def test_each_extreme_in_each_place(name: str) -> None:
    """A number beyond its bound, a text without end, depth, other types: no record, or one of use."""
    refused = used = 0
    for text in every(TREES[name]):
        for kind in KINDS:
            record = parsed(kind, text)
            if record is None:
                refused += 1
                continue
            used += 1
            use(record)
            assert not isinstance(record, Sidecar) or agrees(record)
    assert refused > used > 0


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(TREES)).flatmap(lambda name: some(TREES[name])))
def test_whatever_stands_in_a_record(text: bytes) -> None:
    """Random values, keys that come twice, cut and changed bytes."""
    for kind in KINDS:
        if record := parsed(kind, text):
            use(record)
            assert not isinstance(record, Sidecar) or agrees(record)


@pytest.mark.parametrize(
    ("place", "fragment"),
    [
        (("revision",), str(MAX_REVISION + 1)),
        (("revision",), "0"),
        (("score",), "49"),
        (("score",), "1e400"),
        (("diagnosis",), '"patient"'),
        (("diagnosis",), "null"),
        (("status",), '"rejected"'),
        (("votes", "control"), "1"),
        (("votes", "tie"), "1"),
        (("votes",), "null"),
        (("patches",), "null"),
        (("patches", "rows"), "2"),
        (("patches", "cols"), "1"),
        (("patches", "band", 0), '["cyan"]'),
        (("patches", "size_px"), str(2**31)),
        (("image", "bytes"), str(2**53)),
        (("image", "shape", 0), str(2**53)),
        (("image", "planes"), str(2**31)),
        (("image", "mtime_ns"), str(2**63)),
        (("image", "pixel_size_um"), "1e7"),
        (("image", "name"), f'"{2049 * "x"}"'),
        (("image", "axes"), f'"{257 * "X"}"'),
        (("image", "channels"), f'[{2**16 * OTHER}"x"]'),
        (("outputs", 0, "name"), '"../x.png"'),
        (("outputs", 0, "name"), '""'),
        (("outputs", 1, "name"), '"control.tif.colvi.png"'),
        (("model", "name"), f'"{(2**20 + 1) * "x"}"'),
        (("timings_ms", "read"), "1e999"),
        (("created",), '"2026-11-20T12:00:00"'),
        (("created",), '"1969-12-31T23:59:59Z"'),
        (("created",), '"9999-12-31T23:59:59Z"'),
        (("quality",), json.dumps(257 * [{"name": "a", "severity": "warn", "words": "b"}])),
    ],
)  # fmt: skip
def test_what_is_out_of_its_bound_is_no_record(place: tuple[str | int, ...], fragment: str) -> None:
    """Each bound by itself: the rest of the record is as it was written."""
    assert parsed(Sidecar, spoilt(TREES["control.tif.colvi.json"], place, fragment)) is None


def test_what_is_ok_has_a_diagnosis() -> None:
    """A record without one is of a rejected image, or none."""
    tree = TREES["rejected.tif.colvi.json"]

    assert parsed(Sidecar, spoilt(tree, ("status",), '"rejected"')) is not None
    assert parsed(Sidecar, spoilt(tree, ("status",), '"ok"')) is None


def test_more_patches_than_are_recorded_are_none(
    make_sidecar: MakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where neither their rows nor their columns are too many."""
    text = to_json(make_sidecar([[0.9, 0.1], [0.9, 0.1]]))
    assert parsed(Sidecar, text) is not None

    monkeypatch.setattr(sidecar_models, "MAX_PATCHES", 3)
    assert parsed(Sidecar, text) is None


@pytest.mark.parametrize("place", ["images", "status"])
def test_an_index_lists_each_image_once_and_says_what_became_of_them(place: str) -> None:
    """One that lists an image 65,536 times would have its files hashed as often."""
    tree = TREES["day.lif.colvi.json"]
    fragment = json.dumps([tree["images"][0]] * 2) if place == "images" else '"rejected"'

    assert parsed(Index, spoilt(tree, (place,), fragment)) is None


def test_a_flood_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too long is not even read, and more values than any record has never reach the parser."""
    long = tmp_path / "long.tif.colvi.json"
    with long.open("wb") as file:
        file.truncate(MAX_RECORD_BYTES + 1)
    assert read_record(Sidecar, long) is None

    tree = TREES["control.tif.colvi.json"] | {"later": "@"}
    floods = (
        ("MAX_VALUES", f"[{MAX_VALUES * '0,'}0]"),
        ("MAX_PARTS", f"[{MAX_PARTS * '[],'}0]"),
        ("MAX_PARTS", f"[{MAX_PARTS // 8 * '[[[[[[[[]]]]]]]],'}0]"),
        ("MAX_PARTS", "{" + ",".join(f'"{number}":0' for number in range(MAX_PARTS)) + "}"),
        ("MAX_PARTS", f"[{MAX_PARTS * '{},'}0]"),
    )
    for bound, flood in floods:
        text = json.dumps(tree).replace('"@"', flood).encode()
        assert len(text) < MAX_RECORD_BYTES
        assert parsed(Sidecar, text) is None
        with monkeypatch.context() as patch:
            patch.setattr(read_back, bound, MAX_RECORD_BYTES)
            assert parsed(Sidecar, text) is not None


# --- the folder


def write(folder: Path, raw: str, sidecar: Sidecar, notes: list[str]) -> Sidecar:
    """Write a result and keep what is noted."""
    blank = Shown(np.zeros((2, 128, 192), np.uint16), ("collagen", "nuclei"))
    with hold_folder(folder, "results") as folder_fd:
        return write_result(folder_fd, raw, sidecar, blank, lambda: None, note=notes.append).sidecar


def test_a_revision_at_its_bound_stays(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """It is read by databases and by readers of JSON; the result itself is new all the same."""
    notes: list[str] = []
    old = write(tmp_path, "x.tif", make_sidecar([[0.9]]), notes)
    path = tmp_path / "x.tif.colvi.json"
    path.write_bytes(to_json(old.model_copy(update={"revision": MAX_REVISION})))

    other = make_sidecar([[0.1]], result_id="0" * 32)
    new = write(tmp_path, "x.tif", other, notes)

    assert (new.revision, new.diagnosis) == (MAX_REVISION, "patient")
    assert read_sidecar(path) == new
    assert notes == []


@pytest.mark.parametrize("revision", [0, -1, MAX_REVISION + 1, 2**63, 2**64 - 1, 10**400])
def test_what_is_no_record_is_replaced_and_told_once(
    revision: int, tmp_path: Path, make_sidecar: MakeSidecar
) -> None:
    """The count begins anew; the next result finds a record in its place."""
    notes: list[str] = []
    sidecar = make_sidecar([[0.9]])
    write(tmp_path, "x.tif", sidecar, notes)
    assert notes == []
    path = tmp_path / "x.tif.colvi.json"
    path.write_bytes(path.read_bytes().replace(b'"revision": 1', b'"revision": %d' % revision))
    with hold_folder(tmp_path, "results") as folder_fd:
        assert read_result(folder_fd, "x.tif") is None

    assert write(tmp_path, "x.tif", sidecar, notes).revision == 1
    assert notes == ["in the place of a record that was damaged or none of this version"]
    write(tmp_path, "x.tif", sidecar, notes)
    assert len(notes) == 1


def test_a_table_counts_what_it_leaves_out(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """Sidecars that are none; an index is one of the records, though it has no row."""
    write(tmp_path, "x.tif", make_sidecar([[0.9]]), [])
    for number, text in enumerate((b"", b"[" * 10_000, b"{}")):
        (tmp_path / f"{number}.tif.colvi.json").write_bytes(text)
    (tmp_path / "day.lif.colvi.json").write_text(json.dumps(TREES["day.lif.colvi.json"]))

    assert write_table(tmp_path / "t.csv", {"": tmp_path}, table.result_csv) == 3
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == ["x.tif,control,1.000"]


def test_the_largest_record_is_within_its_bounds(make_sidecar: MakeSidecar) -> None:
    """As many patches as an image may have, in the shape that takes most room, with numbers that do so."""
    rows, cols = MAX_PATCHES // 8, 8
    numbers = np.random.default_rng(0).uniform(1e-8, 1e-7, (rows, cols)).astype(np.float32)
    text = to_json(make_sidecar(numbers))

    assert MAX_RECORD_BYTES / 2 < len(text) < MAX_RECORD_BYTES
    assert MAX_VALUES / 4 < text.count(b",") < MAX_VALUES
    assert MAX_PARTS / 8 < text.count(b"[") < MAX_PARTS / 2
    assert parsed(Sidecar, text) is not None


@given(st.text(max_size=20), st.integers(5, 20))
def test_a_text_is_cut_where_it_is_too_long(text: str, most: int) -> None:
    """To just so many characters, and so that it shows."""
    short = cut(text, most)

    assert len(short) <= most
    assert short == text if len(text) <= most else short.endswith(" ...") and text.startswith(short[:-4])
    assert len(cut("x" * (MAX_TEXT + 1))) == MAX_TEXT
