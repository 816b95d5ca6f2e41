"""Sample and date are taken from names, and only from names."""

import re
import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.errors import UsageError
from colvi_edge.report.samples import EXAMPLE, NamePattern


@given(
    sample=st.from_regex(r"\A[A-Za-z][A-Za-z0-9 ]{0,10}[A-Za-z]\Z"),
    gap=st.sampled_from(["_", "-", " ", ".", "__", " - "]),
    day=st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    form=st.sampled_from(["%Y-%m-%d", "%Y%m%d"]),
    rest=st.sampled_from([".tif", "_2.tif", " repeat 12.ome.tif", "-2026.tif", ".0003-Series 4"]),
)
def test_what_stands_before_a_date_is_the_sample(
    sample: str, gap: str, day: date, form: str, rest: str
) -> None:
    """Whatever joins them, and whatever follows."""
    assert NamePattern().visit("any/2001-01-01", f"{sample}{gap}{day.strftime(form)}{rest}") == (sample, day)


@pytest.mark.parametrize(
    "name",
    [
        "P03.tif",
        "2026-11-20_P03.tif",  # nothing stands before it
        "P03_2026-02-31.tif",  # no day
        "P03_12320261120.tif",  # a longer number
        "P03_20261120123.tif",
        "P03_2026-1120.tif",
        "P03_18991231.tif",
        "_-. 2026-11-20.tif",
    ],
)
def test_a_name_that_does_not_tell_is_not_guessed_at(name: str) -> None:
    """It is left out of the scores over time rather than put among another sample's."""
    assert NamePattern().visit("", name) is None


def test_the_example_that_people_are_shown_is_understood() -> None:
    """And who gave a pattern is shown none, as nobody knows what it understands."""
    assert NamePattern().visit("", EXAMPLE) == ("P03", date(2026, 11, 20))
    assert NamePattern().example == EXAMPLE
    assert NamePattern(r"(?P<sample>.)(?P<date>.)").example is None


def test_a_pattern_of_the_operator_is_searched_for() -> None:
    """In the name; with a slash in it, in the path."""
    here = NamePattern(r"(?P<date>\d{8})_(?P<sample>P\d+)")
    path = NamePattern(r"(?P<date>\d{4}_\d\d_\d\d)/(?P<sample>[^_/]+)[^/]*$")

    assert here.visit("x", "a 20261120_P03_1.tif") == ("P03", date(2026, 11, 20))
    assert here.visit("20261120_P03", "1.tif") is None
    assert path.visit("scope/2026_11_20", "P03_1.tif") == ("P03", date(2026, 11, 20))
    assert NamePattern(r"(?P<sample>P.)(?P<date>x)?").visit("", "P3.tif") is None


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(", "no regular expression: missing ) at position 1"),
        ("a{99999999999}", "no regular expression: repeat count too big at position 2"),
        (r"(?P<sample>.)", "found no group named date"),
        ("x", "found no group named date and sample"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, found: str) -> None:
    """With what was found, expected and helps."""
    with pytest.raises(UsageError, match=re.escape(f"--sample {pattern}: {found}")) as told:
        NamePattern(pattern)
    assert "such as '(?P<sample>[^_]+)_(?P<date>" in str(told.value)


def test_a_pattern_that_never_ends_is_ended() -> None:
    """Names are anyone's; this one would take some 10^12 steps."""
    pattern = NamePattern(r"(?P<sample>(a|aa)+)(?P<date>$)!")
    begin = time.monotonic()
    with pytest.raises(
        UsageError, match="does not come to an end on a name of 60 characters; avoid repeats within"
    ):
        pattern.visit("", "a" * 60)
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("name", ["_" * 255, "1" * 255, "20" * 127, "2026-11-" * 31, "P" + "2026-11-2" * 28])
def test_no_name_holds_up_the_default_pattern(name: str) -> None:
    """Its time grows with the name, not with a power of it: 4000 characters take some milliseconds."""
    begin = time.perf_counter()
    assert NamePattern().visit("", name * 16) is None
    assert time.perf_counter() - begin < 0.3
