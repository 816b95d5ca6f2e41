"""Which model judged, and for which of the bundles, as messages, ledger and log name it."""

import re
from dataclasses import dataclass
from typing import Annotated

from colvi_edge.printable import printable_name

_LONGEST_NAME = 256

Sha256 = Annotated[str, re.compile("([0-9a-f]{64})?")]
Name = Annotated[str, re.compile(r"[^\x00-\x1f\x7f]{0,256}")]
"""Of a model, or its version: of a bundle's manifest, or of a sidecar that others may have written."""
Slot = Annotated[str, re.compile(r"[^/\x00-\x1f\x7f]{0,128}")]
"""Whose results: "" of the first bundle, whose files bear no name of it; else the name that they bear."""


@dataclass(frozen=True)
class Model:
    """A bundle that judged, or judges."""

    name: Name
    version: Name
    sha256: Sha256

    @classmethod
    def of(cls, name: str, version: str, sha256: str) -> "Model":
        """Return a model by what its bundle, or a sidecar, says; long names are cut."""
        return cls(printable_name(name)[:_LONGEST_NAME], printable_name(version)[:_LONGEST_NAME], sha256)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip() or "a model that is not known"


UNKNOWN = Model("", "", "")
