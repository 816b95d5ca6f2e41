"""docs/explanation/architecture.md shows the house as it stands, and names places that are there."""

import re
from pathlib import Path

from tests.test_house import FLOORS, MOST_LINES, MOST_MODULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")


def test_the_floors_are_those_of_the_house() -> None:
    """Each room on its floor, none left out."""
    rows = dict(re.findall(r"(?m)^\| (\d) \| ([^|]+) \|", PAGE))
    told = {
        int(number): {re.sub(r"(\.py|/)$", "", name) for name in re.findall(r"`([^`]+)`", cell)}
        for number, cell in rows.items()
    }

    assert told == {number: rooms - {""} for number, rooms in enumerate(FLOORS, 1)}


def test_the_sizes_are_those_of_the_house() -> None:
    """Of modules and folders."""
    assert f"at most {MOST_LINES} lines a module, {MOST_MODULES} modules a folder" in PAGE


def test_the_places_are_there() -> None:
    """Where a line belongs, and what processes are made of."""
    rest = PAGE.split("## Where a line belongs")[1]
    places = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_*]+\.py)?|[a-z_]+\.py)`", rest)
    beside = ("quality", "acquisition")

    def is_there(place: str) -> bool:
        folders = (ROOT, ROOT / "colvi_edge", *(ROOT / "colvi_edge" / name for name in beside))
        return any(any(folder.glob(place.rstrip("/"))) for folder in folders)

    assert len(places) > 20
    assert [place for place in places if not is_there(place)] == []
