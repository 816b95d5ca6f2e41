"""A sidecar to view, made the way the pipeline makes one: by `diagnose`, from probabilities."""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import ArrayLike

from colvi_edge.bands import BANDS
from colvi_edge.outputs.sidecar import EngineRecord, Image, Model, Patches, Sidecar, Software, Votes
from colvi_edge.tasks.classify import VOTES, diagnose

PATCH_PX = 64


@pytest.fixture(scope="session")
def make_sidecar() -> Callable[..., Sidecar]:
    """Return `a_sidecar`; as a fixture, because test modules cannot import each other."""
    return a_sidecar


def a_sidecar(probabilities: ArrayLike | None = None, **changes: Any) -> Sidecar:
    """Return the sidecar of an image whose patches have this p_control, and p_patient = 1 - p_control.

    Args:
        probabilities: p_control, (rows, cols); None for a rejected image of 128 x 192 pixels.
        changes: fields to replace.
    """
    judged: dict[str, Any] = {"status": "rejected"}
    rows, cols = 2, 3
    if probabilities is not None:
        p_control = np.asarray(probabilities, np.float64)
        p_patient = np.round(1 - p_control, 6)
        diagnosis = diagnose(np.stack([p_control, p_patient], axis=-1).astype(np.float32))
        rows, cols = p_control.shape
        judged = {
            "status": "ok",
            "diagnosis": diagnosis.name,
            "score": diagnosis.score,
            "votes": Votes(**dict(zip(VOTES, diagnosis.counts, strict=True))),
            "patches": Patches(
                size_px=PATCH_PX,
                rows=rows,
                cols=cols,
                p_control=diagnosis.p_control.astype(str).astype(float).tolist(),
                p_patient=diagnosis.p_patient.astype(str).astype(float).tolist(),
                vote=np.array(VOTES)[diagnosis.vote].tolist(),
                band=np.array([band.name for band in BANDS])[diagnosis.band].tolist(),
            ),
        }
    fields: dict[str, Any] = {
        "result_id": UUID("12345678-1234-5678-9234-567812345678"),
        "coverage": 1.0,
        "quality": [],
        "outputs": [],
        "image": Image(
            name="culture_07.tif",
            bytes=4_194_304,
            sha256="ab" * 32,
            axes="CYX",
            shape=[2, rows * PATCH_PX, cols * PATCH_PX],
            dtype="uint16",
            planes=1,
            pixel_size_um=0.3,
            channels=["nuclei", "collagen"],
        ),
        "model": Model(name="colvi-edge synthetic demo model", version="1.0", sha256="cd" * 32),
        "engine": EngineRecord(
            runtime="openvino", version="2026.4", precision="fp32", device="CPU", reason="the only one here"
        ),
        "timings_ms": {"read": 1.25, "judge": 40.0},
        "software": Software(version="0.1.0"),
        "created": datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc),
        **judged,
        **changes,
    }
    return Sidecar(**fields)
