"""What a record says of a result: how the cells of an image voted, or which regions and objects it holds."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bands import BANDS
from colvi_edge.bundle import Config
from colvi_edge.bundle.task import Classify, Largest, Segment, Threshold
from colvi_edge.outputs.sidecar import Cells, ObjectsRecord, Patches, RegionRecord, TaskRecord, Votes
from colvi_edge.patches import coverage
from colvi_edge.tasks.classify import VOTES, Diagnosis, Rule, rule_of
from colvi_edge.tasks.segment import Segmentation
from colvi_edge.tasks.task import Answer


def asked(config: Config) -> TaskRecord | None:
    """Return what a record says that a bundle was asked; None of control and patient in bands, as ever."""
    task = config.task
    match task:
        case Classify():
            return None if task.bands is not None else _classify_record(task.classes, rule_of(task.decision))
        case Segment():
            return _segment_record(task.classes, task.decision)


def answered(result: Answer, config: Config) -> dict[str, Any]:
    """Return the fields of a sidecar that tell of a result."""
    match result:
        case Diagnosis():
            return _diagnosed(result, config)
        case Segmentation():
            return regions_found(result)


def regions_found(found: Segmentation) -> dict[str, Any]:
    """Return the fields of a sidecar that tell of regions and objects."""
    regions = [RegionRecord(**asdict(region)) for region in found.regions]
    if found.objects is None:
        return {"regions": regions}
    summary = asdict(found.objects.summary())
    classes = Counter(row.class_index for row in found.objects.rows)
    by_class = {name: classes[number] for number, name in enumerate(found.classes) if number}
    return {"regions": regions, "objects": ObjectsRecord(by_class=by_class, **summary)}


def _diagnosed(diagnosis: Diagnosis, config: Config) -> dict[str, Any]:
    """Return the fields of a sidecar that tell of a diagnosis."""
    if asked(config) is None:
        votes: Any = Votes(**dict(zip(VOTES, diagnosis.counts, strict=True)))
        grid: Any = _patches(diagnosis, config.patch_px)
    else:
        votes = dict(zip(diagnosis.votes, diagnosis.counts, strict=True))
        grid = _cells(diagnosis, config)
    return {"diagnosis": diagnosis.name, "score": diagnosis.score, "votes": votes, "patches": grid}


def covered(height: int, width: int, config: Config) -> float:
    """Return the share of an image's pixels that is judged; a rim is left of what patches do not fill."""
    return coverage(height, width, config.patch_px) if config.has_patches else 1.0


def _segment_record(classes: tuple[str, ...], decision: Largest | Threshold) -> TaskRecord:
    named, rule = list(classes), decision.rule
    match decision:
        case Largest():
            return TaskRecord(kind="segment", classes=named, rule=rule)
        case Threshold(of=of, at_least=at_least):
            return TaskRecord(kind="segment", classes=named, rule=rule, of=of, at_least=at_least)


def _classify_record(classes: tuple[str, ...], rule: Rule) -> TaskRecord:
    return TaskRecord(
        kind="classify",
        classes=list(classes),
        rule=rule.name,
        of=rule.of or None,
        at_least=rule.at if rule.name == "threshold" else None,
        above=rule.at if rule.name == "share" else None,
    )


def _patches(diagnosis: Diagnosis, patch_px: int) -> Patches:
    rows, cols = diagnosis.vote.shape
    return Patches(
        size_px=patch_px,
        rows=rows,
        cols=cols,
        p_control=_shortest(diagnosis.p_control),
        p_patient=_shortest(diagnosis.p_patient),
        vote=np.array(VOTES)[diagnosis.vote].tolist(),
        band=np.array([band.name for band in BANDS])[diagnosis.band].tolist(),
    )


def _cells(diagnosis: Diagnosis, config: Config) -> Cells:
    rows, cols = diagnosis.vote.shape
    whole = "slice" if config.input.planes == "each" else "image"
    return Cells(
        of="patch" if config.has_patches else whole,  # type: ignore[arg-type] # a word, which pydantic checks
        size_px=config.patch_px if config.has_patches else None,
        rows=rows,
        cols=cols,
        probabilities={
            name: _shortest(diagnosis.probabilities[..., number])
            for number, name in enumerate(diagnosis.classes)
        },
        vote=np.array(diagnosis.votes)[diagnosis.vote].tolist(),
    )


def _shortest(probabilities: NDArray[np.float32]) -> Any:
    # float32 0.9 as a Python float is 0.8999999761581421, which a reader would put below 0.9 and
    # into another band than the one stored. The shortest decimal of a float32 is safe, and half as long.
    return probabilities.astype(str).astype(np.float64).tolist()
