"""YAML as far as a manifest needs it: texts, numbers, lists and tables, within bounds.

Aliases, which let ten lines stand for ten billion, tags, merged and repeated keys are refused. Dates stay
texts, as a text that only looks like one (2001-99-99) has no date. Numbers are short.
"""

from collections.abc import Hashable
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from colvi_edge.printable import printable_name

MOST_DEPTH = 16
"""The manifest of a bundle has 7."""

MOST_DIGITS = 40

_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_PLAIN = (*_NUMBERS, "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")


class YamlError(ValueError):
    """The text is no plain YAML; says why and where, in one line."""


def load(data: bytes) -> Any:
    """Return what a document says: None, bool, int, float, str, list or dict of str.

    The caller bounds its length: one million bytes take 1.2 s, measured on a core of an EPYC.

    Raises:
        YamlError: it is no YAML, or more than plain.
    """
    try:
        loader = _PlainLoader(data)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error)
        line = f" in line {where.line + 1}" if where else ""
        raise YamlError(printable_name(" ".join(str(said).split()))[:200] + line) from error


class _PlainLoader(yaml.SafeLoader):
    """Composes what the module's text says, and nothing else."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("an anchor or alias", event)
        if getattr(event, "tag", None) is not None:
            raise _refused("a tag", event)
        if self._depth >= MOST_DEPTH:
            raise _refused(f"more than {MOST_DEPTH} levels", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_scalar_node(self, anchor: dict[Any, Node]) -> ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag not in _PLAIN:
            node.tag = _TEXT
        elif node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
            raise _refused(f"a number of {len(node.value)} digits", node)
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, ScalarNode) and key.tag == _TEXT]
        if len(keys) < len(node.value):
            raise _refused("a key that is no text", node)
        if len(set(keys)) < len(keys):
            raise _refused("a key twice", node)
        return super().construct_mapping(node, deep)


def _refused(what: str, at: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=f"it holds {what}", problem_mark=at.start_mark)
