"""What the commands print: a progress bar while they work, a table or JSON when they are done.

The bar itself stands in `terminal_progress`; how a line is kept printable, and what a pipe gets, in
`terminal_console`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.cli.show.findings import print_findings
from colvi_edge.cli.show.outcomes import Asked, print_outcomes, print_places
from colvi_edge.doctor import Finding
from colvi_edge.outputs.names import OutputKind
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, as_plain
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.jobs import Job
from colvi_edge.pipeline.records import error_record
from colvi_edge.printable import counted, unambiguous_name
from colvi_edge.terminal.console import error_console, print_json, shown, wide_console
from colvi_edge.terminal.progress import progress

__all__ = [
    "Asked",
    "error_console",
    "print_json",
    "show",
    "show_findings",
    "show_standing",
    "shown",
    "wide_console",
]


def show(
    outcomes: Iterable[Outcome[Job]],
    total: int,
    folders: Sequence[Path],
    *,
    as_json: bool,
    with_report: bool = True,
    asked: Asked | None = None,
    goes_on: str = "",
) -> list[Outcome[Job]]:
    """Print outcomes as they come (JSON, one record a line) or at the end (a table); return them.

    What is returned lacks the patches: kept, they were 40 kB an image, and a folder may hold thousands.

    Args:
        outcomes: as they are written.
        total: how many files there are.
        folders: in and below which results lie, as they were named.
        as_json: print JSON.
        with_report: say how to see all results on one page.
        asked: how the command was given.
        goes_on: what to say, after Ctrl-C, of the way to the rest.
    """
    done: list[Outcome[Job]] = []
    files = 0
    try:
        with progress("Diagnosing", total) as advance:
            for outcome in outcomes:
                if not outcome.image_key:
                    files += 1
                    advance()
                if isinstance(outcome.result, Index):
                    continue  # its images were told of
                if as_json:
                    print_json(_line(outcome))
                done.append(_without_patches(outcome))
    except KeyboardInterrupt:
        if not as_json:
            _print_all(done, folders, with_report, asked)
        error_console().print(f"Interrupted: {files} of {total} files done.")
        if goes_on and files < total:
            error_console().print(shown(goes_on))
        raise
    if not as_json:
        _print_all(done, folders, with_report, asked)
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
        console.print(shown(words))

    for (model, is_other), count in kept.items():
        are, were, them = ("is", "was", "it") if count == 1 else ("are", "were", "them")
        remedy = f"--stale judges {them} anew with {judge}" if is_other else f"--again judges {them}, too"
        say(f"{counted(count, 'result')} {are} of model {model} and {were} kept; {remedy}")
    if replaced := sum(outcome.replaced for outcome in outcomes):
        was, it, them = ("was", "it was", "it") if replaced == 1 else ("were", "they were", "them")
        say(
            f"{counted(replaced, 'result')} {was} replaced; what {it} lies beside {them} as "
            f"X{OutputKind.PREVIOUS.value}"
        )
    if gone := sum(outcome.gone for outcome in outcomes):
        were, records = ("was", "its record lies") if gone == 1 else ("were", "their records lie")
        are, files = ("is", "the raw file") if gone == 1 else ("are", "the raw files")
        say(
            f"{counted(gone, 'result')} {were} of other content and {are} gone; {records} beside {files} as "
            f"X{OutputKind.PREVIOUS.value}"
        )
    if standing := sum(outcome.stands is not None for outcome in outcomes):
        say(f"{counted(standing, 'error')}: the earlier result of the same content stands")


def show_findings(findings: Iterable[Finding], *, as_json: bool) -> None:
    """Print what `doctor` found."""
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
        return
    print_findings(wide_console(), list(findings))


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


def _print_all(
    outcomes: list[Outcome[Job]], folders: Sequence[Path], with_report: bool, asked: Asked | None
) -> None:
    console = wide_console()
    print_outcomes(console, outcomes, asked)
    print_places(console, outcomes, folders, with_report=with_report)
    console.print(RESEARCH_USE_ONLY, style="dim")


def _print_notes(outcomes: Iterable[Outcome[Job]]) -> None:
    console = error_console()
    for job in dict.fromkeys(outcome.job for outcome in outcomes):
        for note in dict.fromkeys(job.notes):
            console.print(shown(f"{unambiguous_name(job.path)}: {note}"), soft_wrap=True)
