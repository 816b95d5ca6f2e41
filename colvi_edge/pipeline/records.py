"""Puts together the record of an image from what every step found out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from hashlib import sha256
from math import isfinite
from typing import Any
from uuid import UUID, uuid5

from colvi_edge import __version__
from colvi_edge.acquisition import Acquisition, Provenance
from colvi_edge.bundle import Bundle
from colvi_edge.engines import EngineInfo
from colvi_edge.errors import ColviEdgeError
from colvi_edge.outputs.sidecar import (
    MAX_WORD,
    EngineRecord,
    ErrorRecord,
    Failure,
    FamiliarityMeasure,
    Image,
    Index,
    IndexEntry,
    Model,
    QualityFlag,
    Sidecar,
    Software,
    cut,
)
from colvi_edge.pipeline.answers import answered, asked, covered
from colvi_edge.printable import printable_name
from colvi_edge.quality import Assessment, Flag
from colvi_edge.tasks.task import Answer

_RESULTS = UUID("5f0a3c1e-6a52-5c0b-9d53-2f6d1c7e8b41")
"""Namespace of result ids; changing it would make every earlier result look new."""


def result_record(
    acquisition: Acquisition,
    bundle: Bundle,
    engine: EngineInfo,
    assessment: Assessment,
    result: Answer | None,
    timings_ms: Mapping[str, float],
    slot: str = "",
) -> Sidecar:
    """Return the sidecar of an image, in a bundle's slot; `result` is None for one that was rejected."""
    source, config = acquisition.provenance, bundle.config
    height, width = acquisition.planes.shape[2:]
    raw, settings = f"{source.sha256}/{acquisition.image_key}", f"{bundle.sha256}/{engine.precision}"
    settings += f"/{','.join(acquisition.channels)}"
    if acquisition.pixel_size_named:  # else the raw file says it
        settings += f"/pixels of {acquisition.pixel_size_um!r} um"
    judged: dict[str, Any] = {} if result is None else answered(result, config)
    return Sidecar(
        result_id=uuid5(_RESULTS, f"{raw}/{settings}"),
        settings_sha256=sha256(settings.encode()).hexdigest(),
        status="rejected" if result is None else "ok",
        task=asked(config),
        **judged,
        coverage=covered(height, width, config),
        quality=[_quality(flag) for flag in assessment.flags],
        familiarity=[
            FamiliarityMeasure(**measure._asdict())
            for measure in assessment.measures
            if all(map(isfinite, measure[1:]))
        ]
        or None,
        outputs=[],
        image=Image(
            name=acquisition.name,
            key=acquisition.image_key,
            bytes=source.bytes,
            sha256=source.sha256,
            axes=source.axes,
            shape=list(source.shape),
            dtype=str(acquisition.planes.dtype),
            planes=acquisition.planes.shape[0],
            pixel_size_um=acquisition.pixel_size_um,
            channels=list(acquisition.channels),
            mtime_ns=source.mtime_ns,
        ),
        model=Model(name=cut(bundle.name), version=cut(bundle.version), sha256=bundle.sha256),
        slot=slot or None,
        engine=EngineRecord(**{name: cut(getattr(engine, name)) for name in EngineRecord.model_fields}),
        timings_ms=dict(timings_ms),
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def error_record(
    raw_name: str,
    error: ColviEdgeError,
    image_key: str = "",
    source: Provenance | Image | None = None,
    slot: str = "",
) -> ErrorRecord:
    """Return the record of a file, or of one image of it, that could not be read or judged."""
    return ErrorRecord(
        error=Failure(kind=cut(error.kind, MAX_WORD), message=cut(str(error))),
        image=_image(raw_name, source, image_key),
        slot=slot or None,
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def index_record(
    raw_name: str, source: Provenance | Image, entries: Sequence[IndexEntry], slot: str = ""
) -> Index:
    """Return the index of a file that holds several images: one entry each, see `intact.index_entry`."""
    found = {entry.status for entry in entries}
    return Index(
        status="ok" if "ok" in found else "rejected" if "rejected" in found else "error",
        images=list(entries),
        image=_image(raw_name, source),
        slot=slot or None,
        software=Software(version=__version__),
        created=datetime.now(timezone.utc),
    )


def _image(raw_name: str, source: Provenance | Image | None, image_key: str = "") -> Image:
    name = printable_name(raw_name)
    if source is None:
        return Image(name=name, key=image_key)
    return Image(name=name, key=image_key, bytes=source.bytes, sha256=source.sha256)


def _quality(flag: Flag) -> QualityFlag:
    """Return a flag as a record holds it: what could not be measured is absent."""
    value, limit = (
        number if number is not None and isfinite(number) else None for number in (flag.value, flag.limit)
    )
    return QualityFlag(
        name=flag.name, severity=flag.severity, value=value, limit=limit, words=cut(flag.words)
    )
