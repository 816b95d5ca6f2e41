"""What `doctor` found, for people: a state, a part, and words that fold; a command to copy does not."""

import re
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from colvi_edge.doctor import Finding
from colvi_edge.printable import printable_name
from colvi_edge.terminal.console import PrintableConsole, print_json, wide_console
from colvi_edge.terminal.tables import print_name, print_words

_COLOUR = {"ok": "green", "note": "yellow", "missing": "red", "rejected": "red"}
_STATE_COLUMNS, _WIDEST_PART = 10, 24
_COMMAND = re.compile(r"(?<=run: )((?:pip|colvi-edge) [^,;()]*?)(?=[,;()]|$| where | and )")
"""A command within a sentence."""


def show_findings(findings: Iterable[Finding], *, as_json: bool) -> None:
    """Print what `doctor` found."""
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
        return
    _print_findings(wide_console(), list(findings))


def _print_findings(console: PrintableConsole, findings: Sequence[Finding]) -> None:
    """Print a paragraph for each finding; in a pipe a row."""
    if console.is_piped:
        table = Table("state", "what", "words")
        for finding in findings:
            table.add_row(
                finding.state, Text(printable_name(finding.what)), Text(printable_name(finding.words))
            )
        console.print(table)
        return
    parts = [printable_name(finding.what) for finding in findings]
    indent = _STATE_COLUMNS + max((len(part) for part in parts if len(part) <= _WIDEST_PART), default=0) + 2
    for part, finding in zip(parts, findings, strict=True):
        mark = Text(f"{finding.state:<{_STATE_COLUMNS}}", _COLOUR[finding.state])
        if len(part) > _WIDEST_PART:  # the name of an image
            print_name(console, part, mark)
            mark = Text()
        else:
            mark.append(part, "default")
        for number, words in enumerate(_COMMAND.split(printable_name(finding.words))):
            if number % 2:
                console.print(Text(" " * indent + words, "bold"), soft_wrap=True)
            elif words := words.strip(" ,;"):
                print_words(console, Text(words), indent, mark)
            mark = Text()
