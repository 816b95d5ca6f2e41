"""No two results share a row key, whatever files and folders are called, in any list of several images.

The tree is made of names that one escape or another maps together: a line feed and a backslash with an n, a
formula and one behind an apostrophe, bytes that are no UTF-8 and their escape, names too long for a suffix.
"""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colvi_edge.cli.show.run import show_outcomes
from colvi_edge.outputs import table
from colvi_edge.outputs.names import OutputKind, output_name, record_label
from colvi_edge.outputs.sidecar import Sidecar, to_json
from colvi_edge.pipeline import Outcome
from colvi_edge.pipeline.inputs import InputFile, find_inputs
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.report.gather import Gatherer
from colvi_edge.report.samples import NamePattern

MakeSidecar = Callable[..., Sidecar]

ALIKE = [
    "a", "\n", r"\n", "\r", r"\r", "\\", r"\\", "\t", "=", "'", "'=", "+", "-", "@", '"', ",", " ", "\u00a0",
    r"\xa0",
    "\udcfc", r"\udcfc", "\u00e9", "e\u0301", "\u200b", r"\u200b", "\u202e", ".lif.0003-S", ".", "[S]",
]  # fmt: skip
"""Pieces of names; most are what escaping makes of another, or is left alone by it."""

NAMES = st.lists(st.sampled_from(ALIKE), min_size=1, max_size=4).map("".join)
SEEN = NAMES.filter(lambda name: name[0] != ".")
FOLDERS = st.lists(SEEN, max_size=2).map("/".join)
IMAGES = st.tuples(FOLDERS, SEEN, st.sampled_from([".tif", ".TIF", "~" * 300 + ".tif"]))


def file_name(start: str, end: str) -> str:
    """Return a name of a file that begins and ends so, as long as a name may be."""
    room = 255 - len(os.fsencode(start + ".tif"))
    return start + (end if len(end) < room else "~" * room + ".tif")


@contextmanager
def tree(images: list[tuple[str, str, str]]) -> Iterator[tuple[Path, list[Path]]]:
    """Make empty raw files in folders; give the folder of all, and the files."""
    top = Path(tempfile.mkdtemp())
    try:
        raws: dict[Path, None] = {}
        for folder, start, end in images:
            raw = top / folder / file_name(start, end)
            raw.parent.mkdir(parents=True, exist_ok=True)
            raw.touch()
            raws[raw] = None
        yield top, list(raws)
    finally:
        shutil.rmtree(top)


def rows_of(data: bytes) -> list[list[str]]:
    """Read a table as strictly as RFC 4180 is."""
    assert b"\r" not in data
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def leave_result(file: InputFile, make: MakeSidecar, key: str = "") -> Sidecar:
    """Write the sidecar of a raw file, as the pipeline names it and its image."""
    plain = make([[0.9]])
    image = plain.image.model_copy(update={"name": printable_name(file.name), "key": key})
    sidecar = plain.model_copy(update={"image": image})
    file.folder.mkdir(parents=True, exist_ok=True)
    (file.folder / output_name(file.name, OutputKind.SIDECAR, key)).write_bytes(to_json(sidecar))
    return sidecar


def keys_of_all_lists(files: list[InputFile], sidecars: list[Sidecar], results: Path) -> dict[str, list[Any]]:
    """Return the row keys of each output that lists several images."""
    folders = {file.place: file.folder for file in files}
    keys: dict[str, list[Any]] = {}
    for name, render, column in (("result", table.result_csv, 0), ("omero", table.omero_csv, -1)):
        path = results / f"{name}.csv"
        table.write_table(path, folders, render)
        keys[name] = [row[column] for row in rows_of(path.read_bytes())[1 if name == "result" else 2 :]]
        path.unlink()
    outcomes = [
        Outcome(file, sidecar, sidecar.image.key) for file, sidecar in zip(files, sidecars, strict=True)
    ]
    lines = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdout", lines)
        show_outcomes(outcomes, len(files), [], as_json=True)
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    keys["json"] = [(one["path"], one["image"].get("key", "")) for one in told]
    top = os.open(results, os.O_RDONLY)
    try:
        entries = Gatherer(NamePattern()).gather(top).entries
    finally:
        os.close(top)
    keys["report"] = [one.key for one in entries]
    return keys


@given(st.lists(IMAGES, min_size=2, max_size=8))
@example([("P01", "image_01", ".tif"), ("P02", "image_01", ".tif")])
@example([("", "a\nb", ".tif"), ("", r"a\nb", ".tif")])
@example([("", "=a", ".tif"), ("", "'=a", ".tif"), ("", "''=a", ".tif")])
@example([("=P", "a", ".tif"), ("'=P", "a", ".tif")])
@example([("", "\udcfc", ".tif"), ("", r"\udcfc", ".tif")])
@example([("\udcfc", "a", ".tif"), (r"\udcfc", "a", ".tif")])
@example([("", "a\n", "~" * 300), ("", r"a\n", "~" * 300)])
@settings(max_examples=60, deadline=None)
def test_no_two_results_share_a_row_key(
    make_sidecar: MakeSidecar, images: list[tuple[str, str, str]]
) -> None:
    """Beside the raw files and mirrored; each list has a row for every result."""
    with tree(images) as (top, raws), tempfile.TemporaryDirectory() as apart:
        for output_dir in (None, Path(apart)):
            files = find_inputs([top], output_dir)
            assert len(files) == len(raws)
            sidecars = [leave_result(file, make_sidecar) for file in files]
            for name, keys in keys_of_all_lists(files, sidecars, output_dir or top).items():
                assert len(keys) == len(raws), name
                assert len(set(keys)) == len(raws), name


@given(st.lists(IMAGES, min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_key_is_the_path(make_sidecar: MakeSidecar, images: list[tuple[str, str, str]]) -> None:
    """As the terminal escapes a name, doubled backslashes read back: the file can be found by its row."""
    with tree(images) as (top, raws):
        files = find_inputs([top])
        sidecars = [leave_result(file, make_sidecar) for file in files]
        keys = keys_of_all_lists(files, sidecars, top)
    wanted = {unambiguous_name(str(raw.relative_to(top))) for raw in raws}

    assert {path for path, _ in keys["json"]} == wanted
    whole = {path for path in wanted if len(path) < 200}  # else their records' names are cut
    assert whole <= set(keys["omero"])


@given(st.text(max_size=6), st.text(max_size=6))
@example("\n", r"\n")
@example("\udcfc", r"\udcfc")
@example("\\", "\\\\")
def test_names_that_differ_are_printed_so(one: str, other: str) -> None:
    """And what is printed is printable; a plain name stays as it is."""
    assert (unambiguous_name(one) == unambiguous_name(other)) == (one == other)
    assert unambiguous_name(one).isprintable()
    assert unambiguous_name("P01/M\u00fcller, 7.tif") == "P01/M\u00fcller, 7.tif"


def test_a_flat_folder_has_plain_names(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """As in the published program, however the folder is named: by itself, by a link, by its files."""
    folder = tmp_path / "day"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for name in ("a.tif", "-b.tif"):
        (folder / name).touch()
    for named in ([folder], [tmp_path / "link"], sorted(folder.glob("*.tif")), [folder / ".." / "day"]):
        files = find_inputs(named)
        sidecars = [leave_result(file, make_sidecar) for file in files]

        keys = keys_of_all_lists(files, sidecars, folder)

        assert sorted(keys["result"]) == ["'-b.tif", "a.tif"]
        assert sorted(keys["omero"]) == ["-b.tif", "a.tif"]


@pytest.mark.parametrize(
    ("named", "paths"),
    [
        (["."], ["data/P01/x.tif", "data/P02/x.tif", "data/P02/y/x.tif"]),
        (["data"], ["P01/x.tif", "P02/x.tif", "P02/y/x.tif"]),
        (["data/P01", "data/P02"], ["P01/x.tif", "P02/x.tif", "P02/y/x.tif"]),
        (["data/P02/y", "data/P01"], ["P01/x.tif", "P02/y/x.tif"]),
        (["data/P01/x.tif", "data/P02/x.tif"], ["P01/x.tif", "P02/x.tif"]),
        (["data/P02", "data/P02/y"], ["x.tif", "y/x.tif"]),
        (["data/P02/y/x.tif"], ["x.tif"]),
        (["to-y", "data/P02"], ["x.tif", "y/x.tif"]),
        (["to-y/../x.tif", "data/P01/x.tif"], ["P01/x.tif", "P02/x.tif"]),
    ],
)
def test_paths_start_from_the_common_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_sidecar: MakeSidecar,
    named: list[str],
    paths: list[str],
) -> None:
    """Of all that was named; links to it are followed, so that a folder reached twice is listed once."""
    for folder in ("data/P01", "data/P02", "data/P02/y"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.tif").touch()
    (tmp_path / "to-y").symlink_to("data/P02/y")
    monkeypatch.chdir(tmp_path)
    files = find_inputs(map(Path, named))
    sidecars = [leave_result(file, make_sidecar) for file in files]

    keys = keys_of_all_lists(files, sidecars, tmp_path)

    assert sorted(file.path for file in files) == paths
    assert sorted(keys["result"]) == sorted(keys["omero"]) == paths


def test_mirrored_results_are_named_by_their_place(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """Of two folders in one, and of earlier runs; a link in the mirror makes no second row."""
    for raw in ("one/P01/a.tif", "two/P01/b.tif", "two/P02/a.tif"):
        (tmp_path / raw).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / raw).touch()
    out = tmp_path / "out"
    (out / "P02").mkdir(parents=True)
    (out / "P01").symlink_to("P02")
    two = find_inputs([tmp_path / "one", tmp_path / "two" / "P02"], out)
    assert [file.path for file in two] == ["P02/a.tif", "a.tif"]
    for file in two:
        leave_result(file, make_sidecar)
    table.write_table(tmp_path / "t.csv", {file.place: file.folder for file in two}, table.result_csv)

    assert [row[0] for row in rows_of((tmp_path / "t.csv").read_bytes())[1:]] == ["a.tif", "P02/a.tif"]


def test_images_of_a_container_have_its_path_and_their_key(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """And a file that is named like one of them has another row; names in OMERO stay those that it knows."""
    keys = ["0000-S", "0001-S", "0002-'=x", "0003-a/b", "0004-" + "long" * 80]
    files, sidecars = [], []
    for folder in ("P01", "P02"):
        (tmp_path / folder).mkdir()
        for name in ("X.lif", "X.lif.0000-S.tif"):
            (tmp_path / folder / name).touch()
    for file in find_inputs([tmp_path]):
        for key in keys if file.name == "X.lif" else [""]:
            files.append(file)
            sidecars.append(leave_result(file, make_sidecar, key))

    found = keys_of_all_lists(files, sidecars, tmp_path)

    assert len(files) == 12
    for name, rows in found.items():
        assert len(set(rows)) == len(rows) == 12, name
    assert found["result"][:2] == ["P01/X.lif.0000-S", "P01/X.lif.0000-S.tif"]
    assert ("P01/X.lif", "0000-S") in found["json"]
    assert f"P02/X.lif.{keys[-1]}" in found["omero"]  # whole, though its record's name is cut
    assert ("P01", "X.lif.0000-S") in found["report"]


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "0003-S", "0004-S", "0004-=\n"])), unique=True))
def test_a_label_is_unique_in_its_folder(images: list[tuple[str, str]]) -> None:
    """Two records with one label would be one file."""
    records: dict[tuple[OutputKind, str], str] = {}
    for name, key in images:
        for kind in (OutputKind.SIDECAR, OutputKind.ERROR):
            record = output_name(name, kind, key)
            label = record_label(record, printable_name(name), key)
            assert records.setdefault((kind, label), record) == record


def test_one_image_is_told_once(tmp_path: Path, make_sidecar: MakeSidecar) -> None:
    """Where a crash left an error record beside a result, the newer of them counts."""
    (tmp_path / "a.tif").touch()
    (file,) = find_inputs([tmp_path])
    sidecar = leave_result(file, make_sidecar)
    error = {
        "error": {"kind": "axes", "message": "no"},
        "image": {"name": "a.tif"},
        "software": {"version": "1"},
    }
    for year, result in (("2020", "control"), ("2030", "error")):
        record = {**error, "created": f"{year}-01-01T00:00:00Z"}
        (tmp_path / "a.tif.colvi.error.json").write_text(json.dumps(record))
        top = os.open(tmp_path, os.O_RDONLY)
        gathered = Gatherer(NamePattern()).gather(top)
        os.close(top)

        assert [one.shown["result"] for one in gathered.entries] == [result]
        assert gathered.unread == 0
    assert sidecar.result_id == UUID("12345678-1234-5678-9234-567812345678")


def test_long_paths_are_bounded_on_the_page_and_still_differ(
    tmp_path: Path, make_sidecar: MakeSidecar
) -> None:
    """Their beginnings are alike; a page is not filled by names."""
    deep = "/".join(["x" * 200] * 4)
    for end in ("1", "2"):
        (tmp_path / deep / end).mkdir(parents=True)
        (tmp_path / deep / end / "a.tif").touch()
    files = find_inputs([tmp_path])
    keys = keys_of_all_lists(files, [leave_result(file, make_sidecar) for file in files], tmp_path)

    assert len(set(keys["report"])) == 2
    assert all(len(folder) < 500 for folder, _ in keys["report"])
