"""The page of a folder that several bundles judged: what they found in one image stands together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

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
