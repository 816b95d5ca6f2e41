"""Sidecars of other classes, made the way the pipeline makes them: by a bundle's task, from probabilities."""

from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike

from colvi_edge.bundle import Config
from colvi_edge.outputs.sidecar import EngineRecord, Image, Model, Sidecar, Software
from colvi_edge.pipeline.answers import answered, asked, covered
from colvi_edge.tasks.task import task_of

MAJORITY = {"rule": "majority"}


def config_of(
    classes: tuple[str, ...], decision: dict[str, Any], cell: str = "patch", patch_px: int = 64
) -> Config:
    """Return what a bundle says that judges patches, images or slices of these classes."""
    return Config.model_validate(
        {
            "input": {
                "channels": ["collagen", "nuclei"],
                "planes": "each" if cell == "slice" else "sum",
                "normalisation": {"kind": "patch"},
                **({} if cell == "patch" else {"resize_px": (64, 64)}),
            },
            "windows": {"px": patch_px, "cell_px": patch_px} if cell == "patch" else {"px": "whole"},
            "task": {"kind": "classify", "classes": classes, "decision": decision},
            "quality": "general",
            "precisions": {"fp32": {"file": "fp32.onnx", "purpose": "reference"}},
        }
    )


def sidecar_of(kept: ArrayLike, config: Config, **changes: Any) -> Sidecar:
    """Return the sidecar of an image.

    Args:
        kept: (Z, rows, cols, K) probabilities, as an engine leaves them.
        config: of the bundle.
        changes: fields to replace.
    """
    field = np.asarray(kept, np.float32)
    edge = config.patch_px if config.has_patches else 64
    height, width = edge * field.shape[1], edge * field.shape[2]
    fields: dict[str, Any] = {
        "result_id": UUID("12345678-1234-5678-9234-567812345678"),
        "status": "ok",
        "task": asked(config),
        **answered(task_of(config.task).decide(field, None), config),
        "coverage": covered(height, width, config),
        "quality": [],
        "outputs": [],
        "image": Image(
            name="slide.tif", axes="CYX", shape=[2, height, width], dtype="uint16", planes=len(field)
        ),
        "model": Model(name="tissue", version="1.0", sha256="cd" * 32),
        "engine": EngineRecord(
            runtime="openvino", version="2026.4", precision="fp32", device="CPU", reason="the only one here"
        ),
        "timings_ms": {},
        "software": Software(version="0.2.0"),
        "created": datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc),
    }
    return Sidecar(**{**fields, **changes})
