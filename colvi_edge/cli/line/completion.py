"""What Tab offers for a value: the words that it may be, and the bundles that lie where somebody types.

Where nothing is offered the shell completes names of files.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from colvi_edge.choices import DEMOS

_SAFE = re.compile(r"[\w./+@,=-]+", re.ASCII)
"""Paths that mean themselves in every shell. Zsh evaluates what is offered, so that a folder of another name
could have it run a command."""

_MOST = 200
"""Bundles of a folder that are offered; nobody reads more."""


def words(*known: str) -> Callable[[str], list[str]]:
    """Return what offers those of some words that begin as what was typed."""

    def offer(incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return offer


def lists(*known: str) -> Callable[[str], list[str]]:
    """Return what offers lists of some words, such as fp32,int8: a further word at a time, each once."""

    def offer(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [f"{before}{comma}{word}" for word in known if word.startswith(last) and word not in taken]

    return offer


def bundles(incomplete: str) -> Sequence[str]:
    """Offer the shipped bundles by their words, and the folders NAME.colvi/ in the folder that was typed."""
    found = [word for word in DEMOS if word.startswith(incomplete)]
    return [*found, *sorted(_folders(incomplete))]


def _folders(incomplete: str) -> Iterator[str]:
    place, slash, begin = incomplete.rpartition("/")
    try:
        there = [path.name for path in Path(f"{place}{slash}" or ".").iterdir() if path.suffix == ".colvi"]
    except OSError:
        return
    for name in there[:_MOST]:
        path = f"{place}{slash}{name}"
        if name.startswith(begin) and not name.startswith("-") and _SAFE.fullmatch(path):
            yield path
