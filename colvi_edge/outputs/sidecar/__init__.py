"""The sidecar `X.tif.colvi.json`: everything that is known about one judged image.

A file that holds several images has a sidecar for each, and in the place of its own an index of them.

The models below are the contract with lab software; `sidecar.schema.json` beside this module
is their published JSON Schema (a test keeps the two equal). A key that does not apply is
absent, never null.

Records are read back from folders that others may write to, so that every number, text and list has a bound,
and what a sidecar says of its diagnosis must agree: votes, score and diagnosis follow from its patches, and
numbers, shares and areas of regions and objects from each other.
"""

from colvi_edge.outputs.sidecar.cells import Cells, Tally, most_cells, recordable, rule_of
from colvi_edge.outputs.sidecar.parts import (
    EngineRecord,
    FamiliarityMeasure,
    Image,
    Model,
    OutputFile,
    QualityFlag,
    Software,
    size_px,
)
from colvi_edge.outputs.sidecar.patches import BandName, Patches, Votes
from colvi_edge.outputs.sidecar.records import ErrorRecord, Failure, Index, IndexEntry, Sidecar
from colvi_edge.outputs.sidecar.regions import ObjectsRecord, RegionRecord, SpreadRecord, TaskRecord
from colvi_edge.outputs.sidecar.values import (
    MAX_IMAGES,
    MAX_PATCHES,
    MAX_REVISION,
    MAX_TEXT,
    MAX_WORD,
    SidecarPart,
    cut,
)
from colvi_edge.outputs.sidecar.written import as_plain, json_schema, to_json

__all__ = [
    "MAX_IMAGES",
    "MAX_PATCHES",
    "MAX_REVISION",
    "MAX_TEXT",
    "MAX_WORD",
    "BandName",
    "Cells",
    "EngineRecord",
    "ErrorRecord",
    "Failure",
    "FamiliarityMeasure",
    "Image",
    "Index",
    "IndexEntry",
    "Model",
    "ObjectsRecord",
    "OutputFile",
    "Patches",
    "QualityFlag",
    "RegionRecord",
    "Sidecar",
    "SidecarPart",
    "Software",
    "SpreadRecord",
    "Tally",
    "TaskRecord",
    "Votes",
    "as_plain",
    "cut",
    "json_schema",
    "most_cells",
    "recordable",
    "rule_of",
    "size_px",
    "to_json",
]
