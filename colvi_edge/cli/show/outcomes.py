"""What became of images, for people: a table, what was remarked, what went wrong, where the results are.

A row keeps what is its own. What is said of many images is said once below, with their number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from colvi_edge.cli.line.sources import FromVariable
from colvi_edge.errors import ColviEdgeError
from colvi_edge.outputs.cells import answer, counts_of, scored
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.printable import counted, printable_name, unambiguous_name
from colvi_edge.tasks.classify import VOTES
from colvi_edge.terminal.console import PrintableConsole, shown
from colvi_edge.terminal.tables import common_folder, print_command, print_name, print_named, print_words

OUTCOMES = {
    "control": "cyan",
    "patient": "red",
    "unsure": "yellow",
    "measured": "cyan",
    "rejected": "magenta",
    "error": "red",
}
"""What becomes of an image, in the order in which it is counted, and the colour of the word."""
_OTHER = "cyan"
"""Of the word of another class; they are counted before those that are unsure."""
_HEADS = ("image", "diagnosis", "score (100\n= control)", "control\nvotes", "patient\nvotes", "tie")
_NUMBERS = (2, 3, 4, 5)
_MOST_VOTES = 3
"""Classes whose votes have room in a row."""
_INDENT = 4
_REPORTS = 3  # commands to copy; of more nobody copies each
_SWAPPED = "channels_swapped"
_MOST_COMMANDS = 5

_Remark = dict[str, list[str]]
"""Names of the images of which the same words are said."""


class Asked(NamedTuple):
    """How a command was given, which what is advised goes by.

    Attributes:
        options: to be typed again where one image is judged once more.
        variables: options that came from variables.
    """

    options: Sequence[str] = ()
    variables: Sequence[FromVariable] = ()


class _Row(NamedTuple):
    """An image.

    Attributes:
        word: its diagnosis, "measured" where regions or something else was found, "rejected" or "error".
        remarks: what is said of it, by title.
        score: as it is written; empty where there is none.
        scored: what a score of 100 means.
        votes: by what was voted for.
        found: regions and objects in a few words; empty where there are none.
        error: why it has no result.
        command: that judges it alone, with its channels in the other order, if they look swapped.
    """

    name: str
    word: str
    remarks: dict[str, str]
    score: str = ""
    scored: str = ""
    votes: Mapping[str, int] = {}
    found: str = ""
    error: str = ""
    command: Sequence[str] = ()


def print_outcomes(
    console: PrintableConsole, outcomes: Sequence[Outcome[InputFile]], asked: Asked | None = None
) -> None:
    """Print a row for each image, below it what is said of them, and how many there are of each kind."""
    rows = [_row(outcome, asked or Asked()) for outcome in outcomes]
    remarks: dict[str, _Remark] = {}
    errors: _Remark = {}
    for row in rows:
        for title, words in row.remarks.items():
            remarks.setdefault(title, {}).setdefault(words, []).append(row.name)
        if row.error:
            errors.setdefault(row.error, []).append(row.name)
    if rows:
        _print_table(console, rows, list(remarks))
    for number, (title, said) in enumerate(remarks.items(), 1):
        _print_remark(console, "" if console.is_piped else f"{number}", title, said)
        if title == _SWAPPED.replace("_", " "):
            _print_commands(console, [row.command for row in rows if row.command])
    for words, names in errors.items():
        _print_error(console, words, names)
    found = Counter(row.word for row in rows)
    counts = ", ".join(_of_kind(found[word], word) for word in _in_order(found))
    console.print(f"\n{counted(len(rows), 'image')}{': ' if counts else ''}{counts}")


def print_unjudged(
    console: PrintableConsole, outcomes: Sequence[Outcome[InputFile]], asked: Asked | None = None
) -> None:
    """Print the images that got no result, with the reason: errors, and what was rejected just now."""
    said: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        row = _row(outcome, asked or Asked())
        if row.word == "rejected" and not isinstance(outcome.result, Kept):
            said.setdefault((row.word, "; ".join(row.remarks.values())), []).append(row.name)
        elif row.error:
            said.setdefault((row.word, row.error), []).append(row.name)
    for (word, words), names in said.items():
        _print_named_words(console, names, words, 0, f"{word}: ")


def print_places(
    console: PrintableConsole,
    outcomes: Sequence[Outcome[InputFile]],
    folders: Sequence[Path],
    *,
    with_report: bool,
) -> None:
    """Print where the results are that were written, and how to see all on one page.

    Args:
        console: to print on.
        outcomes: of all images.
        folders: in and below which results lie, as they were named.
        with_report: say how to see them on one page.
    """
    files = [outcome.file for outcome in outcomes if isinstance(outcome.result, Sidecar)]
    if not files:
        return
    beside = all(file.folder == file.raw.parent for file in files)
    raw_files = "the raw file" if len(set(files)) == 1 else "the raw files"
    words = [counted(len(files), "result"), *([f"beside {raw_files}"] if beside else [])]
    if len(folders) == 1:  # of several the common folder may be one that nobody named, such as /
        words.append(f"in {shown(common_folder(file.folder for file in files))}")
    console.print(" ".join(words), soft_wrap=True)
    if with_report and 0 < len(folders) <= _REPORTS:
        one = "the folder" if len(folders) == 1 else "each folder"
        console.print(f"All results of {one} on one page, with the score of each sample over time:")
        for folder in folders:
            print_command(console, ["colvi-edge", "report", str(folder)])


def _row(outcome: Outcome[InputFile], asked: Asked) -> _Row:
    name = unambiguous_name(image_label(outcome.file.path, outcome.image_key))
    result = outcome.result.sidecar if isinstance(outcome.result, Kept) else outcome.result
    if not isinstance(result, Sidecar):
        words = result.words if isinstance(result, ColviEdgeError) else ""
        words = FromVariable.named(printable_name(words), asked.variables)
        return _Row(name, "error", {}, error=words)
    remarks = {
        flag.name.replace("_", " "): FromVariable.named(printable_name(flag.words), asked.variables)
        for flag in result.quality
    }
    command = _again(outcome, result, asked) if any(flag.name == _SWAPPED for flag in result.quality) else ()
    if isinstance(outcome.result, Kept):
        model = printable_name(result.model.label)
        words = (
            f"As {model} judged it before."
            if outcome.result.is_other_model
            else "This model judged it before."
        )
        remarks = {"kept": words, **remarks}
    if result.status == "rejected":
        return _Row(name, "rejected", remarks, command=command)
    if result.votes is None:
        return _Row(name, "measured", remarks, found=answer(result))
    word, score = str(result.diagnosis), f"{result.score:.1f}"
    return _Row(name, word, remarks, score, scored(result), counts_of(result))


def _again(outcome: Outcome[InputFile], result: Sidecar, asked: Asked) -> list[str]:
    """Return the command that judges one file alone, with collagen and nuclei in each other's place."""
    file = outcome.file
    other = {"nuclei": "collagen", "collagen": "nuclei"}
    order = ",".join(other.get(role, role) for role in result.image.channels or [])
    place = [] if file.folder == file.raw.parent else ["--output-dir", str(file.folder)]
    anew = ["--again"] if isinstance(outcome.result, Kept) else []
    return ["colvi-edge", "run", str(file.raw), *place, *asked.options, "--channels", order, *anew]


def _print_commands(console: PrintableConsole, commands: Sequence[Sequence[str]]) -> None:
    for command in commands[:_MOST_COMMANDS]:
        print_command(console, command)
    if (left := len(commands) - _MOST_COMMANDS) > 0:
        print_words(console, Text(f"and so on for {counted(left, 'image')} more"), _INDENT)


def _print_table(console: PrintableConsole, rows: Sequence[_Row], titles: Sequence[str]) -> None:
    """Print the rows; the last column leads to the remarks, by number or, in a pipe, by title."""
    marks = {title: title if console.is_piped else str(number) for number, title in enumerate(titles, 1)}
    heads: tuple[str, ...] = _HEADS
    numbers: tuple[int, ...] = _NUMBERS
    if any(row.found for row in rows) and not any(row.score for row in rows):
        heads, numbers = ("image", "result", "found"), ()
        columns = [[row.found] for row in rows]
    elif any(row.found for row in rows):
        heads, numbers = ("image", "result", _score_head(rows), "votes or found"), (2,)
        columns = [[row.score, row.found or _most_votes(row.votes)] for row in rows]
    elif any(row.score and set(row.votes) != set(VOTES) for row in rows):
        heads, numbers = ("image", "diagnosis", _score_head(rows), "votes"), (2,)
        columns = [[row.score, _most_votes(row.votes)] for row in rows]
    else:
        columns = [_papers(row) for row in rows]
    cells = [
        [
            Text(row.name),
            Text(row.word, OUTCOMES.get(row.word, _OTHER)),
            *map(Text, column),
            Text(", ".join(marks[title] for title in row.remarks)),
        ]
        for row, column in zip(rows, columns, strict=True)
    ]
    if titles or console.is_piped:
        print_named(console, [*heads, "remarks"], cells, right=numbers)
    else:
        print_named(console, heads, [row[:-1] for row in cells], right=numbers)


def _papers(row: _Row) -> list[str]:
    return [row.score, *(str(row.votes[vote]) if row.score else "" for vote in VOTES)]


def _score_head(rows: Sequence[_Row]) -> str:
    """Return what stands above the scores: also what they mean, if that is the same of all."""
    meant = {row.scored for row in rows if row.score}
    return f"score (100\n{meant.pop().removeprefix('100 ')})" if len(meant) == 1 else "score"


def _most_votes(votes: Mapping[str, int]) -> str:
    """Return who has most votes, in few words; nothing of an image that is one vote."""
    if sum(votes.values()) < 2:
        return ""
    ranked = sorted((name for name in votes if votes[name]), key=lambda name: -votes[name])
    rest = sum(votes[name] for name in ranked[_MOST_VOTES:])
    told = [f"{votes[name]} {name}" for name in ranked[:_MOST_VOTES]]
    return ", ".join([*told, *([f"{rest} others"] if rest else [])])


def _in_order(found: Mapping[str, int]) -> list[str]:
    """Return what images became, in the order in which that is counted: other classes before "unsure"."""
    known = list(OUTCOMES)
    at = known.index("unsure")
    return [word for word in (*known[:at], *sorted(set(found) - set(known)), *known[at:]) if found.get(word)]


def _print_remark(console: PrintableConsole, mark: str, title: str, said: _Remark) -> None:
    head = f"{title}: {counted(sum(map(len, said.values())), 'image')}"
    console.print()
    if len(said) == 1:
        (words,) = said
        words = words.removeprefix(f"{title.capitalize()}: ")  # some sentences begin as they are called
        print_words(console, Text(f"{head}. {words[:1].upper()}{words[1:]}"), _INDENT, Text(mark))
        return
    print_words(console, Text(head), _INDENT, Text(mark))
    for words, names in said.items():
        _print_named_words(console, names, words, _INDENT)


def _print_error(console: PrintableConsole, words: str, names: Sequence[str]) -> None:
    console.print()
    _print_named_words(console, names, words, 0, "error: ")


def _print_named_words(
    console: PrintableConsole, names: Sequence[str], words: str, indent: int, before: str = ""
) -> None:
    """Print names, each in its line, and then what is said of them; in a pipe a line for each."""
    for name in names:
        if console.is_piped:
            console.print(Text(f"{before}{name}: {words}"))
        else:
            print_name(console, name, Text(" " * indent).append(before, "red"))
    if not console.is_piped:
        print_words(console, Text(words), indent + _INDENT)


def _of_kind(count: int, word: str) -> str:
    return counted(count, word) if word == "error" else f"{count} {word}"
