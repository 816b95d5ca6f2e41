"""Good images and other fluorescence: drawn alike each time, in the forms named, counted right."""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("familiarity")


def test_each_kind_is_drawn_alike_each_time(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its seed alone; the nuclei are blue, what was stained is green."""
    # Of one seed all kinds have the same nuclei; that these are alike each time is known of the simulator.
    monkeypatch.setattr("fluorescence.simulate_projection", cache(script.simulate_projection))
    for draw in script.DRAWN.values():
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert (first.shape, first.dtype) == ((1024, 1024, 3), np.uint8)
        assert (first == again).all()
        assert (first != other).any()
        assert not first[..., 0].any()
        assert first[..., 1].max() == first[..., 2].max() == 255


def test_every_form_is_an_ordinary_image(script: ModuleType) -> None:
    """Of its own kind of number, with planes where it says so, and the culture still in it."""
    good = script.acquired(script.simulate_projection("control", 3)[np.newaxis])
    nuclei = good.planes[0, 0]
    for name, form in script.FORMS.items():
        image = form(good, np.random.default_rng(0))
        found = image.planes[0, image.channels.index("nuclei")]
        assert image.planes.dtype == (np.uint8 if "RGB" in name or "8 bits, each" in name else np.uint16)
        assert np.corrcoef(found[::8, ::8].ravel(), nuclei[::8, ::8].ravel())[0, 1] > 0.9


def row(rejected: list[str], remoteness: float | None, **of: str) -> dict[str, Any]:
    """What is kept of an image."""
    return {"rejected": rejected, "remoteness": remoteness, **of}


def test_the_tables_count(script: ModuleType) -> None:
    """By group, the new rules only, with the upper limit of Clopper and Pearson."""
    of = {"class": "control", "difficulty": "difficulty 0.5", "form": "16 bits"}
    good = [row([], 0.4, **of)] * 98 + [row(["out_of_focus"], 0.9, **of), row(["unfamiliar"], 1.2, **of)]
    other = [
        row(["unfamiliar"], 3.0, kind="beads"),
        row([], 0.8, kind="beads"),
        row(["no_cells"], None, kind="x"),
    ]

    lines = list(script.tables(good, other))

    assert "| control | 1 of 100 | 4.66% | 1.20 |" in lines  # 95 %, one-sided: 1 - (1-p)^100 - ... = 0.95
    assert "| beads | 1 of 2 | 0.80 | unfamiliar 1 |" in lines
    assert "| 1 times as wide | 1.0% | 66.7% |" in lines
    assert "| 0.5 times as wide | 2.0% | 100.0% |" in lines
    assert (
        lines[-1] == "Area under the ROC curve: 0.9933."
    )  # of 300 pairs one is the wrong way round, and one
