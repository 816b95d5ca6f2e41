"""The pages of an evaluation and of a comparison: self-contained, safe, legible, and true to the record."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.export.evaluation.figures import Judged, comparison_record, evaluate, evaluation_record
from colvi_edge.export.evaluation.record import ComparisonRecord, Dataset, EvaluationRecord, Model
from colvi_edge.export.pages import comparison as comparison_page
from colvi_edge.export.pages import evaluation as page
from colvi_edge.outputs.named import Named

EVIL = "<script>alert(1)</script>&\"'"
MODEL = Model(name=EVIL, sha256="5" * 64, runtime=EVIL, precision="int8-cpu")
DATASET = Dataset(name=EVIL, is_simulated=True, subjects=7)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, text, and tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.stray: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note whether it closes what was opened last."""
        if not self.open or self.open.pop() != tag:
            self.stray.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.words.append(data)


NAMES = [f"{number} {EVIL}.tif" for number in range(30)]


def judged(seed: int, images: int = 12, by: str = "probabilities", classes: int = 2) -> Judged:
    """Return what was judged of images, some of them wrong, one undecided."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), 8)
    label = image % classes
    margin = np.clip(rng.normal(2 * label - 1, 1.5).round(1) / 4, -0.5, 0.5)
    margin[:8] = [0.25, -0.25] * 4
    p = (0.5 + margin).astype(np.float32)
    if by == "margin":
        return Judged.by_margin(margin, label, image)
    return Judged(1 - p, p, label, image)


@pytest.fixture(scope="module")
def one() -> EvaluationRecord:
    """Return the record of an evaluation."""
    return evaluation_record(evaluate(judged(1), NAMES), MODEL, DATASET, [f"left out: {EVIL}"])


@pytest.fixture(scope="module")
def several() -> ComparisonRecord:
    """Return the record of a comparison; seven methods are more than there are styles of lines."""
    methods = {
        f"method {number} {EVIL}": [judged(10 * number + fold) for fold in range(3)] for number in range(6)
    }
    methods["SVM"] = [judged(70 + fold, by="margin") for fold in range(3)]
    return comparison_record(methods, NAMES, DATASET, [f"left out: {EVIL}"])


@pytest.fixture(scope="module", params=["one", "several"])
def html(request: pytest.FixtureRequest, one: EvaluationRecord, several: ComparisonRecord) -> str:
    """Return either page."""
    return page.render(one) if request.param == "one" else comparison_page.render(several)


def test_the_page_is_known_as_ours(html: str) -> None:
    """By its start; or it would not be replaced by the next one."""
    assert [kind for kind in Named if kind.begins(html.encode()[:4096])] == [Named.PAGE]


def test_the_page_needs_nothing_and_runs_nothing(html: str) -> None:
    """No script, no link, no picture from elsewhere: it can be mailed, and opened years later."""
    page = Page(html)

    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    for _, attributes in page.tags:
        assert not set(attributes) & {"src", "href", "xlink:href", "srcset", "action"}
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html


def test_every_tag_is_closed(html: str) -> None:
    """In the order in which they were opened."""
    page = Page(html)

    assert page.stray == []
    assert page.open == []


def test_the_style_sheet_knows_every_line(several: ComparisonRecord) -> None:
    """More methods than colours: the first colour comes again, none goes without."""
    html = comparison_page.render(several)
    lines = set(re.findall(r'class="curve (line\d+)"', html))

    assert len(lines) == 6
    assert all(f".{name} {{ stroke:" in html for name in lines)


def test_it_says_what_it_is_not_for(html: str) -> None:
    """At both ends; and that simulated images say nothing of real ones."""
    text = Page(html).text

    assert text.count(RESEARCH_USE_ONLY) == 2
    assert "Simulated images" in text


def test_names_from_elsewhere_stay_text(html: str) -> None:
    """An image, a method, a model, a dataset or a note cannot become part of the page."""
    page = Page(html)

    assert "<script" not in html
    assert page.text.count(EVIL) >= 10
    assert all("alert" not in name for _, attributes in page.tags for name in attributes)


def test_a_real_dataset_is_not_called_simulated(one: EvaluationRecord) -> None:
    """The notice is for simulated images alone."""
    real = one.model_copy(update={"dataset": Dataset(name="ours", is_simulated=False)})

    assert "Simulated" not in page.render(real)


def test_the_evaluation_says_what_its_record_holds(one: EvaluationRecord) -> None:
    """The headline, each figure, both confusion matrices, the bins, wrong images before right ones."""
    text = Page(page.render(one)).text

    patch, image = one.patch, one.image
    assert f"{image.tp + image.tn} of 12 images judged right" in text
    assert f"{100 * (patch.tp + patch.tn) / 96:.1f} % of their 96 patches" in text
    for name, key in (("accuracy", "accuracy"), ("sensitivity", "sensitivity"), ("F1", "f1"), ("AUC", "auc")):
        both = [level.read(key) for level in (patch, image)]
        told = [
            f"{one.value:.3f} {one.interval[0]:.3f} to {one.interval[1]:.3f}" for one in both if one.interval
        ]
        assert f"{name} {' images '.join(told)}" in text
        assert len(told) == 2
    for level in (patch, image):
        shares = [100 * part / (level.tn + level.fp) for part in (level.tn, level.fp)]
        assert (
            f"control {level.tn} {shares[0]:.1f} % {level.fp} {shares[1]:.1f} % {level.tn + level.fp}" in text
        )
        shares = [100 * part / (level.tp + level.fn) for part in (level.fn, level.tp)]
        assert (
            f"patient {level.fn} {shares[0]:.1f} % {level.tp} {shares[1]:.1f} % {level.tp + level.fn}" in text
        )
    assert one.reliability is not None
    for part in one.reliability:
        assert f"{part.low:g} to {part.high:g} {part.n} {part.confidence:.3f} {part.accuracy:.3f}" in text
    assert image.undecided == 1
    assert "1 image undecided by a tie counts as wrong" in text
    listed = re.findall(r"\.tif (control|patient) (control|patient|unsure) ([\d.]+)", text)
    right = [truth == said for truth, said, _ in listed]
    assert len(listed) == 12
    assert right == sorted(right)
    assert False in right
    assert "12 of 7 subjects: 6 controls, 6 patients" in text


def test_the_comparison_says_what_its_record_holds(several: ComparisonRecord) -> None:
    """Every method's mean and spread at both levels, each fold, and who has no probabilities."""
    page = Page(comparison_page.render(several))

    for method in several.methods:
        for level in (method.patch, method.image):
            cells = [
                f"{one.value:.3f} ± {one.sd:.3f} {one.interval[0]:.3f} to {one.interval[1]:.3f}"
                for name in ("accuracy", "precision", "sensitivity", "specificity", "f1", "auc")
                if (one := level.read(name)).interval
            ]
            assert len(cells) == 6
            assert f"{method.name} {' '.join(cells)}" in page.text
        for number, fold in enumerate(method.folds, 1):
            assert f"fold {number} {fold.patch.accuracy:.3f}" in page.text
        assert f"{method.name}, AUC {method.patch.mean.auc:.3f}" in page.text
    best = max(several.methods, key=lambda method: method.patch.mean.accuracy or 0)
    assert (
        f"{best.name} judges {100 * (best.patch.mean.accuracy or 0):.1f} % of the patches right" in page.text
    )
    assert page.text.count("gives no probabilities") == 1
    assert page.text.count("Calibration error") == 6
    everywhere = [
        one for fold in several.methods[0].folds for one in fold.reliability or () if one.low == 0.6
    ]
    n = sum(one.n for one in everywhere)
    right = round(sum(one.n * one.accuracy for one in everywhere))
    assert len(everywhere) == 3
    assert re.search(rf"0\.6 to 0\.7 {n} 0\.6\d\d {right / n:.3f} ", page.text)


def test_the_best_of_a_column_is_bold(several: ComparisonRecord) -> None:
    """One accuracy of the patches, and it is the largest."""
    html = comparison_page.render(several)
    table = html[html.index("<h3>Patches</h3>") : html.index("<h3>Images")]
    accuracies = re.findall(r"</th><td>(<b>)?([\d.]+)", table)

    bold = {value for mark, value in accuracies if mark}
    assert len(accuracies) == 7
    assert bold == {max(value for _, value in accuracies)}


def test_each_wrong_score_stands_out(several: ComparisonRecord) -> None:
    """The table of images colours as many scores as there are wrong diagnoses."""
    html = comparison_page.render(several)
    wrong = sum(not image.right for m in several.methods for fold in m.folds for image in fold.images)

    assert html.count('<span class="bad">') == wrong > 0


def test_pictures_show_the_figures(one: EvaluationRecord) -> None:
    """Corners of the curve, dots of bins and scores, lie where a ruler would put them."""
    pictures = [
        ET.fromstring(drawing)  # noqa: S314 - our own
        for drawing in re.findall(r"<svg.*?</svg>", page.render(one), re.DOTALL)
    ]
    squares = [picture for picture in pictures if picture.get("class") == "square"]
    strips = [picture for picture in pictures if picture.get("class") == "scores"]

    frame = next(line for line in squares[0].iter("line") if line.get("class") == "chance")
    left, bottom, right, top = (float(frame.get(side, "")) for side in ("x1", "y1", "x2", "y2"))
    assert left < right
    assert top < bottom
    points = [
        tuple(map(float, pair.split(",")))
        for pair in next(squares[0].iter("polyline")).get("points", "").split()
    ]
    assert one.roc.patch is not None
    assert one.reliability is not None
    expected = [(left + x * (right - left), bottom + y * (top - bottom)) for x, y in one.roc.patch]
    assert np.array(points) == pytest.approx(np.array(expected), abs=0.06)
    bins = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in squares[2].iter("circle")]
    expected = [
        (left + part.confidence * (right - left), bottom + part.accuracy * (top - bottom))
        for part in one.reliability
    ]
    assert np.array(bins) == pytest.approx(np.array(expected), abs=0.06)
    for picture, truth in zip(strips, ("control", "patient"), strict=True):
        dots = {(float(dot.get("cx", "")[:-1]), dot.get("class")) for dot in picture.iter("circle")}
        images = [image for image in one.images if image.truth == truth]
        assert dots == {(round(i.score, 2), "hit" if i.diagnosis == truth else "miss") for i in images}


@pytest.mark.parametrize("images", [3, 19, 20])
def test_curves_of_few_images_are_called_so(images: int) -> None:
    """Below ten of a class, in words with the right plurals, and below the curve of the images alone."""
    found = judged(3, images)
    for html in (
        page.render(evaluation_record(evaluate(found, NAMES), MODEL, DATASET)),
        comparison_page.render(comparison_record({"CNN": [found]}, NAMES, DATASET)),
    ):
        assert html.count("says little") == (images < 20)
        if images == 3:
            assert "Of 3 images, 2 controls and 1 patient: says little" in html
            assert "3 of 7 subjects: 2 controls, 1 patient<" in html


@pytest.mark.parametrize(("confidences", "drawn"), [((0.55, 0.75), False), ((0.55, 0.75, 0.95), True)])
def test_a_reliability_plot_needs_three_bins(confidences: tuple[float, ...], drawn: bool) -> None:
    """With fewer its place is not left empty: the numbers stand there alone, and why."""
    image = np.repeat(np.arange(2), 12)
    p = np.resize(np.array(confidences, np.float32), 24)
    html = page.render(evaluation_record(evaluate(Judged(1 - p, p, image % 2, image), NAMES), MODEL, DATASET))

    assert ("<h3>Reliability</h3>" in html) is drawn
    assert ("No plot: all confidences lie in 2 bins of ten, and one needs 3." in html) is not drawn
    assert "0.7 to 0.8" in html


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32), st.integers(1, 30), st.sampled_from(["probabilities", "margin"]), st.integers(1, 2)
)
def test_any_evaluation_can_be_shown(seed: int, images: int, by: str, classes: int) -> None:
    """One image, one class, no probabilities, one fold: well-formed pages with all marks in their frames."""
    found = judged(seed, images, by, classes)
    pages = (
        page.render(evaluation_record(evaluate(found, NAMES), MODEL, DATASET)),
        comparison_page.render(comparison_record({"CNN": [found]}, NAMES, DATASET)),
    )

    for html in pages:
        shown = Page(html)
        assert shown.stray == shown.open == []
        assert "nan" not in shown.text
        assert "None" not in shown.text
        for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
            tree = ET.fromstring(drawing)  # noqa: S314 - our own
            assert tree.get("aria-label") or tree.get("aria-hidden")
            width, height = (float(size) for size in tree.get("viewBox", "0 0 0 0").split()[2:])
            for mark in tree.iter():
                for side, limit in (("cx", width), ("x1", width), ("cy", height), ("y1", height)):
                    at = mark.get(side, "0")
                    assert 0 <= float(at.rstrip("%")) <= (100 if at.endswith("%") else limit or 100)


@pytest.mark.chromium
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("kind", ["one", "several"])
def test_a_browser_shows_it_without_scrolling_sideways(
    tmp_path: Path, one: EvaluationRecord, several: ComparisonRecord, kind: str, width: int
) -> None:
    """On a phone and on a screen; nothing is asked for but the page, and nothing complained of."""
    from tests.tools.chromium import Chromium

    render: Callable[[], str] = {
        "one": lambda: page.render(one),
        "several": lambda: comparison_page.render(several),
    }[kind]
    file = tmp_path / "evaluation.html"
    file.write_text(render(), encoding="utf-8")
    with Chromium() as browser:
        browser.resize(width, 800, mobile=width < 500)
        browser.open(file.as_uri())
        browser.ask("document.querySelectorAll('details').forEach(one => one.open = true)")

        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert browser.ask("[...document.querySelectorAll('svg')].every(one => one.clientHeight > 0)")
        assert [url for url in browser.requests() if not url.startswith("about:")] == [file.as_uri()]
        assert browser.complaints() == []
