"""Results of another model than the one that judges now: which there are, and what is said of them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from colvi_edge.printable import counted, printable_name
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ledger.entries import ModelResults


def others_of(results: Sequence[ModelResults], current: Model) -> list[ModelResults]:
    """Return the results of other models."""
    return [found for found in results if found.model.sha256 != current.sha256]


def stay_words(others: Sequence[ModelResults], current: Model, root: Path) -> str:
    """Return that results of other models stay, and how they are judged with this one.

    Args:
        others: at least one.
        current: what judges.
        root: the watched folder.
    """
    few = sum(found.results for found in others) == 1
    stay, them = ("stays", "it") if few else ("stay", "them")
    command = retry_command(root)
    return (
        f"{_counted(others, current)} and {stay}; {command} judges {them} with {told_apart(current, others)}"
    )


def again_words(others: Sequence[ModelResults], current: Model) -> str:
    """Return that results of other models are judged again with this one."""
    few = sum(found.results for found in others) == 1
    verb = "is" if few else "are"
    return f"{_counted(others, current)} and {verb} judged again with {told_apart(current, others)}"


def told_apart(model: Model, others: Sequence[ModelResults]) -> str:
    """Return how a model is called: with the beginning of its hash where another one is called so, too."""
    alike = any(str(other.model) == str(model) and other.model != model for other in others)
    return f"{model} ({model.sha256[:8]})" if alike and model.sha256 else str(model)


def retry_command(root: Path) -> str:
    """Return what an operator calls to have the results of other models judged again."""
    return printable_name(f"colvi-edge retry {shlex.quote(str(root))} --stale")


def _counted(others: Sequence[ModelResults], current: Model) -> str:
    known = [*others, ModelResults(current, 0)]
    first, *more = (
        (counted(found.results, "result"), found.results, told_apart(found.model, known)) for found in others
    )
    words = [f"{first[0]} {'is' if first[1] == 1 else 'are'} of {first[2]}"]
    return ", ".join([*words, *(f"{number:,} of {name}" for _, number, name in more)])
