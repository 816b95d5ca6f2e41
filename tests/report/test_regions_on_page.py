"""The page and the table of a folder whose images hold regions and objects, alone and beside diagnoses."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from colvi_edge.report.listing import list_results
from colvi_edge.report.page_of_folder import Report
from tests.tools.segmentations import PIXEL_UM, classes_of, leave, record_of, segmented

NAMES = ("P01_2026-11-10.tif", "P01_2026-11-11.tif", "P02_2026-11-10.tif")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three segmented images: two with objects, of which one has an unknown scale."""
    folder = tmp_path_factory.mktemp("measured")
    for number, name in enumerate(NAMES):
        result = segmented(classes_of(), None if number == 1 else PIXEL_UM, with_objects=number < 2)
        leave(folder, record_of(result, name, result_id=UUID(int=number + 1)), result)
    return folder


@pytest.fixture(scope="module")
def mixed(measured: Path, copy_result: Callable[..., Any]) -> Path:
    """Return the same folder with diagnoses beside them."""
    copy_result("patient", measured / "also" / "P03_2026-11-10.tif")
    copy_result("control", measured / "also" / "P03_2026-11-11.tif")
    return measured


def test_an_entry_tells_what_was_found(
    measured: Path, tmp_path: Path, take_apart: Callable[[Path], Any]
) -> None:
    """In words, by class, and with the middle of the diameters; the preview is the picture with its lines."""
    Report(measured, tmp_path / "report.html").write()
    images = take_apart(tmp_path / "report.html").images
    first, second, third = (images[name] for name in NAMES)
    record = json.loads((measured / f"{NAMES[0]}.colvi.json").read_bytes())

    assert first["result"] == "measured"
    assert first["answer"] == "13 nuclei, 7 vesicles"
    assert first["preview"].startswith("data:image/webp")
    for told, region in zip(first["regions"], record["regions"], strict=True):
        assert told[0] == region["name"]
        assert told[2:4] == [region["share"], region["area_um2"]]
    assert (first["objects"], first["at_border"]) == (20, 20 - record["objects"]["counted"])
    assert first["diameter"][0] == f"{record['objects']['diameter_um']['median']:.3g} \u00b5m"
    assert second["diameter"][0].endswith(" px")
    assert second["regions"][0][3] is None
    assert "objects" not in third
    assert third["regions"][0][4] is None
    assert not {"score", "votes", "patches", "task"} & first.keys()


def test_the_table_of_the_folder_holds_both(mixed: Path) -> None:
    """A row an image, whatever it was asked."""
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(list_results(mixed).table.decode()))}

    assert len(rows) == 5
    assert rows[NAMES[0]]["objects_nucleus"] == "13"
    assert rows[NAMES[1]]["diameter_um_median"] == ""
    assert rows[NAMES[2]]["objects_nucleus"] == ""
    assert float(rows[NAMES[2]]["share_vesicle"]) == float(rows[NAMES[0]]["share_vesicle"])
    diagnosed = rows["also/P03_2026-11-10.tif"]
    assert (diagnosed["diagnosis"], diagnosed["share_nucleus"]) == ("patient", "")


def test_who_makes_the_page_hears_of_no_rivals(mixed: Path, tmp_path: Path) -> None:
    """Two models that were asked different questions are none; two that were asked the same are."""
    report = Report(mixed, tmp_path / "report.html")
    report.write()
    assert report.contents.models == 1

    result = segmented(classes_of())
    other = record_of(result, "P04_2026-11-10.tif")
    folder = tmp_path / "other"
    folder.mkdir()
    leave(folder, other, result)
    rival = other.model.model_copy(update={"sha256": "0" * 64})
    leave(folder, record_of(result, "x.tif", model=rival), result)
    report = Report(folder, tmp_path / "other.html")
    report.write()
    assert report.contents.models == 2


@pytest.mark.chromium
def test_a_page_of_regions_alone_speaks_of_no_scores(
    tmp_path: Path, chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cards with what was found, a table of it, no bands, no trend; and the viewer tells of each class."""
    folder = tmp_path_factory.mktemp("alone")
    for number, name in enumerate(NAMES):
        result = segmented(classes_of()[:, : 160 - 60 * number])
        leave(folder, record_of(result, name), result)
    Report(folder, folder / "report.html").write()
    chromium.resize(width=1280, height=900)
    chromium.open("about:blank")
    chromium.events.clear()
    chromium.open((folder / "report.html").as_uri())

    def texts(selector: str) -> list[str]:
        return list(
            chromium.ask(f"[...document.querySelectorAll('{selector}')].map((one) => one.textContent)")
        )

    assert texts("#glance button") == ["0rejected", "0error", "3measured"]
    assert texts(".card .answer")[0] == "13 nuclei, 7 vesicles"
    assert chromium.ask("document.querySelectorAll('.card img').length") == 3
    assert chromium.ask("document.getElementById('trends').hidden")
    assert "score" not in " ".join(texts("thead th"))
    assert texts("#legend") == ["nucleusvesicle"]
    chromium.ask("sortBy('objects')")
    counts = [int(words.split()[0]) for words in texts("td[data-of=objects]")]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    chromium.click(".card")
    facts = " ".join(texts("#facts dd"))
    assert "objects" in facts
    assert "\u00b5m\u00b2" in facts
    assert "median " in facts
    assert "nucleus" in texts("#bands")[0]
    assert chromium.complaints() == []


@pytest.mark.chromium
def test_a_mixed_page_shows_both(mixed: Path, tmp_path: Path, chromium: Any) -> None:
    """Scores and what was found stand in one table; the trend is of the scores alone."""
    Report(mixed, tmp_path / "report.html").write()
    chromium.resize(width=1280, height=900)
    chromium.open("about:blank")
    chromium.events.clear()
    chromium.open((tmp_path / "report.html").as_uri())

    assert chromium.ask("document.querySelectorAll('.card').length") == 5
    heads = chromium.ask("[...document.querySelectorAll('thead th')].map((one) => one.textContent).join('|')")
    assert "found" in heads
    assert "score" in heads
    assert not chromium.ask("document.getElementById('trends').hidden")
    assert chromium.ask("document.querySelectorAll('#trend .chart').length") == 1
    notices = chromium.ask("document.getElementById('notices').textContent")
    assert "--stale" not in notices
    assert chromium.complaints() == []
