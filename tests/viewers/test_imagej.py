"""Debian's ImageJ opens what is left beside an image; a macro prints what it then holds."""

import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.imagej

MACRO = Path(__file__).with_name("imagej.ijm")
JAR = "/usr/share/java/ij.jar"
TIMEOUT_S = 120  # a macro that fails opens a dialog, and waits for ever

NAMED_COLOURS = {
    "cyan": "cyan",
    "steelblue": "#4682b4",
    "yellow": "yellow",
    "orange": "#ffa500",
    "red": "red",
}


@pytest.fixture(scope="module")
def printed(mixed: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """Return the macro's lines, cut into fields, by their first; ImageJ is started once."""
    files = "|".join(map(str, (mixed.picture, mixed.roi_zip, mixed.ome_tiff, mixed.table)))
    # The settings of whoever runs this, such as default groups of ROIs, stay out of it.
    home = f"-Duser.home={tmp_path_factory.mktemp('home')}"
    command = ["xvfb-run", "-a", "java", home, "-jar", JAR, "-batch", str(MACRO), files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as imagej:
        try:
            output, _ = imagej.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(imagej.pid, signal.SIGKILL)
            raise
    lines = sorted((line.split("\t") for line in output.splitlines()), key=lambda fields: fields[0])
    return {kind: [fields[1:] for fields in group] for kind, group in groupby(lines, lambda f: f[0])}


def words(patch: dict[str, Any]) -> list[str]:
    """Return what ImageJ prints of a patch: colour, group, p_control, vote, band."""
    return [NAMED_COLOURS[patch["band"]], "0", str(patch["p_control"]), patch["vote"], patch["band"]]


def rois(printed: dict[str, list[list[str]]], source: str) -> Iterator[list[str]]:
    """Yield the ROIs of one file: name, x, y, width, height, colour, group, p_control, vote, band."""
    return (fields[1:] for fields in printed["roi"] if fields[0] == source)


def test_every_roi_of_the_zip_is_its_patch(printed: dict[str, list[list[str]]], mixed: Any) -> None:
    """All 256, in order: name, place, colour of the band, and the numbers as properties.

    ImageJ takes no group from them on purpose: a ROI with a group is drawn in the group's colour.
    """
    found = list(rois(printed, "zip"))

    assert len(found) == 256
    assert found == [
        [name, *map(str, (patch["x"], patch["y"], 64, 64)), *words(patch)]
        for name, patch in mixed.patches.items()
    ]


def test_the_ome_tiff_opens_with_a_frame_inside_every_patch(
    printed: dict[str, list[list[str]]], mixed: Any
) -> None:
    """Without Bio-Formats; two pixels inside, so that neighbours do not cover each other's colour."""
    assert list(rois(printed, "overlay")) == [
        # the ROI Manager numbers what comes from an overlay
        [f"{number}-{name}", *map(str, (patch["x"] + 2, patch["y"] + 2, 60, 60)), *words(patch)]
        for number, (name, patch) in enumerate(mixed.patches.items(), 1)
    ]


def test_the_picture_and_the_channels_open_as_what_they_are(
    printed: dict[str, list[list[str]]], mixed: Any
) -> None:
    """The PNG in colour with its caption below; the OME-TIFF as 16-bit planes with a scale in um."""
    picture, planes = printed["image"]

    assert picture[0] == "1024"
    assert int(picture[1]) > 1024
    assert picture[2:4] == ["1", "24"]
    assert planes == ["1024", "1024", "2", "16", "0.3", "\u00b5m"]
    headline = f"patient, score {mixed.record['score']:.1f} (research use only)"
    labels, means = zip(*printed["slice"], strict=True)
    assert labels == (f"nuclei: {headline}", f"collagen: {headline}")
    assert [float(mean) for mean in means] == pytest.approx(mixed.raw.mean(axis=(1, 2)), abs=1e-3)


def test_the_patch_table_opens_as_a_results_table(printed: dict[str, list[list[str]]], mixed: Any) -> None:
    """Each row at the place, and with the number and the band, of the JSON."""
    found = printed["row"]

    assert [(int(x), int(y), band) for x, y, _, band in found] == [
        (patch["x"], patch["y"], patch["band"]) for patch in mixed.patches.values()
    ]
    assert [float(p_control) for _, _, p_control, _ in found] == pytest.approx(
        [patch["p_control"] for patch in mixed.patches.values()], abs=1e-9
    )
