"""The page of a folder that several bundles judged: what they found in one image stands together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from colvi_edge.acquisition import Provenance
from colvi_edge.outputs.intact import index_entry
from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.sidecar import to_json
from colvi_edge.pipeline.records import index_record
from colvi_edge.report.listing import list_results
from colvi_edge.report.page_of_folder import Report
from tests.tools.segmentations import PIXEL_UM, classes_of, leave, record_of, segmented

NAMES = ("P01_2026-11-10.tif", "P01_2026-11-11.tif")
ALONE = "P02_2026-11-10.tif"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, copy_result: Callable[..., Any]) -> Path:
    """Return the page of two images with a diagnosis and nuclei, and of one with nuclei alone."""
    folder = tmp_path_factory.mktemp("several")
    for number, name in enumerate((*NAMES, ALONE)):
        if name != ALONE:
            copy_result("patient" if number else "control", folder / name)
        result = segmented(classes_of(), PIXEL_UM)
        leave(folder, record_of(result, name, result_id=UUID(int=number + 1), slot="nuclei"), result)
    page = folder / "report.html"
    Report(folder, page).write()
    return page


def test_an_entry_has_its_slot(page: Path, take_apart: Callable[[Path], Any]) -> None:
    """And a name of its own, which no other image or slot has."""
    images = take_apart(page).images

    assert {name: image.get("slot") for name, image in images.items()} == {
        **dict.fromkeys(NAMES),
        **{f"{name}.nuclei": "nuclei" for name in (*NAMES, ALONE)},
    }


def test_what_only_looks_like_an_index_is_told(tmp_path: Path, take_apart: Callable[[Path], Any]) -> None:
    """Images called as a file of several is; an index, in any slot, is no image and no damaged record."""
    names = ("X.lif.tif", "X.lif.TIFF", "X.lif.nuclei.tif")
    keys = ("0003-A.lif.Raw", "0004-B.lif")
    result = segmented(classes_of(), PIXEL_UM)
    for number, (name, key) in enumerate(
        [*((name, "") for name in names), *(("Y.lif", key) for key in keys)]
    ):
        record = record_of(result, name, result_id=UUID(int=number + 1))
        record = record.model_copy(update={"image": record.image.model_copy(update={"key": key})})
        leave(tmp_path, record, result)
    source = Provenance(1234, "5" * 64, "", ())
    for raw in ("Y.lif", "Y.lif.0003-A.lif", f"{'long' * 60}.lif"):
        for slot in ("", "nuclei"):
            index = index_record(raw, source, [index_entry(raw, record, to_json(record))], slot)
            (tmp_path / output_name(raw, OutputKind.SIDECAR, slot=slot)).write_bytes(to_json(index))
    page = tmp_path / "report.html"
    report = Report(tmp_path, page)
    report.write()

    assert set(take_apart(page).images) == {*names, *(f"Y.lif.{key}" for key in keys)}
    assert report.contents.unread == 0
    listing = list_results(tmp_path)
    assert (listing.images, listing.unread) == (5, 0)


@pytest.mark.chromium
def test_one_card_an_image(page: Path, chromium: Any) -> None:
    """With what each bundle found; the further result is a step away, and alone where it is filtered for."""
    chromium.resize(1280, 900)
    chromium.open("about:blank")
    chromium.events.clear()
    chromium.open(page.as_uri())
    cards = "[...document.querySelectorAll('.card')].map((card) => card.innerText)"

    together = set(chromium.ask(cards))
    assert len(together) == 3
    for word in ("control", "patient"):
        (card,) = (text for text in together if word in text)
        assert "nuclei: 13 nuclei, 7 vesicles" in card
    assert chromium.ask("document.querySelectorAll('#rows tr').length") == 3
    assert chromium.ask("document.getElementById('shown').textContent") == "5 results"

    chromium.ask("document.querySelector('[data-result=measured]').click()")
    assert sorted(text.count("nuclei: ") for text in chromium.ask(cards)) == [0, 0, 0]
    chromium.ask("document.querySelector('[data-result=measured]').click()")

    chromium.ask(f"view(images.find((one) => one.name === '{NAMES[0]}'))")
    chromium.ask("document.querySelector('#facts button').click()")
    assert chromium.ask("document.getElementById('viewer-name').textContent") == f"{NAMES[0]}.nuclei"
    assert chromium.ask("document.querySelector('#facts button').textContent").startswith("first: control, ")
    assert chromium.complaints() == []


@pytest.mark.chromium
def test_what_measures_has_no_place_among_scores(
    tmp_path: Path, chromium: Any, copy_result: Callable[..., Any]
) -> None:
    """Neither where its images were rejected nor where they could not be read; others keep their cross."""
    result = segmented(classes_of(), PIXEL_UM)
    nothing = {"status": "rejected", "regions": None, "objects": None, "slot": "nuclei"}
    copy_result("control", tmp_path / NAMES[0])
    copy_result("rejected", tmp_path / NAMES[1])
    leave(tmp_path, record_of(result, NAMES[0], result_id=UUID(int=1), **nothing), None)
    leave(tmp_path, record_of(result, ALONE, result_id=UUID(int=2), **nothing), None)
    error = copy_result("error", tmp_path / NAMES[1])
    (tmp_path / f"{NAMES[1]}.colvi.error.json").unlink()
    (tmp_path / f"{NAMES[1]}.nuclei.colvi.error.json").write_text(json.dumps(error | {"slot": "nuclei"}))
    page = tmp_path / "report.html"
    Report(tmp_path, page).write()
    chromium.open(page.as_uri())

    assert chromium.ask("document.getElementById('shown').textContent") == "5 results"
    samples = "[...document.querySelectorAll('.chart')].map((chart) => chart.dataset.sample)"
    assert chromium.ask(samples) == ["P01"]
    crosses = "[...document.querySelectorAll('.unjudged')].map((cross) => cross.textContent)"
    assert chromium.ask(crosses) == ["2026-11-11: 1 without a score"]
    assert "no course" not in chromium.ask("document.getElementById('trend-words').textContent")
    assert chromium.complaints() == []
