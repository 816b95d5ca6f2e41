"""`colvi-edge run` with several bundles: what is printed, listed and written, and what is refused."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from colvi_edge.bundle import demo_path
from colvi_edge.outputs.sidecar import json_schema
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify import CLASSES
from tests.tools.bundles import edit_config, rename

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return a bundle called `nuclei`, which decides as the demo does."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path / "bundles" / "other.colvi"))
    rename(bundle, "nuclei", "1.0")
    return bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two images and a broken file."""
    folder = tmp_path / "day"
    folder.mkdir()
    for number, label in enumerate(CLASSES):
        raw = folder / f"P0{number}_2026-11-20.tif"
        write_imagej(raw, simulate_projection(label, 3, size_px=256))
    (folder / "bad.tif").write_bytes(b"no image\n" * 20)
    return folder


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the records of --json."""
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_printed_has_a_part_for_each(folder: Path, other: Path, run: Run) -> None:
    """Headed by bundle and names; of one bundle there is no heading, and nothing else is otherwise."""
    _, alone, _ = run("run", folder, "--bundle", "demo", "--again")
    code, both, _ = run("run", folder, "--bundle", "demo", "--bundle", other, "--again")

    assert code == 1
    first, second = both.split("nuclei 1.0, X.nuclei.colvi.*\n\n")
    heading = "colvi-edge synthetic demo model 1.0.0, X.colvi.*\n\n"
    assert first.startswith(heading)
    table, _, rest = alone.partition("\n2 results ")
    assert first == f"{heading}{table}\n\n"
    assert second.startswith(table)
    assert second == alone.replace("2 results beside", "4 results beside")
    assert "X." not in alone
    assert rest


def test_json_tells_whose_result_it_is(folder: Path, other: Path, run: Run) -> None:
    """By `slot`, errors too; the first bundle's lines lack it."""
    code, out, _ = run("run", folder, "--bundle", "demo", "--bundle", other, "--json")

    lines = lines_of(out)
    assert code == 1
    assert sorted((line["path"], line.get("slot", ""), line["status"]) for line in lines) == [
        ("P00_2026-11-20.tif", "", "ok"),
        ("P00_2026-11-20.tif", "nuclei", "ok"),
        ("P01_2026-11-20.tif", "", "ok"),
        ("P01_2026-11-20.tif", "nuclei", "ok"),
        ("bad.tif", "", "error"),
        ("bad.tif", "nuclei", "error"),
    ]
    for line in lines:
        Draft202012Validator(json_schema()).validate({key: line[key] for key in line.keys() - {"path"}})


def test_tables_and_page(folder: Path, other: Path, run: Run, tmp_path: Path) -> None:
    """The published tables are of the first bundle; `table` and the page have all, and never mix them up."""
    places = [tmp_path / name for name in ("r.csv", "o.csv", "page.html")]
    options = ("--result-csv", places[0], "--omero-csv", places[1], "--report", places[2])
    _, out, _ = run("run", folder, "--bundle", "demo", "--bundle", other, *options)

    names = ["P00_2026-11-20.tif", "P01_2026-11-20.tif"]
    rows = [list(csv.reader(place.read_text().splitlines())) for place in places[:2]]
    assert [row[0] for row in rows[0][1:]] == names
    assert [row[-1] for row in rows[1][2:]] == names
    _, text, _ = run("table", folder)
    listed = {row["path"]: row for row in csv.DictReader(text.splitlines())}
    assert {path: row["model"] for path, row in listed.items() if row["status"] == "ok"} == {
        **dict.fromkeys(names, "colvi-edge synthetic demo model"),
        **dict.fromkeys([f"{name}.nuclei" for name in names], "nuclei"),
    }
    assert {path for path, row in listed.items() if row["status"] == "error"} == {"bad.tif", "bad.tif.nuclei"}
    assert "6 results on one page" in out
    data = re.search(r'id="data">(.*?)</script>', places[2].read_text(), re.DOTALL)
    assert data
    shown = json.loads(data[1])["images"]
    assert sorted((one["name"], one.get("slot", "")) for one in shown) == sorted(
        (f"{name}.{slot}" if slot else name, slot) for name in [*names, "bad.tif"] for slot in ("", "nuclei")
    )
    _, told, _ = run("report", folder, "-o", places[2])
    assert "models" not in told  # no result takes the place of the other bundle's


def test_a_table_of_diagnoses_without_any_is_told(folder: Path, run: Run, tmp_path: Path) -> None:
    """Where the first bundle outlines nuclei the published table has no row, and it is said why."""
    (folder / "bad.tif").unlink()
    table = tmp_path / "r.csv"
    code, _, err = run("run", folder, "--bundle", "demo-nuclei", "--result-csv", table)

    assert code == 0
    assert table.read_text() == "image_name,prediction,probability\n"
    assert f"no row of synthetic demo nuclei 1.0.0 in {table}: it gives no diagnosis; " in err

    code, _, err = run("run", folder, "--bundle", "demo", "--again", "--result-csv", table)
    assert code == 0
    assert "no row" not in err
    assert len(table.read_text().splitlines()) == 3


def test_a_variable_names_several_as_path_does(
    folder: Path, other: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with blanks in a path, by which --limit is separated; what is told says where it came from."""
    spaced = other.rename(other.with_name("a b.colvi"))
    monkeypatch.setenv("COLVI_EDGE_BUNDLE", f"demo{os.pathsep}{spaced}")
    code, _, err = run("run", folder / "P00_2026-11-20.tif")
    assert code == 0
    assert err == "From the environment: --bundle (COLVI_EDGE_BUNDLE)\n"
    assert (folder / "P00_2026-11-20.tif.nuclei.colvi.json").exists()

    monkeypatch.setenv("COLVI_EDGE_BUNDLE", f"demo{os.pathsep}nowhere")
    code, _, err = run("run", folder)
    assert code == 4
    assert "nowhere is not a folder" in err
    assert err.rstrip().endswith("(--bundle is from COLVI_EDGE_BUNDLE)")


def test_a_rehearsal_says_what_then_is_done(folder: Path, other: Path, run: Run) -> None:
    """By each bundle for itself: one's result stands, the other's does not."""
    both = ("--bundle", "demo", "--bundle", other)
    run("run", folder, "--bundle", "demo")

    _, planned, _ = run("run", folder, *both, "--stale", "--dry-run", "--json")
    _, words, _ = run("run", folder, *both, "--stale", "--dry-run")
    _, done, _ = run("run", folder, *both, "--stale", "--json")

    would = {(one["path"], one.get("slot", "")): one["would_be"] for one in lines_of(planned)}
    did = {
        (one["path"], one.get("slot", "")): "kept"
        if one.get("kept")
        else "refused"
        if one["status"] == "error"
        else "judged"
        for one in lines_of(done)
    }
    assert would == did
    assert set(would.values()) == {"kept", "judged", "refused"}
    assert "3 images, each by 2 bundles, would be: 2 judged, 2 kept, 2 refused" in words


def test_what_does_not_go_together_is_refused(folder: Path, other: Path, run: Run, tmp_path: Path) -> None:
    """Before anything is judged; in one sentence and with exit code 2."""
    again = Path(shutil.copytree(other, tmp_path / "bundles" / "again.colvi"))
    edit_config(again, familiarity=None)
    rename(again, "Nuclei", "2.0")
    shutil.copy(folder / "P00_2026-11-20.tif", folder / "P00_2026-11-20.tif.nuclei")
    named = (folder / "P00_2026-11-20.tif", folder / "P00_2026-11-20.tif.nuclei")
    for words, sentence in (
        (
            (folder, "--bundle", "demo", "--bundle", "demo"),
            r"--bundle demo: .* is given twice; name each bundle once",
        ),
        (
            (folder, "--bundle", "demo", "--bundle", other, "--bundle", again),
            r"found 'nuclei' and 'Nuclei', which ",
        ),
        ((*named, "--bundle", "demo", "--bundle", other), r"would both leave .*\.tif\.nuclei\.colvi\.\*; "),
    ):
        code, out, err = run("run", *words)
        assert (code, out) == (2, "")
        assert re.search(sentence, err)
    assert not list(folder.glob("*.colvi.*"))


def test_doctor_compares_with_each(folder: Path, other: Path, run: Run) -> None:
    """An image that one bundle rejects may be familiar to another."""
    image = folder / "P00_2026-11-20.tif"
    _, one, _ = run("doctor", "--image", image)
    _, both, _ = run("doctor", "--image", image, "--bundle", "demo", "--bundle", other)

    assert both.startswith(one.rstrip("\n").rsplit("\n", 1)[0])
    assert "compared with nuclei 1.0" in " ".join(both.split())
