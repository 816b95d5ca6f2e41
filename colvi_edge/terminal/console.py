"""The consoles that commands print on, and what may be put into a line.

Tables, notes and records go through `wide_console`, `error_console`, `print_note` or `print_json`, single
lines through typer. Behind them nothing is left that a terminal would obey but their own colours and line
feeds. Names and words from outside are put into what is printed by `shown`, so that they neither begin a line
nor are taken for markup.

A terminal says how wide it is, and so does COLUMNS. Where neither does, in a pipe or a file, a line is as
long as what it says, and a table has one row a line, its cells parted by tabs: for `cut`, `sort` and `grep`.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from colvi_edge.printable import printable_json, printable_lines, printable_name

_NOTHING = "[none][/none]"
"""A tag without effect. No bracket before it begins a tag, whatever follows, and no backslash escapes one."""

_UNBOUNDED = 10_000
"""Columns of a pipe, for whoever asks how much room there is."""


class PrintableConsole(Console):
    """A console that prints nothing of a text that is not printable, whatever stands in it."""

    @property
    def is_piped(self) -> bool:
        """Whether nobody says how wide a line may be: no terminal, and no COLUMNS."""
        return not (self.file.isatty() or os.environ.get("COLUMNS", "").isdecimal())

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as rich does; in a pipe nothing is folded, and tables have a row a line."""
        if not self.is_piped:
            super().print(*objects, **settings)
        elif len(objects) == 1 and isinstance(objects[0], Table):
            self._write(_plain_rows(self, objects[0]))
        else:
            super().print(*objects, **{**settings, "soft_wrap": True})

    def _write(self, rows: Iterable[list[str]]) -> None:
        """Write rows past rich, which would make spaces of tabs."""
        self.file.writelines("\t".join(cells) + "\n" for cells in rows)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what rich would print, made printable."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=printable_lines(segment.text))


def wide_console() -> PrintableConsole:
    """Return a console on standard output, as wide as its terminal; in a pipe its lines have no end."""
    return _console(sys.stdout)


def error_console() -> PrintableConsole:
    """Return a console on standard error."""
    return _console(sys.stderr)


def print_note(words: str) -> None:
    """Print words on standard error, in a line of their own, however long it is."""
    error_console().print(printable_name(words), markup=False, soft_wrap=True)


def print_json(plain: object) -> None:
    """Print JSON in one line, for a pipe."""
    print(printable_json(orjson.dumps(plain).decode()))  # noqa: T201 - data for a pipe


def shown(words: str) -> str:
    """Return a name, or words from outside, as they are put into a line for a console.

    They stay in their line, and what looks like markup in them is not.
    """
    # Not rich's own `escape`: it loses a backslash before a bracket and doubles one at the end, and two names
    # in a line, one with "[red" and one with "]" in it, would make a tag.
    text = printable_name(words).replace("[", rf"\[{_NOTHING}")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text}{text[len(text) - backslashes :]}{_NOTHING}" if backslashes else text


def _console(stream: TextIO) -> PrintableConsole:
    console = PrintableConsole(file=_behind(stream), highlight=False, emoji=False)
    if console.is_piped:
        console.width = _UNBOUNDED
    return console


def _behind(stream: TextIO) -> TextIO:
    """Return the stream that colours are written to: behind ours, and behind rich's while a bar is shown."""
    while behind := getattr(stream, "rich_proxied_file", None):
        stream = behind
    return stream


def _plain_rows(console: Console, table: Table) -> Iterable[list[str]]:
    """Yield the cells of each row that holds anything, the heads first, each in one line."""
    if table.show_header:
        yield [_plain(console, column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        if any(cells := [_plain(console, cell) for cell in row]):
            yield cells


def _plain(console: Console, cell: RenderableType) -> str:
    text = cell if isinstance(cell, Text) else console.render_str(str(cell))
    return printable_name(" ".join(text.plain.split("\n")))
