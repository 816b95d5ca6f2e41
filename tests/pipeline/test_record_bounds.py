"""What is written is within the bounds of what is read, whatever a bundle, an engine or an image says."""

from contextlib import closing
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.bundle import Bundle
from colvi_edge.engines import EngineInfo, open_engine
from colvi_edge.errors import AxesError
from colvi_edge.outputs.read_back import parsed
from colvi_edge.outputs.sidecar import MAX_TEXT, ErrorRecord, Sidecar, to_json
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.records import error_record, result_record
from colvi_edge.quality import Assessment, Flag
from colvi_edge.quality.familiarity import Measure
from colvi_edge.simulate import simulate_projection, write_imagej

LONG = "word " * 10_000


def test_a_record_of_long_words_and_no_numbers_is_one(demo_bundle: Bundle) -> None:
    """Words are cut, and what could not be measured is absent."""
    bundle = replace(demo_bundle, name=LONG)
    image = Acquisition(
        name="x.tif",
        image_key="",
        planes=np.ones((1, 2, 64, 64), np.uint16),
        channels=("nuclei", "collagen"),
        pixel_size_um=0.3,
        plane_spacing_um=None,
        planes_planned=None,
        provenance=Provenance(1, "0" * 64, "CYX", (2, 64, 64), 2**63 - 1),
    )
    measures = [Measure("nuclei_size", value, 1.0, 2.0, 3.0) for value in (nan, inf, 2.0)]
    flags = [Flag("a", "reject", nan, inf, LONG), Flag("b", "warn", 1.5, None, "short")]
    engine = EngineInfo(LONG, "1", "fp32", "CPU", LONG)
    record = result_record(image, bundle, engine, Assessment(flags, measures), None, {})

    assert parsed(Sidecar, to_json(record)) == record
    assert [(flag.value, flag.limit) for flag in record.quality] == [(None, None), (1.5, None)]
    assert [measure.value for measure in record.familiarity or ()] == [2.0]
    words = (record.model.name, record.engine.runtime, record.engine.reason, record.quality[0].words)
    assert [len(text) for text in words] == [MAX_TEXT] * 4


def test_an_error_of_long_words_is_recorded() -> None:
    """Its sentence is cut; the record is one."""
    record = error_record("x.tif", AxesError(LONG))

    assert parsed(ErrorRecord, to_json(record)) == record
    assert len(record.error.message) == MAX_TEXT


def test_more_patches_than_are_recorded_are_refused(
    demo_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence, and not when all of them were judged."""
    write_imagej(tmp_path / "x.tif", simulate_projection("control", 31, size_px=192))
    monkeypatch.setattr("colvi_edge.outputs.sidecar.cells.MAX_PATCHES", 8)
    with closing(open_engine(demo_bundle, "openvino", "fp32")) as engine:
        (outcome,) = process(Diagnoser(demo_bundle, engine), find_inputs([tmp_path]))

    assert str(outcome.result) == (
        "x.tif: holds 9 patches of 64 x 64 pixels, but at most 8 are recorded; crop the image"
    )
    assert (tmp_path / "x.tif.colvi.error.json").is_file()
