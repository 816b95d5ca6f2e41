"""Records as they are written, and their published schema."""

from typing import Any

import orjson
from pydantic import TypeAdapter

from colvi_edge.outputs.sidecar.records import ErrorRecord, Index, Sidecar

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:colvi-edge:sidecar:2"


def as_plain(record: Sidecar | ErrorRecord | Index) -> dict[str, Any]:
    """Return the record as plain dicts, lists, numbers and strings; absent keys left out."""
    return record.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_json(record: Sidecar | ErrorRecord | Index) -> bytes:
    """Return the record as the UTF-8 JSON file that is left beside the raw file."""
    return orjson.dumps(as_plain(record), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of everything that `to_json` can write."""
    adapter: TypeAdapter[Any] = TypeAdapter(Sidecar | ErrorRecord | Index)
    return {"$schema": _DIALECT, "$id": _ID, **adapter.json_schema(by_alias=True, mode="serialization")}
