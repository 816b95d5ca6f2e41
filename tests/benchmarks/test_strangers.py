"""Pictures that are not the assay: they are drawn alike each time, and written as they say."""

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile

from colvi_edge.bundle import open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.pipeline import Diagnoser
from colvi_edge.simulate import simulate_projection

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("strangers")


def test_each_kind_is_drawn_alike_each_time(strangers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its seed alone; two drawings of a kind differ."""
    # That cultures are alike each time is known of the simulator.
    monkeypatch.setattr(strangers, "simulate_projection", cache(simulate_projection))
    for draw in strangers.DRAWN.values():
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert (first.shape, first.dtype) == ((1024, 1024, 3), np.uint8)
        assert (first == again).all()
        assert (first != other).any()


def test_the_forms_hold_the_picture(strangers: ModuleType, tmp_path: Path) -> None:
    """Blue as nuclei, green as collagen, in all three."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)

    rgb, eight, sixteen = (tifffile.imread(file) for file in strangers.forms(picture, tmp_path))

    assert (rgb == picture).all()
    for channels, scale in ((eight, 1), (sixteen, 257)):
        assert (channels == picture[..., [2, 1]].transpose(2, 0, 1) * np.uint16(scale)).all()


def test_a_page_of_text_is_no_culture(strangers: ModuleType, tmp_path: Path) -> None:
    """Nor is a figure of cultures; both are counted with the reason why there is no diagnosis."""
    bundle = open_bundle("demo")
    diagnoser = Diagnoser(bundle, open_engine(bundle))

    def said(kind: str) -> list[list[str]]:
        picture = strangers.DRAWN[kind](np.random.default_rng(0))
        return [list(strangers.what_is_said(diagnoser, file)) for file in strangers.forms(picture, tmp_path)]

    for words in said("text"):
        assert words[0] == "files"
        assert "one_recording" in words
        assert "diagnosed" not in words
    assert said("figure panel") == [["files", "unfamiliar"]] * 3  # of cultures


def test_a_culture_is_diagnosed(strangers: ModuleType, tmp_path: Path) -> None:
    """In each of the three forms, so that a refusal of a stranger is not one of the form."""
    bundle = open_bundle("demo")
    diagnoser = Diagnoser(bundle, open_engine(bundle))
    planes = simulate_projection("control", 0).astype(float)
    nuclei, collagen = planes * (255 / planes.max(axis=(1, 2), keepdims=True))
    picture = np.dstack([0 * nuclei, collagen, nuclei]).astype(np.uint8)

    said = [list(strangers.what_is_said(diagnoser, file)) for file in strangers.forms(picture, tmp_path)]

    assert said == [["files", "diagnosed"]] * 3
