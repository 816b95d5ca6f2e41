"""What the commands print: a progress bar while they work, a table or JSON when they are done.

Progress goes to standard error and only to a terminal, so that logs and pipes stay clean.

Everything that a command prints goes through `wide_console`, `error_console` or `print_json`. Behind them
nothing is left that a terminal would obey but their own colours and line feeds. Names and words from outside
are put into what is printed by `shown`, so that they neither begin a line nor are taken for markup.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.doctor import Finding
from colvi_edge.jobs import Job
from colvi_edge.outputs.names import image_label
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, as_plain
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.printable import printable_json, printable_lines, printable_name, unambiguous_name
from colvi_edge.records import error_record

_COLOUR = {"control": "cyan", "patient": "red", "unsure": "yellow", "rejected": "magenta", "failed": "red"}
_PIPE_COLUMNS = 160
"""Width of a table that goes into a file or a pipe, where no terminal says how wide it is."""


_NOTHING = "[none][/none]"
"""A tag without effect. No bracket before it begins a tag, whatever follows, and no backslash escapes one."""


class _Console(Console):
    """A console that prints nothing of a text that is not printable, whatever stands in it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=printable_lines(segment.text))


def wide_console() -> Console:
    """Return a console on standard output that does not fold tables at 80 columns in a pipe."""
    file = _behind(sys.stdout)
    return _Console(file=file, highlight=False, emoji=False, width=None if file.isatty() else _PIPE_COLUMNS)


def error_console() -> Console:
    """Return a console on standard error."""
    return _Console(file=_behind(sys.stderr), highlight=False, emoji=False)


def _behind(stream: TextIO) -> TextIO:
    """Return the stream that colours are written to: behind ours, and behind rich's while a bar is shown."""
    while behind := getattr(stream, "rich_proxied_file", None):
        stream = behind
    return stream


def shown(words: str) -> str:
    """Return a name, or words from outside, as they are put into a line for a console.

    They stay in their line, and what looks like markup in them is not.
    """
    # Not rich's own `escape`: it loses a backslash before a bracket and doubles one at the end, and two names
    # in a line, one with "[red" and one with "]" in it, would make a tag.
    text = printable_name(words).replace("[", rf"\[{_NOTHING}")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text}{text[len(text) - backslashes :]}{_NOTHING}" if backslashes else text


def print_json(plain: object) -> None:
    """Print JSON in one line, for a pipe."""
    print(printable_json(orjson.dumps(plain).decode()))  # noqa: T201 - data for a pipe


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar for `total` steps; the function given back takes one step."""
    console = error_console()
    columns = (_described(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def progress_share(what: str) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar for work that tells, in words and as a share of 1, how far it is."""
    console = error_console()
    columns = (_described(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda words, share: bar.update(
            task, description=f"{what}: {printable_name(words)}", completed=share
        )


def _described() -> TextColumn:
    return TextColumn("{task.description}", markup=False)


def show(outcomes: Iterable[Outcome[Job]], total: int, *, as_json: bool) -> list[Outcome[Job]]:
    """Print outcomes as they come (JSON, one record a line) or at the end (a table); return them.

    What is returned lacks the patches: kept, they were 40 kB an image, and a folder may hold thousands.
    """
    done: list[Outcome[Job]] = []
    try:
        with progress("Diagnosing", total) as advance:
            for outcome in outcomes:
                if not outcome.image_key:
                    advance()
                if isinstance(outcome.result, Index):
                    continue  # its images were told of
                if as_json:
                    print_json(_line(outcome))
                done.append(_without_patches(outcome))
    except KeyboardInterrupt:
        if not as_json:
            _print_table(done)
        files = len({outcome.job for outcome in done})
        error_console().print(f"Interrupted: {files} of {total} files done.")
        raise
    if not as_json:
        _print_table(done)
    _print_notes(done)
    return done


def show_standing(outcomes: Sequence[Outcome[Job]], judge: str) -> None:
    """Say what became of results that stood: which were kept, replaced, or outlasted an error.

    Args:
        outcomes: as `show` returns them.
        judge: name and version of the model that judged.
    """
    kept = Counter(
        (f"{found.sidecar.model.name} {found.sidecar.model.version}", found.is_other_model)
        for found in (outcome.result for outcome in outcomes)
        if isinstance(found, Kept)
    )
    console = error_console()

    def say(words: str) -> None:
        console.print(shown(words), soft_wrap=True)

    for (model, is_other), count in kept.items():
        results, were, them = (
            ("1 result is", "was", "it") if count == 1 else (f"{count} results are", "were", "them")
        )
        remedy = f"--stale judges {them} anew with {judge}" if is_other else f"--again judges {them}, too"
        say(f"{results} of model {model} and {were} kept; {remedy}")
    if replaced := sum(outcome.replaced for outcome in outcomes):
        one = replaced == 1
        words = (
            "1 result was replaced; what it was"
            if one
            else f"{replaced} results were replaced; what they were"
        )
        say(f"{words} lies beside {'it' if one else 'them'} as .colvi.prev.json")
    if outlasted := sum(outcome.stands is not None for outcome in outcomes):
        words = (
            "1 image that failed now keeps its"
            if outlasted == 1
            else f"{outlasted} images that failed now keep their"
        )
        say(f"{words} earlier result{'s' * (outlasted > 1)}, of the same content")


def show_findings(findings: Iterable[Finding], *, as_json: bool) -> None:
    """Print what `doctor` found."""
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        colour = {"ok": "green", "note": "yellow", "missing": "red", "rejected": "red"}[finding.state]
        table.add_row(f"[{colour}]{finding.state}[/]", shown(finding.what), shown(finding.words))
    wide_console().print(table)


def _without_patches(outcome: Outcome[Job]) -> Outcome[Job]:
    result = outcome.result
    if isinstance(result, Kept):
        return replace(outcome, result=replace(result, sidecar=_short(result.sidecar)))
    return replace(outcome, result=_short(result)) if isinstance(result, Sidecar) else outcome


def _short(sidecar: Sidecar) -> Sidecar:
    return sidecar.model_copy(update={"patches": None})


def _line(outcome: Outcome[Job]) -> dict[str, Any]:
    """Return a record, and before it the raw file's path, which with the image's key says whose it is."""
    kept = {"kept": True} if isinstance(outcome.result, Kept) else {}
    return {"path": unambiguous_name(outcome.job.path), **kept, **as_plain(_record(outcome))}


def _record(outcome: Outcome[Job]) -> Sidecar | Index | ErrorRecord:
    if isinstance(outcome.result, Kept):
        return outcome.result.sidecar
    if isinstance(outcome.result, Sidecar | Index):
        return outcome.result
    return error_record(outcome.job.raw.name, outcome.result, outcome.image_key)


def _print_table(outcomes: list[Outcome[Job]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("diagnosis")
    table.add_column("score", justify="right")
    table.add_column("control", justify="right")
    table.add_column("patient", justify="right")
    table.add_column("tie", justify="right")
    table.add_column("remarks", overflow="fold")
    words = Counter[str]()
    for outcome in outcomes:
        word, cells = _row(outcome)
        words[word] += 1
        name = unambiguous_name(image_label(outcome.job.path, outcome.image_key))
        table.add_row(shown(name), f"[{_COLOUR[word]}]{word}[/]", *map(shown, cells))
    console = wide_console()
    console.print(table)
    images = "1 image" if len(outcomes) == 1 else f"{len(outcomes)} images"
    console.print(f"\n{images}: " + ", ".join(f"{words[word]} {word}" for word in _COLOUR if words[word]))
    console.print(RESEARCH_USE_ONLY, style="dim")


def _print_notes(outcomes: Iterable[Outcome[Job]]) -> None:
    console = error_console()
    for job in dict.fromkeys(outcome.job for outcome in outcomes):
        for note in dict.fromkeys(job.notes):
            console.print(shown(f"{unambiguous_name(job.path)}: {note}"), soft_wrap=True)


def _row(outcome: Outcome[Job]) -> tuple[str, list[str]]:
    kept = isinstance(outcome.result, Kept)
    sidecar = outcome.result.sidecar if isinstance(outcome.result, Kept) else outcome.result
    if not isinstance(sidecar, Sidecar):
        label = image_label(printable_name(outcome.job.raw.name), outcome.image_key)
        remark = str(sidecar).removeprefix(f"{label}: ")
        return "failed", ["", "", "", "", remark]
    words = [f"kept, of {sidecar.model.name} {sidecar.model.version}"] if kept else []
    remarks = " ".join([*words, *(flag.words for flag in sidecar.quality)])
    if sidecar.votes is None:
        return "rejected", ["", "", "", "", remarks]
    votes = [str(n) for n in (sidecar.votes.control, sidecar.votes.patient, sidecar.votes.tie)]
    return str(sidecar.diagnosis), [f"{sidecar.score:.1f}", *votes, remarks]
