"""Where an option came from: what nobody typed is named as what it is, a variable."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_SHORTEST = 3
"""Characters of a value that is looked for in a sentence."""


class FromVariable(NamedTuple):
    """An option whose value came from a variable.

    Attributes:
        flag: such as --channels.
        variable: such as COLVI_EDGE_CHANNELS.
        values: as they were read; they may be private.
    """

    flag: str
    variable: str
    values: Sequence[str] = ()

    @staticmethod
    def named(words: str, came: "Iterable[FromVariable]") -> str:
        """Return a sentence that tells, if it speaks of such options, of which variables they are."""
        of = "; ".join(f"{one.flag} is from {one.variable}" for one in came if one._is_meant(words))
        return f"{words} ({of})" if of else words

    def _is_meant(self, words: str) -> bool:
        if re.search(rf"(?<![\w-]){re.escape(self.flag)}(?![\w-])", words):
            return True
        spoken = words.split()
        return any(len(value) >= _SHORTEST and value in spoken for value in self.values)
