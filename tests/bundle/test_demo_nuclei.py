"""The shipped bundle that outlines nuclei: small, synthetic by name, and right on unseen images.

Few are judged here; what 40 gave stands in benchmarks/results/nuclei.json.
"""

from pathlib import Path

import numpy as np
import pytest

from colvi_edge.bundle import DEMO_NUCLEI, Bundle, demo_path, open_bundle
from colvi_edge.bundle.task import Segment
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import UsageError
from colvi_edge.export.commands.evaluate import evaluate_model
from colvi_edge.export.data.dataset import digest_of
from colvi_edge.export.evaluation.matching import Matching, match
from colvi_edge.export.evaluation.outlining import open_outliner
from colvi_edge.export.evaluation.overlap import Overlap, overlaps
from colvi_edge.report.entries import DEMO_MODELS
from colvi_edge.simulate import image_seed, simulate_mask, simulate_projection

UNSEEN = 34359738368
"""Seed of a series that nothing else draws from."""


@pytest.fixture(scope="module")
def nuclei() -> Bundle:
    """Return the shipped bundle."""
    return open_bundle(DEMO_NUCLEI)


def test_it_is_small_and_says_that_it_is_synthetic(nuclei: Bundle) -> None:
    """Less than 4 MB; the name, which stands in every result, is one that the report warns of."""
    assert sum(path.stat().st_size for path in demo_path(DEMO_NUCLEI).iterdir()) < 4_000_000
    assert nuclei.name in DEMO_MODELS
    assert "synthetic" in nuclei.name


def test_it_outlines_nuclei_in_one_channel(nuclei: Bundle) -> None:
    """In tiles that equal the whole image; every precision is there and passed."""
    config = nuclei.config

    assert isinstance(config.task, Segment)
    assert config.task.classes == ("background", "nucleus")
    assert config.task.objects is not None
    assert config.channels == ("nuclei",)
    assert config.normalisation.kind == "image"
    assert config.windows.reach_px is not None
    assert config.windows.reach_px <= config.windows.halo_px
    assert set(config.precisions) == {"fp32", "fp16", "int8-cpu", "int8-trt"}
    assert config.precisions["int8-cpu"].passed("openvino")


@pytest.mark.parametrize("precision", [PrecisionChoice.INT8, PrecisionChoice.FP32])
def test_unseen_nuclei_are_outlined_and_counted(precision: PrecisionChoice) -> None:
    """Of two fresh cultures: Dice and F1 of 0.95 and more, and the count within 5 %."""
    covered, found = Overlap(0, 0, 0), Matching(0, 0, 0, 0, 0, ())
    with open_outliner(DEMO_NUCLEI, EngineName.AUTO, precision) as outliner:
        for k, label in enumerate(("control", "patient")):
            drawn = image_seed(UNSEEN, k)
            planes = simulate_projection(label, drawn)[np.newaxis, :1]  # type: ignore[arg-type]
            objects = simulate_mask(label, drawn).astype(np.int32)  # type: ignore[arg-type]
            outlined = outliner.outline(planes, None)
            assert digest_of(planes) not in outliner.seen
            assert outlined.objects is not None
            covered += overlaps((objects > 0).astype(np.uint8), outlined.labels[0], 2)[1]
            found += match(objects, outlined.objects.labels[0])

    assert found.there > 60
    assert (covered.dice or 0) >= 0.95
    assert (found.f1 or 0) >= 0.95
    assert abs(found.count_error or 0) <= 0.05


def test_it_is_no_judge_of_labels(tmp_path: Path) -> None:
    """Asked for a diagnosis of cultures it says what it is."""
    for name in ("control", "patient"):
        (tmp_path / name).mkdir()

    with pytest.raises(UsageError, match="outlines regions"):
        evaluate_model(
            DEMO_NUCLEI,
            tmp_path,
            engine=EngineName.AUTO,
            precision=PrecisionChoice.AUTO,
            channels=None,
            tell=print,
            progress=None,  # type: ignore[arg-type]
        )
