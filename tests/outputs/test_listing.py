"""`colvi-edge table`: every result of a folder, one row each, and safe to open."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import fmean

import pytest

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.errors import UnsafeFileError
from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.sidecar import Image, Model, QualityFlag, Sidecar, as_plain, to_json
from colvi_edge.pipeline.records import error_record
from colvi_edge.printable import printable_name

MakeSidecar = Callable[..., Sidecar]
Run = Callable[..., tuple[int, str, str]]

COLUMNS = (
    "path,status,diagnosis,score,votes_control,votes_patient,votes_tie,p_control_mean,coverage,quality,remarks,"
    "model,model_version,model_sha256,runtime,precision,result_id,created,raw_sha256,error_kind,error_message,"
    "intended_use"
)


def rows(text: str) -> dict[str, dict[str, str]]:
    """Return the rows of a table by their path; no two have one."""
    found = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len({row["path"] for row in found}) == len(found)
    return {row["path"]: row for row in found}


def named(name: str, key: str = "") -> Image:
    """Return an image of this name that is one patch high and three wide."""
    return Image(name=name, key=key, axes="YX", shape=[64, 192], sha256="5" * 64)


def test_each_image_has_its_row(tmp_path: Path, make_sidecar: MakeSidecar, run: Run) -> None:
    """Judged, rejected and failed ones, of two models and of a container, in folders and below them."""
    day = tmp_path / "P01" / "day"
    day.mkdir(parents=True)
    judged = make_sidecar([[0.9, 0.5, 0.1]], image=named("a.tif"))
    other = Model(name="lab", version="2.0", sha256="7" * 64)
    flag = QualityFlag(name="out_of_focus", severity="reject", words="Out of focus, indeed: 0.2 < 0.3.")
    rejected = make_sidecar(None, image=named("b.tif"), quality=[flag], model=other)
    of_container = make_sidecar([[0.9]], image=named("x.lif", "0003-Series 4"))
    failed = error_record("c.tif", UnsafeFileError("leads elsewhere, expected not", subject="c.tif"))
    (tmp_path / "a.tif.colvi.json").write_bytes(to_json(judged))
    (day / "b.tif.colvi.json").write_bytes(to_json(rejected))
    (day / "c.tif.colvi.error.json").write_bytes(to_json(failed))
    (day / "x.lif.0003-Series 4.colvi.json").write_bytes(to_json(of_container))

    code, out, err = run("table", tmp_path)

    found = rows(out)
    plain = as_plain(judged)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == COLUMNS
    assert list(found) == ["P01/day/b.tif", "P01/day/c.tif", "P01/day/x.lif.0003-Series 4", "a.tif"]
    assert found["a.tif"] == {
        "path": "a.tif",
        "status": "ok",
        "diagnosis": plain["diagnosis"],
        "score": str(plain["score"]),
        "votes_control": "1",
        "votes_patient": "1",
        "votes_tie": "1",
        "p_control_mean": str(round(fmean(plain["patches"]["p_control"][0]), 6)),
        "coverage": str(plain["coverage"]),
        "quality": "",
        "remarks": "",
        "model": plain["model"]["name"],
        "model_version": plain["model"]["version"],
        "model_sha256": plain["model"]["sha256"],
        "runtime": f"{plain['engine']['runtime']} {plain['engine']['version']}",
        "precision": plain["engine"]["precision"],
        "result_id": plain["result_id"],
        "created": judged.created.isoformat(timespec="seconds"),
        "raw_sha256": "5" * 64,
        "error_kind": "",
        "error_message": "",
        "intended_use": RESEARCH_USE_ONLY,
    }
    assert {key: word for key, word in found["P01/day/c.tif"].items() if word} == {
        "path": "P01/day/c.tif",
        "status": "error",
        "created": failed.created.isoformat(timespec="seconds"),
        "error_kind": "unsafe",
        "error_message": "c.tif: leads elsewhere, expected not",
    }
    unjudged = found["P01/day/b.tif"]
    assert (unjudged["status"], unjudged["diagnosis"], unjudged["score"]) == ("rejected", "", "")
    assert (unjudged["votes_control"], unjudged["p_control_mean"]) == ("", "")
    assert (unjudged["quality"], unjudged["remarks"]) == ("out_of_focus", flag.words)
    assert (unjudged["model"], unjudged["model_version"]) == ("lab", "2.0")


def test_a_file_named_gets_the_same_table(tmp_path: Path, make_sidecar: MakeSidecar, run: Run) -> None:
    """And the terminal a word of how many there are, and where."""
    (tmp_path / "a.tif.colvi.json").write_bytes(to_json(make_sidecar([[0.9]], image=named("a.tif"))))
    _, out, _ = run("table", tmp_path)

    code, said, _ = run("table", tmp_path, "-o", tmp_path / "made" / "all.csv")

    assert code == 0
    assert (tmp_path / "made" / "all.csv").read_text() == out
    assert said == f"1 image: {tmp_path}/made/all.csv\n"


def test_names_are_no_formulas_and_break_no_line(tmp_path: Path, make_sidecar: MakeSidecar, run: Run) -> None:
    """Of images, models and flags; nor does an error's sentence, which quotes what a file holds."""
    evil = "=cmd|' /C calc'!A0\n,\x1b[31m.tif"
    record = make_sidecar(
        [[0.9]],
        image=named("=1.tif"),
        model=Model(name="+1", version="-2", sha256="7" * 64),
        quality=[QualityFlag(name="@x", severity="warn", words="=1+1\n2")],
    )
    (tmp_path / "=1.tif.colvi.json").write_bytes(to_json(record))
    failed = error_record(evil, UnsafeFileError(f"=HYPERLINK(1) {evil}"))
    (tmp_path / f"{evil}.colvi.error.json".replace("/", "_")).write_bytes(to_json(failed))

    _, out, _ = run("table", tmp_path)

    found = rows(out)
    assert len(out.splitlines()) == 3
    assert all(c == "\n" or c.isprintable() for c in out)
    assert not [cell for row in found.values() for cell in row.values() if cell.startswith(tuple("=+-@"))]


def test_of_a_result_and_an_error_the_newer_counts(
    tmp_path: Path, make_sidecar: MakeSidecar, run: Run
) -> None:
    """They stand side by side only where something broke off; the image has one row all the same."""
    sidecar = make_sidecar([[0.9]], image=named("a.tif"))
    failed = error_record("a.tif", UnsafeFileError("no", subject="a.tif"))
    (tmp_path / "a.tif.colvi.json").write_bytes(to_json(sidecar))
    status = []
    for hours in (-1, 1):
        moved = failed.model_copy(update={"created": sidecar.created + timedelta(hours=hours)})
        (tmp_path / "a.tif.colvi.error.json").write_bytes(to_json(moved))
        status.append(rows(run("table", tmp_path)[1])["a.tif"]["status"])

    assert status == ["ok", "error"]


def test_what_cannot_be_read_is_counted(tmp_path: Path, make_sidecar: MakeSidecar, run: Run) -> None:
    """A damaged record, a link and another version are no rows, and told; the result before is no result."""
    sidecar = make_sidecar([[0.9]], image=named("a.tif"))
    (tmp_path / "a.tif.colvi.json").write_bytes(to_json(sidecar))
    (tmp_path / "a.tif.colvi.prev.json").write_bytes(to_json(sidecar))
    (tmp_path / "b.tif.colvi.json").write_bytes(to_json(sidecar)[:-20])
    (tmp_path / "c.tif.colvi.json").symlink_to("a.tif.colvi.json")
    later = json.dumps({**as_plain(sidecar), "schema": "colvi-edge.sidecar/9"})
    (tmp_path / "d.tif.colvi.json").write_text(later)

    code, out, err = run("table", tmp_path)

    assert code == 0
    assert list(rows(out)) == ["a.tif"]
    assert err.startswith("left out of the table: 3 records, damaged, of another version, or in a folder")


@pytest.mark.parametrize("there", [True, False])
def test_no_result_no_table(tmp_path: Path, run: Run, there: bool) -> None:
    """An empty folder, or none at all: exit code 2, one sentence, nothing for a pipe and no file."""
    folder = tmp_path / "data"
    if there:
        folder.mkdir()
        (folder / "x.tif").touch()

    code, out, err = run("table", folder, "-o", tmp_path / "all.csv")

    assert (code, out) == (2, "")
    assert ("found no result below" if there else "cannot be listed: No such file or directory") in err
    assert not (tmp_path / "all.csv").exists()


def test_a_raw_file_that_is_gone_is_told_of(tmp_path: Path, make_sidecar: MakeSidecar, run: Run) -> None:
    """Where others lie beside their results; where none does, the results may have gone elsewhere."""
    here = (("a.tif", ""), ("b\n.tif", ""), ("x.lif", "0003-S"), ("x.lif", "0004-T"))
    for folder, name, key in (*(("", *image) for image in here), ("out", "c.tif", "")):
        (tmp_path / folder).mkdir(exist_ok=True)
        record = make_sidecar([[0.9]], image=named(printable_name(name), key))
        (tmp_path / folder / output_name(name, OutputKind.SIDECAR, key)).write_bytes(to_json(record))
    (tmp_path / "a.tif").touch()
    (tmp_path / "b\n.tif").touch()

    code, out, err = run("table", tmp_path)

    assert (code, len(rows(out))) == (0, 5)
    assert err == "in the table, though the raw file is gone: 2 images (x.lif.0003-S, ...)\n"
    (tmp_path / "x.lif").touch()
    assert run("table", tmp_path)[2] == ""
