"""Labels, ROIs and table of a segmented image in other programs: the real ImageJ, and napari's readers.

The nuclei of a simulated culture are cut out by their own masks, which touch in places and have a hole, and
of a second image there are three planes.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.bundle.task import Segment
from colvi_edge.choices import OverlayChoice
from colvi_edge.simulate import simulate_mask, simulate_projection
from colvi_edge.tasks.segment import Segmentation, segmentation
from tests.tools.segmentations import PIXEL_UM, leave, record_of

HERE = Path(__file__).parent
JAR = "/usr/share/java/ij.jar"
NAPARI = os.environ.get("COLVI_EDGE_NAPARI")
TIMEOUT_S = 120  # a macro that fails opens a dialog, and waits for ever
SIZE_PX = 512
TASK = Segment.model_validate(
    {
        "kind": "segment",
        "classes": ["background", "nucleus"],
        "decision": {"rule": "threshold", "of": "nucleus", "at_least": 0.5},
        "objects": {"split": "none"},
    }
)


class Left(NamedTuple):
    """What was left of an image: the result as arrays, its JSON as parsed, and its files."""

    result: Segmentation
    record: dict[str, Any]
    labels: Path
    rois: Path
    ome_tiff: Path
    table: Path


def written(folder: Path, classes: NDArray[np.uint8], nuclei: NDArray[np.uint16]) -> Left:
    """Write the files of an image whose map of classes, (Z, H, W), this is."""
    kept = np.stack([classes, np.where(classes > 0, 230, 20).astype(np.uint8)], axis=-1)
    result = segmentation(TASK, kept, PIXEL_UM)
    leave(folder, record_of(result, "X.tif"), result, nuclei, OverlayChoice.OME_TIFF)
    beside = [folder / f"X.tif.colvi.{end}" for end in ("json", "labels.tif", "rois.zip", "ome.tif", "csv")]
    return Left(result, json.loads(beside[0].read_bytes()), *beside[1:])


@pytest.fixture(scope="module", params=[1, 3], ids=["projection", "stack"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Return an image of one plane or three; one nucleus has a hole, one touches another at a corner."""
    numbered = [simulate_mask("control", seed, size_px=SIZE_PX) for seed in range(4, 4 + request.param)]
    classes = (np.stack(numbered) > 0).astype(np.uint8)
    inner = np.argwhere(numbered[0] == 3).mean(axis=0).astype(int)
    classes[0, inner[0] - 2 : inner[0] + 3, inner[1] - 1 : inner[1] + 4] = 0
    corner = np.argwhere(classes[0])[0]
    classes[0, corner[0] - 4 : corner[0], corner[1] - 5 : corner[1]] = 1
    nuclei = simulate_projection("control", 4, size_px=SIZE_PX)[0]
    return written(tmp_path_factory.mktemp("regions"), classes, nuclei)


@pytest.fixture(scope="module")
def printed(shown: Left, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """Return the macro's lines, cut into fields, by their first; ImageJ is started once an image."""
    files = "|".join(map(str, (shown.labels, shown.rois, shown.ome_tiff, shown.table)))
    home = f"-Duser.home={tmp_path_factory.mktemp('home')}"
    command = ["xvfb-run", "-a", "java", home, "-jar", JAR, "-batch", str(HERE / "regions.ijm"), files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as imagej:
        try:
            output, _ = imagej.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(imagej.pid, signal.SIGKILL)
            raise
    lines = sorted((line.split("\t") for line in output.splitlines()), key=lambda fields: fields[0])
    return {kind: [fields[1:] for fields in group] for kind, group in groupby(lines, lambda f: f[0])}


def names(result: Segmentation) -> Iterator[tuple[str, Any]]:
    """Yield the name and the measures of each object."""
    assert result.objects
    for row in result.objects.rows:
        yield f"nucleus_{row.label:04}", row


@pytest.mark.imagej
def test_imagej_opens_the_labels(printed: dict[str, list[list[str]]], shown: Left) -> None:
    """As 16-bit slices with a scale in um, in colours, black where there is nothing."""
    planes = str(len(shown.result.labels))

    (labels,) = printed["labels"]
    assert labels == [str(SIZE_PX), str(SIZE_PX), planes, "16", str(PIXEL_UM), "\u00b5m", "0", "255"]
    with tifffile.TiffFile(shown.labels) as file:
        lut = np.reshape(file.pages.first.tags["ColorMap"].value, (3, 256)).T // 257
    assert printed["lut"] == [[str(part) for part in colour] for colour in lut[:4]]
    assert len({tuple(colour) for colour in printed["lut"]}) == 4
    assert printed["lut"][0] == ["0", "0", "0"]


@pytest.mark.imagej
def test_every_roi_covers_its_object_and_nothing_else(
    printed: dict[str, list[list[str]]], shown: Left
) -> None:
    """In its slice: as many pixels as the object has, all of its number; and ImageJ's area is the table's."""
    found = printed["roi"]
    assert shown.record["objects"]["count"] == len(found) > 10
    assert sum(int(roi[1]) for roi in found) == shown.record["regions"][0]["pixels"]
    for roi, (name, row) in zip(found, names(shown.result), strict=True):
        assert roi[0] == name
        assert (int(roi[1]), int(roi[2]), int(roi[3])) == (row.area_px, row.label, row.label)
        assert float(roi[4]) == pytest.approx(row.area_um2, rel=1e-4)
        assert int(roi[5]) == row.plane + 1
        assert roi[6:] == ["#f0e442", str(row.label), "nucleus"]


@pytest.mark.imagej
def test_the_ome_tiff_opens_with_the_same_objects(printed: dict[str, list[list[str]]], shown: Left) -> None:
    """Without Bio-Formats, from ImageJ's own overlay."""
    expected = [
        [f"{number}-{name}", str(row.area_px)] for number, (name, row) in enumerate(names(shown.result), 1)
    ]
    found = [[f"{int(roi[0].split('-')[0])}-{roi[0].split('-', 1)[1]}", roi[1]] for roi in printed["overlay"]]

    assert found == expected


@pytest.mark.imagej
def test_the_table_opens_as_a_results_table(printed: dict[str, list[list[str]]], shown: Left) -> None:
    """A row an object."""
    for told, (_, row) in zip(printed["row"], names(shown.result), strict=True):
        assert (int(told[0]), int(told[1]), told[3]) == (row.label, row.area_px, "nucleus")
        assert float(told[2]) == pytest.approx(row.diameter_um, abs=1e-8)


@pytest.mark.skipif(not NAPARI, reason="needs napari: COLVI_EDGE_NAPARI names a Python that has it")
def test_napari_opens_labels_and_table(shown: Left) -> None:
    """Each number has the pixels of its object, and a point of the table lies on it, if not in a hole."""
    assert NAPARI
    command = [NAPARI, str(HERE / "napari_labels.py"), str(shown.labels), str(shown.table)]
    held = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = [row for _, row in names(shown.result)]

    assert held["shape"] == list(shown.result.labels.shape[-2 if len(shown.result.labels) == 1 else -3 :])
    assert held["pixels"].pop("0") == shown.result.labels.size - shown.record["regions"][0]["pixels"]
    assert held["pixels"] == {str(row.label): row.area_px for row in rows}
    assert held["kind"] == "Points"
    place = [[row.plane, row.y, row.x] if len(shown.result.labels) > 1 else [row.y, row.x] for row in rows]
    assert np.asarray(held["points"]) == pytest.approx(np.array(place))
    on_it = [there == row.label for there, row in zip(held["label_there"], rows, strict=True)]
    assert sum(on_it) >= len(rows) - 1
    assert held["properties"]["area_px"] == [row.area_px for row in rows]
