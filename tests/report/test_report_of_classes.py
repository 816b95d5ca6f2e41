"""The page of results of other classes, in a real browser: words, colours, votes and tips are theirs."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colvi_edge.outputs.picture import overlay
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Image, Model, OutputFile, Sidecar, to_json
from colvi_edge.report.listing import list_results
from colvi_edge.report.page_of_folder import Report
from tests.tools.cells import MAJORITY, config_of, sidecar_of

TISSUES = (
    "adipose",
    "background",
    "debris",
    "lymphocytes",
    "mucus",
    "muscle",
    "normal mucosa",
    "stroma",
    "tumour",
)
MUSCLE = config_of(("healthy", "ill"), {"rule": "share", "of": "healthy", "above": 0.1}, "slice")
CHEST = config_of(("normal", "pneumonia"), {"rule": "threshold", "of": "pneumonia", "at_least": 0.5}, "image")
PATCHES = config_of(TISSUES, MAJORITY)
SCREEN = {"width": 1280, "height": 900}


def stored(folder: Path, name: str, kept: Any, config: Any, model: str) -> Sidecar:
    """Leave a result with its overlay."""
    folder.mkdir(exist_ok=True)
    first = sidecar_of(kept, config)
    assert first.image.shape is not None
    height, width = first.image.shape[1:]
    shown = Shown(np.full((2, height, width), 7, np.uint16), ("collagen", "nuclei"))
    picture = overlay.encode(overlay.draw_shown(first, shown), first)
    (folder / f"{name}.colvi.png").write_bytes(picture)
    sidecar = sidecar_of(
        kept,
        config,
        outputs=[OutputFile(name=f"{name}.colvi.png", sha256=hashlib.sha256(picture).hexdigest())],
        model=Model(name=model, version="1.0", sha256=hashlib.sha256(model.encode()).hexdigest()),
        image=Image(**{**dict(first.image), "name": name}),
    )
    (folder / f"{name}.colvi.json").write_bytes(to_json(sidecar))
    return sidecar


def fill(folder: Path) -> None:
    """Leave nine tissues, two chests on two days, and a stack."""
    likely = np.full((1, 3, 4, 9), 0.02)
    for number, place in enumerate([8, 8, 8, 8, 8, 6, 6, 0, 1, 2, 3, 4]):
        likely[0, number // 4, number % 4, place] = 0.8
    stored(folder, "P01_2026-11-03_slide.tif", likely, PATCHES, "tissue")
    stored(folder, "P02_2026-11-03_chest.tif", [[[[0.9, 0.1]]]], CHEST, "chest")
    stored(folder, "P02_2026-11-10_chest.tif", [[[[0.25, 0.75]]]], CHEST, "chest")
    slices = [[[[0.9, 0.1]]]] * 2 + [[[[0.2, 0.8]]]] * 8
    stored(folder, "P03_2026-11-03_thigh.tif", slices, MUSCLE, "thigh")


def told(folder: Path) -> dict[str, Any]:
    """Return what the page of a folder tells its script."""
    Report(folder, folder / "report.html").write()
    text = (folder / "report.html").read_text()
    return dict(json.loads(text.partition('id="data">')[2].partition("</script>")[0]))


def test_each_image_is_told_by_its_own_classes(tmp_path: Path) -> None:
    """What was asked stands once for all images of a bundle."""
    fill(tmp_path)
    data = told(tmp_path)
    images = {one["name"]: one for one in data["images"]}

    assert len(data["tasks"]) == 3
    slide = images["P01_2026-11-03_slide.tif"]
    task = data["tasks"][slide["task"]]
    assert (task["classes"], task["scored"], task["of"], task["cell"]) == (
        list(TISSUES), "100 = all agree", "", "patch",
    )  # fmt: skip
    assert slide["votes"] == [1, 1, 1, 1, 1, 0, 2, 0, 5, 0]
    assert slide["classed"] == [8, 8, 8, 8, 8, 6, 6, 0, 1, 2, 3, 4]
    assert slide["p"] == [800] * 12
    assert images["P02_2026-11-10_chest.tif"]["likely"] == [250, 750]
    thigh = images["P03_2026-11-03_thigh.tif"]
    assert (thigh["result"], thigh["votes"], "patches" in thigh) == ("healthy", [2, 8, 0], False)


def test_a_folder_of_the_assay_alone_has_no_other_task(judged: Path, tmp_path: Path) -> None:
    """Its page is told what it always was."""
    Report(judged, tmp_path / "report.html").write()
    text = (tmp_path / "report.html").read_text()

    assert json.loads(text.partition('id="data">')[2].partition("</script>")[0])["tasks"] == []


def test_the_table_has_the_columns_of_all(tmp_path: Path) -> None:
    """Those of the assay first, then a class at a time; empty where an image has none of them."""
    fill(tmp_path)
    rows = list(csv.DictReader(io.StringIO(list_results(tmp_path).table.decode())))

    slide, normal, ill, thigh = sorted(rows, key=lambda row: row["path"])
    assert (slide["votes_tumour"], slide["votes_normal mucosa"], slide["votes_ill"]) == ("5", "2", "")
    assert (normal["votes_normal"], ill["p_pneumonia_mean"]) == ("1", "0.75")
    assert (thigh["votes_healthy"], thigh["votes_tie"], thigh["votes_control"]) == ("2", "0", "")


@pytest.mark.chromium
def test_a_browser_shows_their_words_and_colours(tmp_path: Path, chromium: Any) -> None:
    """Buttons of those classes that there are, cards with their bar, and a tip that names the class."""
    fill(tmp_path)
    told(tmp_path)
    chromium.resize(**SCREEN)
    chromium.open("about:blank")
    chromium.events.clear()
    chromium.open((tmp_path / "report.html").as_uri())

    def texts(selector: str) -> list[str]:
        return list(
            chromium.ask(f"[...document.querySelectorAll('{selector}')].map((one) => one.textContent)")
        )

    names = chromium.ask("[...document.querySelectorAll('#glance button')].map((one) => one.dataset.result)")
    assert names[:3] == ["unsure", "rejected", "error"]
    assert sorted(names[3:]) == ["healthy", "normal", "pneumonia", "tumour"]
    assert "control" not in " ".join(texts("#glance, #legend, #rows"))
    chromium.click("#glance [data-result=tumour]")
    assert texts("#rows .open") == ["P01_2026-11-03_slide.tif"]
    assert chromium.ask("document.querySelector('.card .bands').title").startswith(
        "adipose: 1; background: 1"
    )
    assert texts("#rows .votes") == ["5 tumour, 2 normal mucosa, 1 adipose, \u2026"]
    chromium.click("#rows .open")
    chromium.until("document.querySelector('#picture img')?.complete")
    place = chromium.point("#picture", 0.4, 0.5)
    chromium.mouse("mouseMoved", place)
    row, voted, likely = texts("#tip > *")
    assert (row, likely) == ("row 1, col 1", "largest probability 0.800")
    assert voted.endswith("normal mucosa")
    assert "tumour5" in texts("#bands")[0]
    chromium.click("#close")
    chromium.click("#clear")
    drawn = chromium.ask("[...document.querySelectorAll('#trend .chart')].map((one) => one.dataset.sample)")
    assert drawn == ["P02", "P03"]  # the score of nine classes says how many agree, and has no course
    assert chromium.complaints() == []
    for size in (SCREEN, {"width": 390, "height": 844, "scale": 2, "mobile": True}):
        chromium.resize(**size)
        assert chromium.ask("document.documentElement.scrollWidth <= innerWidth")
