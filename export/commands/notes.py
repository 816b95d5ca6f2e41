"""What a reader of figures must know besides them: sentences, and the files that could not be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

FEW = 8
"""So many names are said of files, or of a part of a division; more are counted."""


class Notes:
    """Sentences for the record, each told as soon as it is known.

    Attributes:
        sentences: all so far.
        all_read: whether every file could be read.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Begin with none; `tell` is called with each sentence."""
        self.sentences: list[str] = []
        self.all_read = True
        self._tell = tell
        self._left_out: dict[str, list[str]] = {}

    def add(self, sentence: str) -> None:
        """Keep a sentence, and tell it."""
        self.sentences.append(sentence)
        self._tell(sentence)

    def left_out(self, name: str, why: str) -> None:
        """Remember that a file could not be read."""
        self.all_read = False
        self._left_out.setdefault(why, []).append(name)

    @contextmanager
    def left_out_at_the_end(self) -> Iterator[None]:
        """Add at the end of a block, whatever ended it, what was left out: each reason once, with files."""
        try:
            yield
        finally:
            for why, names in self._left_out.items():
                few, more = ", ".join(names[:FEW]), len(names) - FEW
                which = f"{few} and {more} more" if more > 0 else few
                self.add(f"left out: {f'{len(names)} files ({which})' if len(names) > 1 else which}: {why}")
            self._left_out.clear()
