"""What is said of results that are of another model than the one that judges now."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.printable import counted, printable_name
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.ledger import Judged


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
    command = _retry(root)
    return (
        f"{_counted(others, current)} and {stay}; {command} judges {them} with {told_apart(current, others)}"
    )


def again_words(others: Sequence[Judged], current: Model) -> str:
    """Return that results of other models are judged again with this one."""
    few = sum(found.results for found in others) == 1
    verb = "is" if few else "are"
    return f"{_counted(others, current)} and {verb} judged again with {told_apart(current, others)}"


def asked_line(judged: Sequence[Judged], current: Model, asked: Replace) -> str:
    """Return how many results wait for a daemon to judge them again; "" if none do.

    Args:
        judged: how many are of which model.
        current: what judged last.
        asked: for which that was asked.
    """
    which = {Replace.OWN: [], Replace.STALE: others_of(judged, current), Replace.ALL: judged}[asked]
    if not (count := sum(found.results for found in which)):
        return ""
    return f"{counted(count, 'result is', 'results are')} to be judged again when the daemon runs"


def model_lines(judged: Sequence[Judged], again: int, root: Path, asked: str = "") -> Iterator[str]:
    """Yield how many results are of which model where there is more than one, and how the others are judged.

    Args:
        judged: what judges now, where that is known, and then the others.
        again: results that are to be judged again.
        root: the watched folder.
        asked: that this was asked for already, in words.
    """
    if not judged or (len(judged) == 1 and judged[0].model != UNKNOWN):
        yield from filter(None, [asked])
        return
    current, *others = judged
    for found in judged:
        mark = " (current)" if found is current and current.model != UNKNOWN else ""
        yield f"{counted(found.results, 'result')} of {told_apart(found.model, judged)}{mark}"
    if again:
        yield f"{counted(again, 'result')} still to be judged again"
    elif asked:
        yield asked
    elif others and current.model != UNKNOWN:
        yield f"what {told_apart(current.model, judged)} did not judge stays; to have it judged, too:"
        yield f"    {_retry(root)}"


def told_apart(model: Model, others: Sequence[Judged]) -> str:
    """Return how a model is called: with the beginning of its hash where another one is called so, too."""
    alike = any(str(other.model) == str(model) and other.model != model for other in others)
    return f"{model} ({model.sha256[:8]})" if alike and model.sha256 else str(model)


def _retry(root: Path) -> str:
    return printable_name(f"colvi-edge retry {shlex.quote(str(root))} --stale")


def _counted(others: Sequence[Judged], current: Model) -> str:
    known = [*others, Judged(current, 0)]
    first, *more = (
        (counted(found.results, "result"), found.results, told_apart(found.model, known)) for found in others
    )
    words = [f"{first[0]} {'is' if first[1] == 1 else 'are'} of {first[2]}"]
    return ", ".join([*words, *(f"{number:,} of {name}" for _, number, name in more)])
