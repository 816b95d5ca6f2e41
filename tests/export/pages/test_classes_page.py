"""The page of an evaluation of any classes: self-contained, safe, and true to the record."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.export.evaluation.class_figures import classes_record
from colvi_edge.export.evaluation.class_record import CellWord, ClassesRecord
from colvi_edge.export.evaluation.record import Dataset, Model, figure
from colvi_edge.export.pages import classes as page
from colvi_edge.outputs.named import Named
from colvi_edge.tasks.classify import MAJORITY, Rule, diagnose

EVIL = "<script>alert(1)</script>&\"'"
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota")


def record(number: int, of: CellWord = "patch", rule: Rule = MAJORITY) -> ClassesRecord:
    """Return the record of two images of each class, some of them wrong, one undecided."""
    rng = np.random.default_rng(number)
    truths = np.arange(2 * number) % number
    shape = {"patch": (3, 4), "image": (1, 1), "slice": (12, 1)}[of]
    fields = rng.dirichlet(np.full(number, 0.4), (2 * number, *shape)).astype(np.float32)
    fields[0] = 1 / number
    names = [f"{place} {EVIL}.tif" for place in range(2 * number)]
    return classes_record(
        [diagnose(field, NAMES[:number], rule) for field in fields],
        truths.tolist(),
        names,
        names,
        rule=rule,
        of=of,
        model=Model(name=EVIL, sha256="5" * 64, runtime=EVIL, precision="fp32"),
        dataset=Dataset(name=EVIL, is_simulated=True),
        notes=[f"left out: {EVIL}"],
    )


def rows_of(html: str) -> list[ET.Element]:
    """Return the rows of the first table of a page, which is to be well formed."""
    table = html[html.index("<table") : html.index("</table>")] + "</table>"
    return list(ET.fromstring(table).iter("tr"))  # noqa: S314 - our own page


RECORDS = {
    "three": record(3),
    "nine": record(9),
    "whole images": record(2, "image", Rule("threshold", "beta", 0.5)),
    "stacks": record(2, "slice", Rule("share", "alpha", 0.1)),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_it_needs_nothing_and_runs_nothing(kind: str) -> None:
    """One file; no name in it is a tag; each of its tables is well formed."""
    html = page.render(RECORDS[kind])

    assert [one for one in Named if one.begins(html.encode()[:4096])] == [Named.PAGE]
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=", html)
    assert RESEARCH_USE_ONLY in html
    for table in re.findall(r"<table.*?</table>", html, re.S):
        assert rows_of(table)


@pytest.mark.parametrize("kind", RECORDS)
def test_it_says_what_its_record_holds(kind: str) -> None:
    """Every count of the matrices, and each class's figures."""
    told = RECORDS[kind]
    html = page.render(told)

    for words, level in page.levels(told):
        section = html.partition(f"Each class of {words}</h2>")[2].partition("</section>")[0]
        rows = [[cell.text or "" for cell in row] for row in rows_of(section)]
        for one, row in zip(level.classes, rows[1:], strict=True):
            assert row[:3] == [one.name, str(one.n), figure(one.precision)]
            assert row[4:] == [figure(one.f1), figure(one.auc)]
    matrices = re.findall(r'<table class="confusion.*?</table>', html, re.S)
    for (_, level), text in zip(page.levels(told), matrices, strict=True):
        found = [[int(div.text or "0") for div in row.iter("div")] for row in rows_of(text)]
        width = len(told.classes) + bool(level.undecided)
        assert found[1:] == [list(row[:width]) for row in level.confusion]


def test_stacks_and_slices_are_called_so() -> None:
    """And a whole image is one vote: it has no second level."""
    assert [words for words, _ in page.levels(RECORDS["stacks"])] == ["slices", "stacks"]
    assert [words for words, _ in page.levels(RECORDS["whole images"])] == ["images"]
    assert "share of slices" in page.render(RECORDS["stacks"])
