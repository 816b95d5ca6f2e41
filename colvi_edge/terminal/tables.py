"""Tables and paragraphs in which no name is broken, whatever the width."""

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text

from colvi_edge.printable import printable_name
from colvi_edge.terminal.console import PrintableConsole

_GAP = 2


def print_named(
    console: PrintableConsole, heads: Sequence[str], rows: Sequence[Sequence[Text]], *, right: Sequence[int]
) -> None:
    """Print a table whose first column holds names.

    A name that leaves the other cells no room has a line of its own, above them. In a pipe each row is one.

    Args:
        console: to print on.
        heads: of the columns, of one line or several.
        rows: cells, the name first; each in one line.
        right: columns of numbers.
    """
    if console.is_piped:
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    folded = [head.split("\n") for head in heads]
    tops = [
        [Text("".join(head[at : at + 1]), "bold") for head in folded] for at in range(max(map(len, folded)))
    ]
    widths = [max(cell.cell_len for cell in column) for column in zip(*tops, *rows, strict=True)]
    room = console.width - sum(widths[1:]) - _GAP * (len(widths) - 1)
    widths[0] = max((row[0].cell_len for row in [*tops, *rows] if row[0].cell_len <= room), default=0)
    for row in [*tops, *rows]:
        name, cells = row[0], row[1:]
        if name.cell_len > widths[0]:
            print_name(console, name.plain)
            name = Text()
        line = _padded(name, widths[0], is_right=False)
        for column, cell in enumerate(cells, 1):
            line.append(" " * _GAP).append_text(_padded(cell, widths[column], is_right=column in right))
        line.rstrip()
        console.print(line, soft_wrap=True)


def _padded(cell: Text, width: int, *, is_right: bool) -> Text:
    blank = Text(" " * (width - cell.cell_len))
    return blank + cell if is_right else cell + blank


def print_name(console: PrintableConsole, name: str, before: Text | None = None) -> None:
    """Print a name in lines of its own: whole, as two may differ anywhere; what is left over is indented."""
    before = before or Text()
    room = console.width - before.cell_len
    first = name if console.is_piped or cell_len(name) <= room else chop_cells(name, max(1, room))[0]
    console.print(before + Text(first), soft_wrap=True)
    indent = before.cell_len + _GAP
    for rest in chop_cells(name[len(first) :], max(1, console.width - indent)):
        console.print(Text(" " * indent + rest), soft_wrap=True)


def print_words(console: PrintableConsole, words: Text, indent: int = 0, mark: Text | None = None) -> None:
    """Print a paragraph, folded between its words; a mark stands before it, within the indent."""
    if console.is_piped or not indent:
        console.print(_padded(mark, indent, is_right=False) + words if mark else words)
        return
    paragraph = Table.grid()
    paragraph.add_column(width=indent)
    paragraph.add_column(overflow="fold")
    paragraph.add_row(mark, words)
    console.print(paragraph)


def print_command(console: PrintableConsole, words: Iterable[str]) -> None:
    """Print a command in a line of its own, as a shell takes it, however long it is."""
    console.print(Text(printable_name(shlex.join(words)), "bold"), soft_wrap=True)


def common_folder(folders: Iterable[str | os.PathLike[str]]) -> str:
    """Return the folder that holds all of these, absolute only if one of them is."""
    names = [os.fspath(folder) for folder in folders]
    top = os.path.commonpath([os.path.normpath(Path(name).absolute()) for name in names])
    return top if any(map(os.path.isabs, names)) else os.path.relpath(top)
