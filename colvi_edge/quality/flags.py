"""What is found about an image: flags, each with value, limit and words."""

from typing import Literal, NamedTuple

from colvi_edge.quality.familiarity import Measure

Severity = Literal["warn", "reject"]


class Flag(NamedTuple):
    """One finding; value and limit are None where nothing could be measured."""

    name: str
    severity: Severity
    value: float | None
    limit: float | None
    words: str


class Assessment(NamedTuple):
    """What is known about an image before the network sees it.

    Attributes:
        flags: what is wrong, worst first; empty for a good image.
        measures: how it compares with the training images; empty where they, or it, cannot be compared.
    """

    flags: list[Flag]
    measures: list[Measure]

    @property
    def is_rejected(self) -> bool:
        """Whether it must not be judged."""
        return any(flag.severity == "reject" for flag in self.flags)
