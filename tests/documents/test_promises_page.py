"""docs/explanation/promises.md names what tries to break each promise, and the times of the daemon."""

import re
from pathlib import Path

import pytest

from colvi_edge.acquisition.source import AT_REST_S
from colvi_edge.watch.timings import Timings
from colvi_edge.watch.words import TROUBLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"(?m)^\| ([1-6]) \| ([^|]+) \| ([^|]+) \|$", PAGE)


def test_each_promise_has_something_that_tries_to_break_it() -> None:
    """Six of them."""
    assert [number for number, _, _ in PROMISES] == list("123456")
    assert [number for number, _, tried in PROMISES if "tests" not in tried and "the same" not in tried] == []


@pytest.mark.parametrize("path", sorted(set(re.findall(r"tests[./][\w./]+\w", PAGE))))
def test_what_is_named_is_there(path: str) -> None:
    """Scripts by their modules, tests by their files."""
    file = path if path.endswith(".py") else path.replace(".", "/") + ".py"

    assert (ROOT / file).exists() or (ROOT / path).is_dir()


def test_the_times_are_those_of_the_daemon() -> None:
    """When a file is finished."""
    times = Timings()
    for words in (
        f"looked at again {times.quiet_after_close_s:g} s later",
        f"at rest for {times.quiet_local_s:g} s; the whole folder is looked through every "
        f"{times.local_scan_s:g} s",
        f"at rest for {times.quiet_share_s:g} s; the folder is looked through every {times.share_scan_s:g} s",
    ):
        assert words in PAGE, words
    assert times.incomplete_s == 3600
    inputs = (ROOT / "docs" / "reference" / "inputs.md").read_text(encoding="utf-8")
    assert f"has not changed for {AT_REST_S:g} s" in inputs


def test_the_states_are_those_of_the_daemon() -> None:
    """Those that promise 6 tells of are states, by their words."""
    told = re.findall(r"\*([A-Za-z -]+)\*", PROMISES[5][1])

    assert len(told) > 8
    assert {word.lower() for word in told} <= set(TROUBLES)
