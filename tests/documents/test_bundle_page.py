"""docs/reference/bundle.md has every key of a manifest, and no other, of both schemas."""

import dataclasses
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.bundle.manifest import Config, FlatConfig, Precision
from colvi_edge.patches import Normalisation
from colvi_edge.tasks.classify.comparison import Tolerance
from colvi_edge.tasks.segment.comparison import SegmentTolerance

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")


def parts(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the models in an annotation, each with what its keys stand behind."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        yield "", annotation
    origin = get_origin(annotation)
    behind = "[]" if origin in (tuple, list) else ".NAME" if origin is dict else ""
    for inner in get_args(annotation):
        if not isinstance(inner, types.EllipsisType | str | int | float):
            yield from ((behind + path, model) for path, model in parts(inner))


def keys(model: type[Any], before: str = "") -> Iterator[str]:
    """Yield every key of a model and of all that it holds, by its path."""
    if model is Normalisation:
        yield from (f"{before}{field.name}" for field in dataclasses.fields(Normalisation))
        return
    for name, field in model.model_fields.items():
        inner = list(parts(field.annotation))
        yield f"{before}{name}"
        for path, found in inner:
            yield from keys(found, f"{before}{name}{path}.")


def told(heading: str) -> set[str]:
    """Return the keys in the first cells of the tables below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"(?m)^\| (`[^|]+) \|", section)
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}


def test_every_key_is_there() -> None:
    """Of `config.colvi_edge` with a task, key by key."""
    assert told("Keys of `config.colvi_edge`") == set(keys(Config))


def test_every_key_of_the_flat_form_is_there() -> None:
    """What bundles without a task have in place of input, windows and task."""
    flat = {key for key in keys(FlatConfig) if "." not in key} - set(Config.model_fields)

    assert told("Without a task: the flat form") == flat


def test_the_precisions_are_those_of_the_code() -> None:
    """Each has a row."""
    rows = re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", PAGE.split("\n## Precisions\n")[1].split("\n## ")[0])

    assert rows == list(get_args(Precision))


def test_the_limits_of_the_gate_are_those_of_the_code() -> None:
    """Of votes and of regions."""
    votes, regions = Tolerance(), SegmentTolerance()

    assert f"{votes.agreement:.1%}".replace("%", " %") in PAGE
    assert f"by more than {votes.score_points:g} points" in PAGE
    for number in (regions.median_dice, regions.worst_dice, regions.f1):
        assert f"{number:g}" in PAGE


def test_the_files_of_the_demo_are_explained() -> None:
    """Each file of a shipped bundle has a row, by its name or by its pattern."""
    section = PAGE.split("\n## Files\n")[1].split("\n## ")[0]
    patterns = re.findall(r"`([^`]+)`", "".join(re.findall(r"(?m)^\| (.+?) \|", section)))
    known = [re.compile(re.escape(one).replace("TARGET", r"\w+")) for one in patterns]

    for word in ("demo", "demo-nuclei"):
        assert open_bundle(word).label
        names = {entry.name for entry in demo_path(word).iterdir()}
        assert {name for name in names if not any(one.match(name) for one in known)} == set()
