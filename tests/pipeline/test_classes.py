"""Bundles of other classes, from the raw file to every file beside it, report, tables and evaluate."""

import csv
import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("torch")  # absent where the runtime is tried alone: make floors

from colvi_edge.outputs.palette import class_colours
from colvi_edge.outputs.sidecar import Sidecar
from tests.tools.class_bundles import STEEP, brightness_bundle
from tests.tools.engines import ENGINES
from tests.tools.results import files_of

Run = Callable[..., tuple[int, str, str]]

TISSUES = ("dark", "middle", "bright")
LEVELS = (40, 128, 215)
VOTES = [[0, 1, 2, 2], [2, 2, 0, 1], [2, 1, 1, 2]]
"""Which class each patch of the image of patches is of: 2, 4 and 6."""


def picture(levels: NDArray[np.float64], seed: int = 0) -> NDArray[np.uint8]:
    """Return 8-bit pixels of such a brightness, with some noise."""
    noise = np.random.default_rng(seed).normal(0, 3, levels.shape)
    return np.clip(levels + noise, 1, 250).astype(np.uint8)


def patched(votes: list[list[int]], seed: int = 0) -> NDArray[np.uint8]:
    """Return an image whose patches of 64 pixels are of these classes, and a rim of half a patch."""
    levels = np.array(LEVELS, float)[np.array(votes)].repeat(64, 0).repeat(64, 1)
    return picture(np.pad(levels, ((0, 32), (0, 32)), constant_values=128), seed)


def softmax(mean: float, classes: int) -> list[float]:
    """Return what the network says of a mean brightness 0..1, by plain arithmetic."""
    edges = [sum(range(k + 1)) / classes for k in range(classes)]
    powers = [math.exp(STEEP * (k * mean - edge) - STEEP * mean) for k, edge in enumerate(edges)]
    return [power / sum(powers) for power in powers]


def record(raw: Path) -> dict[str, Any]:
    """Return the sidecar of a raw file, as it is written."""
    text = Path(f"{raw}.colvi.json").read_bytes()
    Sidecar.model_validate_json(text)
    return dict(json.loads(text))


def table(raw: Path) -> list[dict[str, str]]:
    """Return the patch table of a raw file."""
    return list(csv.DictReader(io.StringIO(Path(f"{raw}.colvi.csv").read_text())))


def page(folder: Path) -> dict[str, Any]:
    """Return what the report of a folder tells its script."""
    text = (folder / "report.html").read_text()
    return dict(json.loads(text.partition('id="data">')[2].partition("</script>")[0]))


@pytest.mark.parametrize("engine", ENGINES)
def test_patches_of_three_classes(tmp_path: Path, run: Run, engine: str) -> None:
    """Votes, frames, tables, polygons and ROIs are those of the patches that were drawn."""
    bundle = brightness_bundle(tmp_path / "tissue.colvi", TISSUES, {"rule": "majority"}, patch_px=64)
    raw = tmp_path / "day" / "slide.tif"
    raw.parent.mkdir()
    pixels = patched(VOTES)
    tifffile.imwrite(raw, pixels, imagej=True)

    code, out, err = run("run", raw, "--bundle", bundle.path, "--engine", engine, "--overlay", "ome-tiff")

    assert code == 0, err
    assert "bright" in out
    told = record(raw)
    assert told["task"] == {"kind": "classify", "classes": list(TISSUES), "rule": "majority"}
    assert (told["diagnosis"], told["score"]) == ("bright", 50.0)
    assert told["votes"] == {"dark": 2, "middle": 4, "bright": 6, "tie": 0}
    assert told["coverage"] == pytest.approx(12 * 64**2 / pixels.size)
    grid = told["patches"]
    assert (grid["of"], grid["size_px"], grid["rows"], grid["cols"]) == ("patch", 64, 3, 4)
    assert grid["vote"] == [[TISSUES[k] for k in row] for row in VOTES]
    for row in range(3):
        for col in range(4):
            mean = pixels[64 * row : 64 * row + 64, 64 * col : 64 * col + 64].mean() / 255
            found = [grid["probabilities"][name][row][col] for name in TISSUES]
            assert found == pytest.approx(softmax(mean, 3), abs=1e-4)
    listed = {output["name"] for output in told["outputs"]}
    assert listed == files_of("slide.tif", "ome.tif") - {"slide.tif.colvi.json"}

    rows = table(raw)
    assert list(rows[0])[8:] == ["prob_dark", "prob_middle", "prob_bright", "prediction", "axis-0", "axis-1"]
    assert [row["prediction"] for row in rows] == [TISSUES[k] for row in VOTES for k in row]
    assert (rows[5]["minx"], rows[5]["miny"], rows[5]["axis-0"]) == ("64", "64", "95.5")

    field, *tiles = json.loads(Path(f"{raw}.colvi.geojson").read_text())["features"]
    assert field["properties"]["measurements"]["votes_middle"] == 4
    assert [tile["properties"]["classification"]["name"] for tile in tiles] == [
        row["prediction"] for row in rows
    ]
    with zipfile.ZipFile(f"{raw}.colvi.rois.zip") as rois:
        assert len(rois.namelist()) == 12
        assert "p_middle: " in rois.read("r01_c02.roi").decode("utf-16-be", "ignore")

    overlay = np.asarray(Image.open(f"{raw}.colvi.png"))
    colours = class_colours(TISSUES)
    for row in range(3):
        for col in range(4):
            corner = overlay[64 * row + 1, 64 * col + 1]
            assert tuple(corner) == colours[TISSUES[VOTES[row][col]]]
    with tifffile.TiffFile(f"{raw}.colvi.ome.tif") as ome:
        assert 'Text="r00_c00 dark"' in (ome.ome_metadata or "")


def test_whole_images_of_two_classes(tmp_path: Path, run: Run) -> None:
    """Brought to the network's size inside; the threshold decides, and that the shape changed is told."""
    decision = {"rule": "threshold", "of": "ill", "at_least": 0.4}
    bundle = brightness_bundle(tmp_path / "chest.colvi", ("well", "ill"), decision, resize_px=(64, 96))
    folder = tmp_path / "day"
    folder.mkdir()
    # p(ill) = 1 / (1 + exp(-40 (mean - 0.5))): 0.4 is reached from a mean of 0.48986 on, a level of 124.9
    levels = {"low.tif": 118.0, "near.tif": 126.0, "high.tif": 140.0}
    for seed, (name, level) in enumerate(levels.items()):
        tifffile.imwrite(folder / name, picture(np.full((160, 120), level), seed), imagej=True)

    code, _, err = run("run", folder, "--bundle", bundle.path)

    assert code == 0, err
    for name, diagnosis in {"low.tif": "well", "near.tif": "ill", "high.tif": "ill"}.items():
        told = record(folder / name)
        pixels = tifffile.imread(folder / name)
        p = softmax(pixels.mean() / 255, 2)[1]
        assert told["task"]["rule"] == "threshold"
        assert (told["task"]["of"], told["task"]["at_least"]) == ("ill", 0.4)
        assert told["diagnosis"] == diagnosis
        assert told["score"] == pytest.approx(100 * p, abs=1.5)
        grid = told["patches"]
        assert (grid["of"], grid["rows"], grid["cols"], "size_px" in grid) == ("image", 1, 1, False)
        assert grid["probabilities"]["ill"] == [[pytest.approx(told["score"] / 100)]]
        assert [flag["name"] for flag in told["quality"]] == ["aspect_changed"]
        (row,) = table(folder / name)
        assert (row["width"], row["height"], row["prediction"]) == ("120", "160", diagnosis)
        overlay = np.asarray(Image.open(folder / f"{name}.colvi.png"))
        assert tuple(overlay[0, 0]) == tuple(overlay[159, 119]) == class_colours(("well", "ill"))[diagnosis]


def test_stacks_by_the_share_of_their_slices(tmp_path: Path, run: Run) -> None:
    """Thigh-muscle MRI: healthy if more than a tenth of the slices look so; a tenth is ill."""
    decision = {"rule": "share", "of": "healthy", "above": 0.10}
    bundle = brightness_bundle(
        tmp_path / "thigh.colvi", ("ill", "healthy"), decision, resize_px=(64, 64), planes="each"
    )
    folder = tmp_path / "day"
    folder.mkdir()
    for name, healthy in {"tenth.tif": (3, 17), "more.tif": (3, 9, 17)}.items():
        levels = np.full((20, 64, 64), 60.0)
        levels[list(healthy)] = 200
        tifffile.imwrite(folder / name, picture(levels), imagej=True, metadata={"axes": "ZYX"})

    code, _, err = run("run", folder, "--bundle", bundle.path)

    assert code == 0, err
    tenth, more = record(folder / "tenth.tif"), record(folder / "more.tif")
    assert (tenth["diagnosis"], tenth["score"]) == ("ill", pytest.approx(10))
    assert (more["diagnosis"], more["score"]) == ("healthy", pytest.approx(15))
    assert tenth["votes"] == {"ill": 18, "healthy": 2, "tie": 0}
    assert (tenth["patches"]["of"], tenth["patches"]["rows"], tenth["patches"]["cols"]) == ("slice", 20, 1)
    rows = table(folder / "more.tif")
    assert [row["row"] for row in rows if row["prediction"] == "healthy"] == ["3", "9", "17"]
    assert [row["axis-0"] for row in rows] == [str(plane) for plane in range(20)]
    _, *tiles = json.loads((folder / "more.tif.colvi.geojson").read_text())["features"]
    assert [tile["geometry"]["plane"]["z"] for tile in tiles] == list(range(20))


def test_one_folder_with_all_of_them(tmp_path: Path, run: Run) -> None:
    """The report and the table of a folder hold each with the classes of its own."""
    three = brightness_bundle(tmp_path / "tissue.colvi", TISSUES, {"rule": "majority"}, patch_px=64)
    decision = {"rule": "threshold", "of": "ill", "at_least": 0.5}
    two = brightness_bundle(tmp_path / "chest.colvi", ("well", "ill"), decision, resize_px=(64, 64))
    folder = tmp_path / "day"
    folder.mkdir()
    tifffile.imwrite(folder / "slide.tif", patched(VOTES), imagej=True)
    assert run("run", folder, "--bundle", three.path)[0] == 0
    tifffile.imwrite(folder / "chest.tif", picture(np.full((128, 128), 200.0)), imagej=True)
    assert run("run", folder / "chest.tif", "--bundle", two.path)[0] == 0

    assert run("report", folder)[0] == 0
    code, listed, _ = run("table", folder)

    assert code == 0
    told = page(folder)
    images = {image["name"]: image for image in told["images"]}
    assert told["tasks"][images["slide.tif"]["task"]]["classes"] == list(TISSUES)
    assert told["tasks"][images["chest.tif"]["task"]]["scored"] == "100 = ill"
    assert images["slide.tif"]["votes"] == [2, 4, 6, 0]
    assert images["slide.tif"]["classed"] == [k for row in VOTES for k in row]
    assert images["chest.tif"]["likely"][1] >= 999
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(listed))}
    assert (rows["slide.tif"]["votes_bright"], rows["slide.tif"]["votes_ill"]) == ("6", "")
    assert (rows["chest.tif"]["votes_ill"], rows["chest.tif"]["votes_control"]) == ("1", "")
    assert float(rows["chest.tif"]["p_ill_mean"]) == pytest.approx(1, abs=1e-3)


def test_evaluate_counts_what_was_drawn(tmp_path: Path, run: Run) -> None:
    """Of three classes: an image of the middle that is drawn dark is the one that is wrong."""
    bundle = brightness_bundle(tmp_path / "tissue.colvi", TISSUES, {"rule": "majority"}, patch_px=64)
    drawn = {"dark": [0, 0], "middle": [1, 0], "bright": [2, 2, 2]}
    for name, classes in drawn.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for number, k in enumerate(classes):
            votes = [[k, k, k], [k, k, (k + 1) % 3]]
            pixels = patched(votes, 10 * number + len(name))
            tifffile.imwrite(tmp_path / "set" / name / f"{number}.tif", pixels, imagej=True)

    code, out, err = run(
        "evaluate", bundle.path, tmp_path / "set", "--json", "--html", tmp_path / "page.html"
    )

    assert code == 0, err
    told = json.loads(out)
    assert told["classes"] == list(TISSUES)
    assert told["image"]["confusion"] == [[2, 0, 0, 0], [1, 1, 0, 0], [0, 0, 3, 0]]
    assert told["cells"]["confusion"] == [[10, 2, 0, 0], [5, 6, 1, 0], [3, 0, 15, 0]]
    assert told["image"]["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert {one["name"]: one["recall"] for one in told["image"]["classes"]}["middle"] == 0.5
    assert "middle" in (tmp_path / "page.html").read_text()
    code, shown, _ = run("evaluate", bundle.path, tmp_path / "set")
    assert code == 0
    assert "6 of 7 images judged right" in shown
