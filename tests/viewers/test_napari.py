"""napari's own reader opens the patch table.

napari asks for a newer pydantic than the BioImage.IO library allows, so it lives in an environment of
its own: `python -m venv NAPARI && NAPARI/bin/pip install napari`, and COLVI_EDGE_NAPARI=NAPARI/bin/python.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.bands import BANDS

PYTHON = os.environ.get("COLVI_EDGE_NAPARI")
COLUMNS = {"prob_control": "p_control", "prob_patient": "p_patient", "prediction": "vote", "band": "band"}
READER = Path(__file__).with_name("napari_reader.py")


@pytest.mark.skipif(not PYTHON, reason="needs napari: COLVI_EDGE_NAPARI names a Python that has it")
def test_the_patch_table_opens_as_points_in_the_bands_colours(mixed: Any) -> None:
    """256 points at the patches' centres, each with the numbers of the JSON."""
    assert PYTHON
    done = subprocess.run([PYTHON, READER, mixed.table], check=True, capture_output=True, text=True)
    held = json.loads(done.stdout)
    patches = list(mixed.patches.values())

    assert held["kind"] == "Points"
    assert held["points"] == [[patch["y"] + 31.5, patch["x"] + 31.5] for patch in patches]
    for column, key in COLUMNS.items():
        assert held["properties"][column] == [patch[key] for patch in patches]
    colours = {band.name: list(band.rgb) for band in BANDS}
    assert held["colours"] == [colours[patch["band"]] for patch in patches]
