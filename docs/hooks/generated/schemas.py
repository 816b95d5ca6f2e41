"""What stands in sidecars and in a bundle's manifest: JSON Schemas to download, and tables to read."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from colvi_edge.bundle.manifest import Config, FlatConfig
from colvi_edge.outputs.sidecar import ErrorRecord, Index, json_schema
from generated.markdown import code, spoken, table

FOLDER = "reference/schemas"
LATER_PARTS = {
    *("Cells", "FamiliarityMeasure", "ObjectsRecord", "RegionRecord", "SpreadRecord", "TaskRecord"),
    *("Familiarity", "FamiliarityLimits", "JoinsCompared", "ObjectsCompared", "RegionsCompared"),
    "SegmentParity",
}
"""Parts that came with schema 2, and that the models of schema 1 do not forbid by themselves."""
LATER_KEYS = {("Sidecar", "slot")}
"""Keys that did, and whose description does not say so."""

_WORDS = {
    "Normalisation": "How the raw pixels become the network's input; `mean` and `std` belong to the kind "
    "`fixed`, `divisor` and `dtype` to `scale`."
}
"""Of parts whose model says none for people."""

_URN = "urn:colvi-edge"
_LATER = re.compile(r"\b(?:since|in)(?: sidecar| schema)? 2\b", re.IGNORECASE)

Schema = Mapping[str, Any]


def files() -> dict[str, Schema]:
    """Return the schemas by the names of their files."""
    named = json_schema()
    return {
        "sidecar.schema.json": named,
        "index.schema.json": {"$schema": named["$schema"], "$id": f"{_URN}:index:1", **_written(Index)},
        "error.schema.json": {"$schema": named["$schema"], "$id": f"{_URN}:error:1", **_written(ErrorRecord)},
        "bundle.schema.json": {"$schema": named["$schema"], "$id": f"{_URN}:bundle:2", **_manifest()},
    }


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each schema."""
    for name, schema in files().items():
        yield f"{FOLDER}/{name}", json.dumps(schema, indent=2) + "\n"


def list_of_files() -> str:
    """Return the table of files and their names."""
    rows = [(f"[{name}](schemas/{name})", code(str(schema["$id"]))) for name, schema in files().items()]
    return table(("file", "`$id`"), rows)


def sidecar() -> str:
    """Return the tables of everything that is written beside a raw file."""
    parts = json_schema()["$defs"]
    first = ("Sidecar", "ErrorRecord", "Index")
    names = [*first, *(name for name in parts if name not in first)]
    return _sections({name: parts[name] for name in names}, _is_later, "there", _is_there)


def bundle() -> str:
    """Return the tables of `config.colvi_edge` in a bundle's manifest."""
    parts = _manifest()["$defs"]
    names = ["Config", *(name for name in parts if name not in ("Config", "FlatConfig"))]
    known = _reached("FlatConfig", parts)

    def is_later(part: str, key: str, meaning: str) -> bool:
        if part == "Config":
            return key not in parts["FlatConfig"]["properties"] or _is_later(part, key, meaning)
        return part not in known or _is_later(part, key, meaning)

    return _sections({name: parts[name] for name in names}, is_later, "needed", _is_needed)


def flat_bundle() -> str:
    """Return the table of the keys that a manifest without a task has in place of others."""
    parts = _manifest()["$defs"]
    flat, others = parts["FlatConfig"], parts["Config"]["properties"]
    own = {key: value for key, value in flat["properties"].items() if key not in others}
    return _sections({"FlatConfig": {**flat, "properties": own}}, _is_later, "needed", _is_needed)


def _manifest() -> dict[str, Any]:
    return TypeAdapter[Any](Config | FlatConfig).json_schema(by_alias=True, mode="validation")


def _written(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, mode="serialization")


def _reached(name: str, parts: Mapping[str, Schema]) -> set[str]:
    """Return a part and all that it is made of."""
    reached, todo = set[str](), [name]
    while todo:
        part = todo.pop()
        if part not in reached:
            reached.add(part)
            todo += re.findall(r'"#/\$defs/(\w+)"', json.dumps(parts[part]))
    return reached


def _is_later(part: str, key: str, meaning: str) -> bool:
    return part in LATER_PARTS or (part, key) in LATER_KEYS or bool(_LATER.search(meaning))


def _sections(
    parts: Mapping[str, Schema],
    is_later: Callable[[str, str, str], bool],
    head: str,
    told: Callable[[Schema, bool], str],
) -> str:
    """Return a heading and a table for each part that has keys."""
    sections = []
    for name, part in parts.items():
        if "properties" not in part:
            continue
        rows = []
        for key, value in part["properties"].items():
            meaning = _meaning(value)
            since = "2" if is_later(name, key, meaning) else "1"
            needed = told(value, key in part.get("required", ()))
            rows.append((code(key), _type(value), needed, since, spoken(meaning)))
        words = spoken(part.get("description") or _WORDS.get(name))
        sections.append(f"### {name}\n\n{words}\n\n{table(('key', 'type', head, 'since', 'meaning'), rows)}")
    return "\n".join(sections)


def _meaning(value: Schema) -> str:
    inner = (one.get("description") for one in value.get("anyOf", ()))
    return str(value.get("description") or next(filter(None, inner), ""))


def _is_there(value: Schema, required: bool) -> str:
    """Return whether a record always has a key: what has a value is written, absent is what has none."""
    return "always" if required or value.get("default") is not None else "optional"


def _is_needed(value: Schema, required: bool) -> str:
    """Return whether a manifest needs a key, or what holds without it."""
    default = value.get("default")
    if required or default in (None, (), [], {}, "", 0.0) or isinstance(default, dict):
        return "yes" if required else "no"
    return f"else {code(json.dumps(default))}"


def _type(value: Schema) -> str:
    """Return a JSON Schema's type in words; a part is a link to its table."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if kinds := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(one) for one in kinds if one.get("type") != "null"))
    if "const" in value:
        return code(json.dumps(value["const"]))
    if "enum" in value:
        return " or ".join(code(json.dumps(one)) for one in value["enum"])
    match value.get("type"):
        case "array" if "prefixItems" in value:
            return f"[{', '.join(map(_type, value['prefixItems']))}]"
        case "array" if value["items"].get("type") == "array" and "prefixItems" not in value["items"]:
            return f"grid of {_type(value['items']['items'])}"
        case "array":
            return f"array of {_type(value['items'])}"
        case "object":
            kinds = [*value.get("patternProperties", {}).values(), value.get("additionalProperties")]
            inner = next((one for one in kinds if isinstance(one, dict)), None)
            return f"object of {_type(inner)}" if inner else "object"
        case "string" if "format" in value:
            return f"string, {value['format']}"
        case "number" | "integer" as word:
            return f"{word}{_range(value)}"
        case word:
            return str(word)


def _range(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    if low is not None and high is not None and high <= 1000:
        return f" {low:g} to {high:g}"
    if value.get("exclusiveMinimum") == 0:
        return " above 0"
    return f" from {low:g}" if low is not None and low >= 0 else ""
