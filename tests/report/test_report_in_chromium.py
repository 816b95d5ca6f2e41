"""The page in a real browser: what somebody who looks at it sees, finds and clicks."""

import json
import select
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.report.page_of_folder import Report

pytestmark = pytest.mark.chromium

DATES = ("2026-06-09", "2026-07-07", "2026-08-04", "2026-09-01", "2026-09-29")
PHONE = {"width": 390, "height": 844, "scale": 2, "mobile": True}
SMALL_PHONE = {"width": 320, "height": 568, "mobile": True}
SCREEN = {"width": 1280, "height": 900}
PROJECTORS = ({"width": 1920, "height": 1080}, {"width": 3840, "height": 2160})


def plan() -> dict[str, dict[str, Any]]:
    """Return 60 images of 12 samples on 5 dates by name, with what is to be changed in a judged record.

    S00 has no repeats, S01 four images on one day; scores rise by the date.
    """
    images: dict[str, dict[str, Any]] = {}
    for sample in range(12):
        for number in range(5):
            day = 2 if sample == 1 and number < 4 else number
            of = "patient" if number < 3 else "control"
            control = 1 + 5 * number + sample // 6
            images[f"S{sample:02}_{DATES[day]}_{number}.tif"] = {"of": of, "control": control}
    for name in ("S02_2026-06-09_0.tif", "S03_2026-06-09_0.tif"):
        images[name] = {"of": "rejected"}
    images["S04_2026-06-09_0.tif"] = {"of": "error"}
    images["S05_2026-06-09_0.tif"] = {"of": "patient", "control": 12, "ties": 1}
    return images


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, copy_result: Callable[..., Any]) -> Path:
    """Return a folder with the results of `plan`, and report.html."""
    folder = tmp_path_factory.mktemp("results")
    for name, changes in plan().items():
        copy_result(changes.pop("of"), folder / name, **changes)
    Report(folder, folder / "report.html").write()
    return folder


@pytest.fixture
def page(results: Path, chromium: Any) -> Any:
    """Return the browser with the page of `results` open; it must not complain nor ask any network."""
    chromium.resize(**SCREEN)
    chromium.open("about:blank")
    chromium.events.clear()
    chromium.open((results / "report.html").as_uri())
    yield chromium
    assert chromium.complaints() == []
    assert {url.partition(":")[0] for url in chromium.requests()} <= {"file", "data", "about"}


def test_names_have_room(tmp_path: Path, chromium: Any, copy_result: Callable[..., Any]) -> None:
    """In the table in one line; on cards before their folder, of which two are never shown alike."""
    deep = "a folder with a long name of its own/another/of which every name is long"
    folders = [f"{deep}/{letter}/the same end of both of them" for letter in "AB"]
    for folder in folders:
        copy_result("patient", tmp_path / folder / "patient_7_0003.tif")
    once = "only once, but in a folder of a long name"
    copy_result("control", tmp_path / once / "control_7_0001.tif")
    copy_result("control", tmp_path / "control_7_0002.tif")
    Report(tmp_path, tmp_path / "report.html").write()

    def lines(selector: str) -> list[int]:
        return list(
            chromium.ask(
                f"[...document.querySelectorAll('{selector}')].map((one) => Math.round("
                "one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).lineHeight)))"
            )
        )

    for size in (SCREEN, PHONE):
        chromium.resize(**size)
        chromium.open((tmp_path / "report.html").as_uri())
        cards = chromium.ask("[...document.querySelectorAll('.card .text')].map((one) => one.textContent)")
        assert len(set(cards)) == 4
        assert set(lines(".card .name")) == {1}
        places = chromium.ask("[...document.querySelectorAll('.card .place')].map((one) => one.textContent)")
        assert sorted(places) == sorted([*folders, f"{once[:12]}\u2026{once[-23:]}"])
        titles = chromium.ask("[...document.querySelectorAll('.card .place')].map((one) => one.title)")
        assert f"{folders[0]}/patient_7_0003.tif" in titles
    chromium.resize(**SCREEN)
    short = chromium.ask(
        "[...document.querySelectorAll('#rows .open')].filter((one) => !one.textContent.includes('/'))"
        ".map((one) => [one.textContent, Math.round(one.getBoundingClientRect().height / "
        "parseFloat(getComputedStyle(one).lineHeight))])"
    )
    assert short == [["control_7_0002.tif", 1]]
    heads = chromium.ask("[...document.querySelectorAll('#head th')].map((one) => one.dataset.sort)")
    assert not {"sample", "date"} & set(heads)  # nothing would stand there


def cells(page: Any, column: int) -> list[str]:
    """Return the texts of a column of the table."""
    script = f"[...document.querySelectorAll('#rows tr')].map((row) => row.children[{column}].textContent)"
    return list(page.ask(script))


def text(page: Any, selector: str) -> str:
    """Return what an element says."""
    return str(page.ask(f"document.querySelector({json.dumps(selector)}).textContent"))


def boxes(page: Any, selector: str) -> list[list[float]]:
    """Return where elements are seen: left, top, right and bottom of each, in CSS pixels of the window."""
    script = (
        f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.getBoundingClientRect())"
    )
    return list(page.ask(f"{script}.map(({{left, top, right, bottom}}) => [left, top, right, bottom])"))


def choose(page: Any, name: str, value: str) -> None:
    """Choose in a select element, or type, as a person does."""
    page.ask(
        f"(() => {{ const one = document.getElementById('filters')[{json.dumps(name)}];"
        f"one.value = {json.dumps(value)}; one.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
    )


def test_the_day_at_a_glance(page: Any) -> None:
    """How many of each, those that somebody has to look at first; and so do the pictures begin."""
    tiles = page.ask("[...document.querySelectorAll('#glance button')].map((tile) => tile.innerText)")
    first = page.ask("[...document.querySelectorAll('.card .result')].map((one) => one.textContent)")

    assert [tile.split() for tile in tiles] == [
        ["1", "unsure"],
        ["2", "rejected"],
        ["1", "error"],
        ["32", "patient"],
        ["24", "control"],
    ]
    assert first[:5] == ["unsure", "rejected", "rejected", "error", "patient"]
    assert "Research use only. Not for use in diagnostic procedures." in text(page, "header")
    assert text(page, "th[data-sort=score]") == "score (100 = control)"
    assert text(page, ".chart .what") == "score (100 = control)"
    assert "synthetic demo model (59 images): it was trained on simulated pictures" in text(page, "#notices")
    assert page.ask("[...document.querySelectorAll('.card img')].every((one) => one.naturalWidth === 320)")


def test_the_table_sorts(page: Any) -> None:
    """By mouse and by key, up and down; the header says so to a screen reader, and the pictures follow."""
    page.click("th[data-sort=score] button")
    scores = [float(score) for score in cells(page, 4) if score]
    assert len(scores) == 57
    assert scores == sorted(scores)
    assert page.ask("document.querySelector('th[data-sort=score]').ariaSort") == "ascending"
    page.press("Enter")  # the button has the focus
    assert [float(score) for score in cells(page, 4) if score] == sorted(scores, reverse=True)
    assert page.ask("document.querySelector('th[data-sort=score]').ariaSort") == "descending"
    assert page.ask("document.querySelectorAll('th[aria-sort]').length") == 1
    page.click("th[data-sort=name] button")
    assert cells(page, 0) == sorted(plan())
    assert text(page, ".card .name") == "S00_2026-06-09_0.tif"


def test_the_filters_work_together(page: Any) -> None:
    """Words, results, flags and dates; what is chosen survives a reload."""
    choose(page, "date", "2026-06-09")
    page.click("#glance button[data-result=rejected]")
    assert cells(page, 0) == ["S02_2026-06-09_0.tif", "S03_2026-06-09_0.tif"]
    assert text(page, "#shown") == "2 of 60 images"
    choose(page, "text", "s03  REJECT")
    assert cells(page, 0) == ["S03_2026-06-09_0.tif"]
    seen = len(page.events)
    page.send("Page.reload")
    page.wait_for("Page.loadEventFired", seen)
    assert cells(page, 0) == ["S03_2026-06-09_0.tif"]
    assert page.ask("document.querySelector('#glance [data-result=rejected]').ariaPressed") == "true"
    page.click("#clear")
    choose(page, "flag", " none")
    flagged = page.ask("images.filter((one) => one.flags.length).length")
    assert text(page, "#shown") == f"{60 - flagged} of 60 images"
    choose(page, "flag", "nuclei_constant")
    assert len(cells(page, 0)) == 2
    page.click("#clear")
    assert len(cells(page, 0)) == 60


def test_a_patch_tells_of_itself(page: Any, results: Path) -> None:
    """Pointed at in the full overlay, or gone to with the arrow keys; the frame lies on the patch."""
    name = "S07_2026-07-07_1.tif"
    patches = json.loads((results / f"{name}.colvi.json").read_text())["patches"]
    choose(page, "text", name)
    page.click(".card")
    page.until("document.querySelector('#picture img')?.src.startsWith('file:')")

    def expect(row: int, col: int) -> None:
        said = text(page, "#tip")
        p_control = patches["p_control"][row][col]
        assert said.startswith(f"row {row}, col {col}p_control ")
        assert abs(float(said.partition("p_control ")[2][:5]) - p_control) <= 0.001
        assert patches["band"][row][col] in said
        assert said.endswith(f"votes for {patches['vote'][row][col]}")
        marked = page.ask(
            "(() => { const a = document.getElementById('spot').getBoundingClientRect(),"
            "b = document.getElementById('picture').getBoundingClientRect();"
            "return [(a.x - b.x) / b.width, (a.y - b.y) / b.height, a.width / b.width]; })()"
        )
        assert marked == pytest.approx([col / 5, row / 5, 1 / 5], abs=0.002)

    for row, col in ((0, 0), (1, 3), (4, 2), (4, 4)):
        page.mouse("mouseMoved", page.point("#picture", (col + 0.5) / 5, (row + 0.5) / 5))
        expect(row, col)
    page.ask("document.getElementById('picture').focus()")
    for key, place in (
        ("ArrowUp", (3, 4)),
        ("ArrowLeft", (3, 3)),
        ("ArrowDown", (4, 3)),
        ("ArrowDown", (4, 3)),
    ):
        page.press(key)
        expect(*place)
    shown = page.ask(
        "(() => { const one = document.querySelector('#picture img'); return one.naturalWidth; })()"
    )
    assert shown == 768  # the caption's width; the picture's 320 pixels fill the frame
    width = page.ask(
        "document.querySelector('#picture img').offsetWidth / document.getElementById('picture').offsetWidth"
    )
    assert width == pytest.approx(768 / 320, rel=0.01)
    page.press("Escape")
    assert not page.ask("document.getElementById('viewer').open")


def test_a_single_bright_patch_is_where_the_record_has_it(
    chromium: Any, copy_result: Callable[..., Any], tmp_path: Path
) -> None:
    """Off the diagonal: rows are not columns."""
    record = copy_result("control", tmp_path / "one.tif", control=24)
    grid = record["patches"]
    for key, value, usual in (
        ("p_control", 0.125, 0.95),
        ("band", "red", "cyan"),
        ("vote", "patient", "control"),
    ):
        grid[key] = [[value if (row, col) == (1, 3) else usual for col in range(5)] for row in range(5)]
    copy_result("control", tmp_path / "one.tif", control=24, patches=grid)
    Report(tmp_path, tmp_path / "report.html").write()
    chromium.resize(**SCREEN)
    chromium.open((tmp_path / "report.html").as_uri())
    chromium.click(".card")
    chromium.mouse("mouseMoved", chromium.point("#picture", 3.5 / 5, 1.5 / 5))
    assert text(chromium, "#tip") == "row 1, col 3p_control 0.125red, 0.0 to 0.3votes for patient"
    chromium.mouse("mouseMoved", chromium.point("#picture", 1.5 / 5, 3.5 / 5))
    assert text(chromium, "#tip") == "row 3, col 1p_control 0.950cyan, 0.9 to 1.0votes for control"
    (tmp_path / "one.tif.colvi.png").write_bytes(b"another")
    Report(tmp_path, tmp_path / "report.html").write()
    chromium.open("about:blank")
    chromium.open((tmp_path / "report.html").as_uri())
    for row, col, colour in ((1, 3, [255, 0, 0]), (3, 1, [0, 255, 255])):
        dot = f"getContext('2d').getImageData({16 * col + 8}, {16 * row + 2}, 1, 1).data"
        assert chromium.ask(f"[...document.querySelector('.card canvas').{dot}]")[:3] == colour


def test_the_preview_stays_where_the_overlay_is_gone(page: Any, results: Path) -> None:
    """As on a stick that holds the page alone; and it says so."""
    name = "S08_2026-09-29_4.tif"
    overlay = results / f"{name}.colvi.png"
    overlay.rename(results / "away")
    try:
        choose(page, "text", name)
        page.click(".card")
        page.until("document.getElementById('picture-note').textContent !== ''")
        assert page.ask("document.querySelector('#picture img').src.startsWith('data:image/webp')")
        assert "not where it was" in text(page, "#picture-note")
        page.wait_for("Log.entryAdded")
        assert [complaint for complaint in page.complaints() if "ERR_FILE_NOT_FOUND" not in complaint] == []
        page.events.clear()
    finally:
        (results / "away").rename(overlay)


def test_the_score_over_time_is_drawn_to_scale(page: Any) -> None:
    """A point for each image, a bar over those of one day, a cross for what has no score, a line at 50."""
    charts = page.ask("[...document.querySelectorAll('.chart')].map((one) => one.dataset.sample)")
    assert charts == [f"S{number:02}" for number in range(12)]

    def numbers(sample: str, what: str, *keys: str) -> list[list[float]]:
        return list(
            page.ask(
                f"[...document.querySelectorAll({json.dumps(f'[data-sample={sample}] {what}')})]"
                f".map((one) => {json.dumps(keys)}.map((key) => Number(one.getAttribute(key))))"
            )
        )

    def points(sample: str, what: str) -> list[list[float]]:
        """Return (x, y) of points, from where each shape is moved to."""
        return list(
            page.ask(
                f"[...document.querySelectorAll({json.dumps(f'[data-sample={sample}] {what}')})].map((one) =>"
                "one.transform.baseVal.consolidate().matrix).map(({e, f}) => [e, f])"
            )
        )

    def scale(value: float) -> float:
        top, bottom = (line[0] for line in (numbers("S00", "line", "y1")[2], numbers("S00", "line", "y1")[0]))
        return bottom + (top - bottom) * value / 100

    lines = numbers("S00", "line", "y1")
    assert lines[1][0] == pytest.approx((lines[0][0] + lines[2][0]) / 2)
    assert page.ask("getComputedStyle(document.querySelector('.chart .vote')).strokeDasharray") != "none"
    single = points("S00", ".point")
    assert [y for _, y in single] == pytest.approx([scale(4 + 20 * number) for number in range(5)])
    weeks = [28, 28, 28, 28]
    gaps = [after[0] - before[0] for before, after in pairwise(single)]
    assert [gap / sum(gaps) for gap in gaps] == pytest.approx([days / sum(weeks) for days in weeks])
    assert numbers("S00", ".range", "y") == []
    ((top, height),) = numbers("S01", ".range", "y", "height")
    assert (top + 4, top + height - 4) == pytest.approx((scale(64.0), scale(4.0)))
    repeats = [y for _, y in points("S01", "[data-date='2026-08-04'] .repeat")]
    assert repeats == pytest.approx([scale(score) for score in (4, 24, 44, 64)])
    said = "2026-08-04: 4 images, 4.0 to 64.0; 2026-09-29: 84.0"
    assert (
        page.ask("document.querySelector('[data-sample=S01] svg').getAttribute('aria-label')")
        == f"S01: {said}"
    )
    assert len(numbers("S02", ".unjudged", "d")) == len(numbers("S04", ".unjudged", "d")) == 1
    page.click("[data-sample=S01] button")
    assert len(cells(page, 0)) == 5
    assert len(page.ask("[...document.querySelectorAll('.chart')].map(() => 1)")) == 12


def test_who_has_no_sample_is_left_out_and_told(
    chromium: Any, copy_result: Callable[..., Any], tmp_path: Path
) -> None:
    """In words, with a name that is understood: no other date is taken for that of the acquisition."""
    copy_result("control", tmp_path / "P1_2026-11-20.tif")
    copy_result("control", tmp_path / "P1.tif")
    Report(tmp_path, tmp_path / "report.html").write()
    chromium.open((tmp_path / "report.html").as_uri())

    assert (
        "1 of 2 images is left out: its name does not tell sample and date, as P03_2026-11-20_2.tif does"
        in (text(chromium, "#trend-words"))
    )
    assert len(boxes(chromium, ".chart .point")) == 1
    Report(tmp_path, tmp_path / "report.html", sample="(?P<sample>x)(?P<date>y)").write()
    chromium.open("about:blank")
    chromium.open((tmp_path / "report.html").as_uri())
    assert text(chromium, "#trend-words") == (
        "2 of 2 images are left out: their names do not tell sample and date in the way that this page was "
        "made to look for them."
    )


def test_two_models_are_told_apart(chromium: Any, copy_result: Callable[..., Any], tmp_path: Path) -> None:
    """In the head with their counts, in filter, cards and table, and by a line of its own in each plot."""
    other = {"name": "another", "version": "2", "sha256": "1" * 64}
    for day, control in (("2026-11-20", 5), ("2026-11-22", 10)):
        copy_result("patient", tmp_path / f"P1_{day}.tif", control=control, created=f"{day}T12:00:00Z")
        copy_result("control", tmp_path / f"P2_{day}.tif", model=other, created="2026-11-23T12:00:00Z")
    for day, control in (("2026-11-21", 15), ("2026-11-22", 20)):
        changes = {"model": other, "created": "2026-11-23T12:00:00Z"}
        copy_result("control", tmp_path / f"P1_{day}_new.tif", control=control, **changes)
    copy_result("error", tmp_path / "P1_2026-11-23.tif")
    Report(tmp_path, tmp_path / "report.html").write()
    chromium.resize(**SCREEN)
    chromium.open((tmp_path / "report.html").as_uri())
    page = chromium

    demo = json.loads((tmp_path / "P1_2026-11-20.tif.colvi.json").read_text())["model"]
    heads = page.ask("[...document.querySelectorAll('#models li')].map((one) => one.textContent)")
    assert heads == [
        f"Model A: {demo['name']} {demo['version']} ({demo['sha256'][:12]}): 2 images",
        "Model B: another 2 (111111111111): 4 images",
    ]
    notices = text(page, "#notices")
    assert "synthetic demo model (2 images)" in notices
    assert "These results are of 2 models, whose scores do not compare." in notices
    assert text(page, ".notice code") == "colvi-edge run FOLDER --bundle MODEL.colvi --stale"
    lines = page.ask(
        "[...document.querySelectorAll('[data-sample=P1] [data-model]')].map((one) => [one.dataset.model,"
        "[...one.querySelectorAll('[data-date]')].map((day) => day.dataset.date),"
        "one.querySelector('.path').points.length,"
        "one.querySelector('.path').getAttribute('stroke-dasharray'),"
        "one.querySelector('.point').getAttribute('d')])"
    )
    assert [line[:3] for line in lines] == [
        ["A", ["2026-11-20", "2026-11-22"], 2],
        ["B", ["2026-11-21", "2026-11-22"], 2],
    ]
    assert lines[0][3] != lines[1][3]  # by dashes and by shapes, not by colours
    assert lines[0][4] != lines[1][4]
    said = "model A: 2026-11-20: 20.0; 2026-11-22: 40.0; model B: 2026-11-21: 60.0; 2026-11-22: 80.0"
    label = page.ask("document.querySelector('[data-sample=P1] svg[role=img]').getAttribute('aria-label')")
    assert label == f"P1: {said}; 1 image without a score"
    courses = page.ask(
        "[...document.querySelectorAll('[data-sample=P1] .quiet span')].map((s) => s.textContent)"
    )
    assert courses == ["A 20.0 \u2192 40.0", "B 60.0 \u2192 80.0"]
    page.click("th[data-sort=model] button")
    assert cells(page, 7) == ["A", "A", "B", "B", "B", "B", ""]
    assert text(page, ".card[data-image*='P1_2026-11-20']").endswith("model A, demo")
    choose(page, "model", "1" * 64)
    assert text(page, "#shown") == "4 of 7 images"
    assert page.ask("document.querySelectorAll('[data-model=A]').length") == 0
    assert page.ask("document.querySelectorAll('[data-model=B]').length") == 2
    choose(page, "model", " none")
    assert cells(page, 0) == ["P1_2026-11-23.tif"]


def test_one_model_needs_no_filter(page: Any, results: Path) -> None:
    """Nor letters, nor a column, whatever an address asks for; what it is stands in the head."""
    page.open("about:blank")
    page.open(f"{(results / 'report.html').as_uri()}#sort=model&model={'1' * 64}")
    assert text(page, "#shown") == "60 images"
    assert text(page, "#models").startswith("Model colvi-edge synthetic demo model 1.0.0 (")
    assert text(page, "#models").endswith("): 59 images")
    assert not page.ask("document.getElementById('filters').model.offsetParent")
    assert page.ask("document.querySelectorAll('[data-sort=model], .card .quiet, .key').length") == 0


@pytest.mark.parametrize("size", [SMALL_PHONE, PHONE, SCREEN])
def test_dates_do_not_collide(
    chromium: Any, copy_result: Callable[..., Any], tmp_path: Path, size: dict[str, Any]
) -> None:
    """Whether there are many, or a sample's lie close together, at either end or in the middle."""
    days = {
        "many": [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 15)],
        "early": ["2026-01-01", "2026-01-02"],
        "middle": ["2026-06-20", "2026-06-30"],
        "late": ["2026-12-14", "2026-12-15"],
        "apart": ["2026-01-01", "2026-12-15"],
        "once": ["2026-12-15"],
    }
    for sample, dates in days.items():
        for date in dates:
            copy_result("error", tmp_path / f"{sample}_{date}.tif")
    Report(tmp_path, tmp_path / "report.html").write()
    chromium.resize(**size)
    chromium.open("about:blank")
    chromium.open((tmp_path / "report.html").as_uri())

    for sample, dates in days.items():
        labels = boxes(chromium, f"[data-sample={sample}] .day")
        ((left, _, right, _),) = boxes(chromium, f"[data-sample={sample}]")
        assert all(left <= label[0] < label[2] <= right for label in labels), sample
        assert all(before[2] + 2 < after[0] for before, after in pairwise(labels)), sample
        others = boxes(chromium, f"[data-sample={sample}] text:not(.day)")
        assert not [
            one for one in others for label in labels if one[3] > label[1] + 3 and one[2] > label[0] + 3
        ]
        said = chromium.ask(
            f"[...document.querySelectorAll('[data-sample={sample}] .day')].map((one) => one.textContent)"
        )
        assert " ".join(said).startswith(dates[0]), sample
        assert said[-1].endswith(dates[-1][5:]), sample
        assert len(boxes(chromium, f"[data-sample={sample}] .tick")) == len(dates)


def test_remedies_stand_whole_on_cards(
    chromium: Any, copy_result: Callable[..., Any], tmp_path: Path
) -> None:
    """However long; what is left out, further warnings of a rejected image, is counted."""
    words = f"found {'a part of this and that ' * 12}; export it again"
    copy_result("error", tmp_path / "error.tif", error={"kind": "unsafe", "message": words})
    flags = [
        {"name": "saturation", "severity": "warn", "words": "warned of"},
        {"name": "focus", "severity": "reject", "words": words},
        {"name": "emptiness", "severity": "warn", "words": "warned of"},
    ]
    copy_result("rejected", tmp_path / "rejected.tif", quality=flags)
    Report(tmp_path, tmp_path / "report.html").write()
    for size in (SMALL_PHONE, SCREEN):
        chromium.resize(**size)
        chromium.open("about:blank")
        chromium.open((tmp_path / "report.html").as_uri())
        for name in ("error", "rejected"):
            card = f".card[data-image*='{name}']"
            assert words in text(chromium, card)
            ((*_, card_bottom),) = boxes(chromium, card)
            lowest = max(box[3] for box in boxes(chromium, f"{card} *"))
            assert lowest <= card_bottom
            cut = f'[...document.querySelectorAll("{card} :is(li, .text, .frame)")]'
            assert chromium.ask(f"{cut}.every((one) => one.scrollHeight <= one.clientHeight + 1)")
            assert chromium.ask(f"{cut}.every((one) => getComputedStyle(one).webkitLineClamp === 'none')")
        assert text(chromium, ".card[data-image*='rejected']").endswith("and 2 more warnings")
    assert text(chromium, "#glance [data-result=error]") == "1error"


@pytest.mark.parametrize("size", [PHONE, SCREEN])
def test_the_bands_are_explained_where_overlays_are_looked_at(page: Any, size: dict[str, Any]) -> None:
    """The legend is in view among the pictures, and below an opened one, with how many patches have which."""
    page.resize(**size)
    for share in (0.3, 0.9):
        page.ask(
            "(() => { const box = document.getElementById('gallery').getBoundingClientRect();"
            f"scrollBy(0, box.top + {share} * box.height - innerHeight / 2); }})()"
        )
        ((left, top, right, bottom),) = boxes(page, "#legend")
        assert top < bottom <= size["height"] + 1
        assert left < right <= size["width"]
        assert page.ask(
            f"document.elementFromPoint({left + 5}, {(top + bottom) / 2}).closest('#legend') !== null"
        )
    assert "score (100 = control)" in text(page, "#legend")
    page.click(".card")
    ((_, top, _, bottom),) = boxes(page, "#bands")
    assert 0 < top < bottom <= size["height"]
    numbers = page.ask("[...document.querySelectorAll('#bands b')].map((one) => Number(one.textContent))")
    assert sum(numbers) == 25


@pytest.mark.parametrize("size", PROJECTORS)
def test_a_projector_is_used(page: Any, size: dict[str, Any]) -> None:
    """Text, cards and an opened picture grow with it, seen from the last row as from the desk."""
    desk = float(page.ask("parseFloat(getComputedStyle(document.body).fontSize)"))
    page.resize(**size)
    grown = float(page.ask("parseFloat(getComputedStyle(document.body).fontSize)"))
    assert grown / desk == pytest.approx(1 + (size["width"] - 1280) / 2300, abs=0.1)
    first, *cards = boxes(page, ".card")
    row = [first, *(card for card in cards if card[1] == first[1])]
    assert (row[-1][2] - row[0][0]) / size["width"] > 0.9
    assert 4 <= len(row) <= 8
    page.click(".card")
    ((left, top, right, bottom),) = boxes(page, "#picture")
    assert (bottom - top) / size["height"] > 0.8
    assert right - left == pytest.approx(bottom - top, rel=0.01)


@pytest.mark.parametrize(
    "size", [PHONE, {"width": 1024, "height": 768}, {"width": 320, "height": 600}, *PROJECTORS]
)
def test_nothing_is_wider_than_the_screen(page: Any, size: dict[str, Any]) -> None:
    """On a phone, the microscope's screen, a projector and in a narrow window; nor is an opened image."""
    page.resize(**size)
    assert page.ask("document.documentElement.scrollWidth") <= size["width"]
    page.click(".card")
    page.until("document.getElementById('viewer').open")
    assert page.ask("document.documentElement.scrollWidth") <= size["width"]
    assert (
        page.ask(
            "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.getElementById('viewer'))"
        )
        <= 0
    )


def test_a_finger_does_as_a_mouse(page: Any) -> None:
    """On a phone a patch is tapped."""
    page.resize(**PHONE)
    page.ask("document.querySelector('.card[data-image*=S09]').click()")
    x, y = page.point("#picture", 0.7, 0.3)
    page.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.until("!document.getElementById('tip').hidden")
    assert text(page, "#tip").startswith("row 1, col 3p_control 0.")


def test_words_from_files_never_act(chromium: Any, copy_result: Callable[..., Any], tmp_path: Path) -> None:
    """And what would act or be loaded all the same is stopped by the policy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        evil = f'"><img src={address}/x onerror=document.title=1><b>'
        flag = {"name": evil, "severity": "warn", "words": evil}
        model = {"name": evil, "version": evil, "sha256": "0" * 64}
        copy_result("control", tmp_path / f"{evil.replace('/', '')}.tif", quality=[flag], model=model)
        Report(tmp_path, tmp_path / "report.html").write()
        chromium.open((tmp_path / "report.html").as_uri())
        chromium.click(".card")
        chromium.until("document.querySelector('#picture img').src.startsWith('file:')")
        assert chromium.ask("document.querySelectorAll('img[src^=http], img[onerror], td b img').length") == 0
        assert evil in text(chromium, "#facts")
        assert chromium.requests() == [url for url in chromium.requests() if not url.startswith("http")]
        image = f"<img src='{address}/y' onerror='document.title=1'>"
        chromium.ask(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(image)})")
        assert chromium.ask(f"fetch('{address}/z').then(() => 1, () => 0)") == 0
        assert select.select([server], [], [], 0.2)[0] == []
    assert chromium.ask("document.title").startswith("colvi-edge report")
    chromium.events.clear()  # full of what the policy stopped


def test_a_watched_page_follows_the_file(
    chromium: Any, copy_result: Callable[..., Any], tmp_path: Path
) -> None:
    """It loads itself anew with its filters, but not while somebody looks at an image."""
    report = Report(tmp_path, tmp_path / "report.html", refresh_s=0.3)
    copy_result("control", tmp_path / "P1.tif")
    report.write()
    chromium.resize(**SCREEN)
    chromium.open((tmp_path / "report.html").as_uri())
    choose(chromium, "result", "patient")
    copy_result("patient", tmp_path / "P2.tif")
    report.write()
    chromium.until("typeof images === 'object' && images.length === 2")
    assert cells(chromium, 0) == ["P2.tif"]
    chromium.click(".card")
    copy_result("patient", tmp_path / "P3.tif")
    report.write()
    time.sleep(1)
    assert chromium.ask("images.length") == 2
    chromium.press("Escape")
    chromium.until("typeof images === 'object' && images.length === 3")
    chromium.open("about:blank")
    assert chromium.complaints() == []
