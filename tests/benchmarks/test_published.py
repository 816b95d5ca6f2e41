"""What of the published pipeline's reproduction runs without Keras does what that code did."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("published")


@pytest.mark.parametrize(
    ("patients", "title"),
    [
        (0, "Goodness: 100.0% (Class: Control)"),
        (127, "Goodness: 50.4% (Class: Control)"),
        (128, "Goodness: 50.0% (Unsure)"),
        (129, "Goodness: 49.6% (Class: Patient)"),
    ],
)
def test_the_vote_and_its_words(published: Any, patients: int, title: str) -> None:
    """Class 1 is the patient; the majority of 256 decides, a tie is unsure."""
    classes = np.repeat([1, 0], [patients, 256 - patients])

    assert published.verdict(classes) == title


def test_tiles_are_files_in_the_order_of_rows(published: Any, tmp_path: Path) -> None:
    """Cut, moved and renamed, and sorted by name, they are the image row by row."""
    pytest.importorskip("image_slicer", reason="needs benchmarks/requirements.txt")
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image, tiles = tmp_path / "raw" / "image.tif", tmp_path / "tiles"
    image.parent.mkdir()
    tiles.mkdir()
    Image.fromarray(np.dstack([np.kron(numbers, np.ones((64, 64), np.uint8))] * 3)).save(image)
    published.slice_image(image, tiles)
    published.move_tiles(image.parent, tiles)
    found = [np.asarray(Image.open(path)) for path in sorted(tiles.iterdir())]

    assert [path.name for path in image.parent.iterdir()] == ["image.tif"]
    assert {path.suffix for path in tiles.iterdir()} == {".tif"}
    assert all(tile.shape == (64, 64, 3) for tile in found)
    assert [tile.min() for tile in found] == [tile.max() for tile in found] == list(range(256))


def test_every_patch_has_a_rectangle(published: Any) -> None:
    """In the colour of its p_control, and where that code drew it: column by column."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs benchmarks/requirements.txt")
    pyplot.switch_backend("Agg")
    p_control = np.tile(np.array([0.95, 0.7, 0.5, 0.3], np.float32), 64)
    p_control[255] = 0.29
    published.draw(np.zeros((1024, 1024, 3), np.float32), p_control, "title")
    axes = pyplot.gca()
    drawn = [(patch.get_xy(), patch.get_edgecolor()[:3]) for patch in axes.patches]
    pyplot.close()
    cyan, steelblue, yellow, red = (0, 1, 1), (70 / 255, 130 / 255, 180 / 255), (1, 1, 0), (1, 0, 0)

    assert axes.get_title() == "title"
    assert len(drawn) == 256
    assert drawn[:3] == [((0, 0), cyan), ((0, 64), steelblue), ((0, 128), yellow)]
    assert drawn[16] == ((64, 0), cyan)
    assert drawn[255] == ((960, 960), red)


def test_the_network_is_the_published_one(published: Any) -> None:
    """As large as theirs, with two sigmoids: probabilities that need not sum to 1."""
    pytest.importorskip("keras", reason="needs benchmarks/requirements.txt")
    network = published.network()
    found = network.predict(np.random.default_rng(0).random((3, 64, 64, 3), np.float32), verbose=0)

    assert network.count_params() == 269_092
    assert found.shape == (3, 2)
    assert ((found > 0) & (found < 1)).all()
    assert (np.abs(found.sum(axis=1) - 1) > 1e-3).any()
