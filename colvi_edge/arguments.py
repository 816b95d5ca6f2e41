"""What errors say of options, in the words of Python: its arguments.

The sentences are those of the command line, as most who read them type there: `--channels nuclei,collagen`.
Who calls the API is told `channels=['nuclei', 'collagen']`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import ColviEdgeError

_LIMIT = re.compile(r"--limit (\w+)=(\d+)")
_CHOICES = "|".join(choice.value for choice in (*EngineName, *PrecisionChoice))


def _channels(found: re.Match[str]) -> str:
    return f"channels={found[1].split(',')}"


def _limits(found: re.Match[str]) -> str:
    limits = {name: int(number) for name, number in _LIMIT.findall(found[0])}
    return f"limits={limits}"


_ARGUMENTS: Mapping[str, str | Callable[[re.Match[str]], str]] = {
    r"(?<=e\.g\. )--channels ([^\s;]+)": _channels,
    rf"{_LIMIT.pattern}(?: {_LIMIT.pattern})*": _limits,
    rf"--(engine|precision) ({_CHOICES})\b": r"\1='\2'",
    r"--pixel-size-um\b": "pixel_size_um",
    r"--(channels|engine|precision)\b": r"\1",
}
"""Options as sentences have them, and what they are here."""


@contextmanager
def of_arguments() -> Iterator[None]:
    """Have errors speak of arguments where they speak of options of `run` that mean the same."""
    try:
        yield
    except ColviEdgeError as error:
        words = error.words
        for option, argument in _ARGUMENTS.items():
            words = re.sub(option, argument, words)
        error.args = (words,)
        raise
