"""What a record says of a segmentation."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from colvi_edge.outputs.sidecar import ObjectsRecord, RegionRecord, SpreadRecord, TaskRecord
from colvi_edge.tasks.objects import Objects, Spread
from colvi_edge.tasks.segment import Segmentation


def recorded(result: Segmentation, rule: str) -> dict[str, Any]:
    """Return the fields of a sidecar that tell what was found.

    Args:
        result: what was found.
        rule: by which classes were decided, such as "threshold".
    """
    return {
        "task": TaskRecord(kind="segment", classes=list(result.classes), rule=rule),
        "regions": [RegionRecord(**asdict(region)) for region in result.regions],
        "objects": None if result.objects is None else _objects(result.objects, result.classes),
    }


def _objects(objects: Objects, classes: tuple[str, ...]) -> ObjectsRecord:
    summary = objects.summary()
    counts = Counter(row.class_index for row in objects.rows)
    return ObjectsRecord(
        count=summary.count,
        by_class={name: counts[index] for index, name in enumerate(classes) if index},
        counted=summary.counted,
        diameter_px=_spread(summary.diameter_px),
        diameter_um=_spread(summary.diameter_um),
        roundness=_spread(summary.roundness),
    )


def _spread(spread: Spread | None) -> SpreadRecord | None:
    return None if spread is None else SpreadRecord(**asdict(spread))
