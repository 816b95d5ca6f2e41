"""The page: self-contained, safe, legible, and true to the record."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bench.page import render
from colvi_edge.bench.plots import Scale, bar, strip
from colvi_edge.bench.record import Check, PeerMissing, PeerUsed, Record, timed

EVIL = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.words.append(data)


@pytest.fixture
def full_record(make_record: Callable[..., Record]) -> Record:
    """Return a record with everything that can be in one, and hostile names."""
    record = make_record()
    return make_record(
        model=record.model.model_copy(update={"name": EVIL}),
        machine=record.machine.model_copy(update={"cpu": EVIL, "busy": 0.4, "file_system": "tmpfs"}),
        peers=(PeerUsed(name="other fp32", version=EVIL, precision="fp32", batch=16),),
        peers_missing=(PeerMissing(name="absent", why=EVIL),),
        checks=(
            Check(
                engine="openvino fp32",
                images="6 images",
                reference=f"torch fp32 {EVIL}",
                patches=1536,
                agreement=0.9,
                band_flips=0.2,
                diagnosis_flips=1,
                largest_dp=0.5,
                largest_dscore=12,
                faults=(f"1 diagnoses flip, none may {EVIL}",),
            ),
        ),
        series=(*record.series, timed("other fp32", "", "continuous", "network", [90.0, 91.0, 92.0])),
    )


def test_the_page_needs_nothing_and_runs_nothing(full_record: Record) -> None:
    """No script, no link, no picture from elsewhere: it can be mailed, and opened years later."""
    html = render(full_record, full_record)
    page = Page(html)

    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    for _, attributes in page.tags:
        assert not set(attributes) & {"src", "href", "xlink:href", "srcset", "action"}
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert page.text.count(RESEARCH_USE_ONLY) >= 2


def test_names_from_elsewhere_stay_text(full_record: Record) -> None:
    """A bundle's name, a version or a reason cannot become part of the page."""
    html = render(full_record)

    assert "<script" not in html
    assert Page(html).text.count("alert(1)") >= 4


def test_the_page_says_what_the_record_holds(full_record: Record) -> None:
    """The headline, each engine, each input, the peer's ratio, the fault, the warnings."""
    text = Page(render(full_record)).text
    whole = full_record.find("openvino int8-cpu", "file to JSON")
    assert whole is not None

    assert f"From file to JSON in {whole.median_ms:.1f} ms on openvino int8-cpu" in text
    for words in (
        "openvino fp32",
        "uncompressed",
        "LZW",
        "after 3 s of rest",
        "encode",
        "Not measured: absent",
    ):
        assert words in text
    assert re.search(r"other fp32 .*batch 16\) 91\.0 91\.0 x 3\.\d\d \(\d\.\d\d-\d\.\d\d\)", text)
    assert "diagnoses flip, none may" in text
    assert "40% busy with other work" in text
    assert "Results were written to memory" in text


def test_every_picture_is_well_formed_and_inside_its_frame(full_record: Record) -> None:
    """All marks lie within 0..100 % across, and every picture says in words what it shows."""
    for drawing in re.findall(r"<svg.*?</svg>", render(full_record), re.DOTALL):
        tree = ET.fromstring(re.sub(r"class=(\w+)>", r'class="\1">', drawing))  # noqa: S314 - our own
        assert tree.get("aria-label") or tree.get("aria-hidden")
        for mark in tree.iter():
            for side in ("cx", "x", "x1", "x2", "width"):
                at = mark.get(side, "0%")
                assert not at.endswith("%") or -0.01 <= float(at[:-1]) <= 100.01


samples = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@settings(deadline=None)
@given(samples)
def test_any_times_can_be_drawn(times: list[float]) -> None:
    """One sample, equal ones, zero, a microsecond beside a quarter of an hour: in order and in the frame."""
    scale = Scale(times)

    places = [scale.percent(time) for time in sorted(times)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 100
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(0 <= scale.percent(tick) <= 100 for tick in ticks)
    assert strip(times, scale, "words").count("<circle") == len(times)


def test_a_bar_is_as_long_as_its_parts() -> None:
    """Parts follow each other without a gap, and stand for their share of the whole."""
    drawing = bar([("read", 10), ("rest", 0), ("network", 30)], 80, "words")

    found = re.findall(r'class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"', drawing)
    assert found == [("read", "0.00", "12.50"), ("network", "12.50", "37.50")]


@pytest.mark.chromium
@pytest.mark.parametrize("width", [360, 820, 1400])
def test_a_browser_shows_it_without_scrolling_sideways(
    tmp_path: Path, full_record: Record, width: int
) -> None:
    """On a phone, a tablet and a screen; nothing is asked for but the page, and nothing complained of."""
    from tests.tools.chromium import Chromium

    file = tmp_path / "bench.html"
    file.write_text(render(full_record, full_record), encoding="utf-8")
    with Chromium() as browser:
        browser.resize(width, 800, mobile=width < 500)
        browser.open(file.as_uri())

        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert browser.ask("[...document.querySelectorAll('svg')].every(one => one.clientHeight > 0)")
        assert [url for url in browser.requests() if not url.startswith("about:")] == [file.as_uri()]
        assert browser.complaints() == []
