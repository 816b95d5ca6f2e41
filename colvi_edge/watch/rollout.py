"""What is said of results that are of another model than the one that judges now."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from colvi_edge.printable import printable_name
from colvi_edge.watch.ledger import Judged
from colvi_edge.watch.messages import Model


def others_of(judged: Sequence[Judged], current: Model) -> list[Judged]:
    """Return of which other models there are results."""
    return [found for found in judged if found.model.sha256 != current.sha256]


def stay_words(others: Sequence[Judged], current: Model, root: Path) -> str:
    """Return that results of other models stay, and how they are judged with this one.

    Args:
        others: at least one.
        current: what judges.
        root: the watched folder.
    """
    few = sum(found.results for found in others) == 1
    stay, them = ("stays", "it") if few else ("stay", "them")
    command = printable_name(f"colvi-edge retry {shlex.quote(str(root))} --stale")
    return (
        f"{_counted(others, current)} and {stay}; {command} judges {them} with {told_apart(current, others)}"
    )


def again_words(others: Sequence[Judged], current: Model) -> str:
    """Return that results of other models are judged again with this one."""
    few = sum(found.results for found in others) == 1
    verb = "is" if few else "are"
    return f"{_counted(others, current)} and {verb} judged again with {told_apart(current, others)}"


def told_apart(model: Model, others: Sequence[Judged]) -> str:
    """Return how a model is called: with the beginning of its hash where another one is called so, too."""
    alike = any(str(other.model) == str(model) and other.model != model for other in others)
    return f"{model} ({model.sha256[:8]})" if alike and model.sha256 else str(model)


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun: `1 result`, `1,204 results`; `more` is the plural that has no s."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def _counted(others: Sequence[Judged], current: Model) -> str:
    known = [*others, Judged(current, 0)]
    first, *more = (
        (counted(found.results, "result"), found.results, told_apart(found.model, known)) for found in others
    )
    words = [f"{first[0]} {'is' if first[1] == 1 else 'are'} of {first[2]}"]
    return ", ".join([*words, *(f"{number:,} of {name}" for _, number, name in more)])
