"""What `run` and `demo` print: a progress bar while they work, a table or JSON, notes on standard error."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.cli.show.outcomes import Asked, print_outcomes, print_places, print_unjudged
from colvi_edge.cli.show.reasons import show_stages
from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar, as_plain
from colvi_edge.pipeline import Kept, Outcome
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.pipeline.records import error_record
from colvi_edge.printable import unambiguous_name
from colvi_edge.terminal.console import PrintableConsole, error_console, print_json, shown, wide_console
from colvi_edge.terminal.progress import progress


def show_outcomes(
    outcomes: Iterable[Outcome[InputFile]],
    total: int,
    folders: Sequence[Path],
    *,
    as_json: bool,
    quiet: bool = False,
    verbose: bool = False,
    with_report: bool = True,
    asked: Asked | None = None,
    goes_on: str = "",
    judges: Mapping[str, str] | None = None,
) -> list[Outcome[InputFile]]:
    """Print outcomes as they come (JSON, one record a line) or at the end (a table); return them.

    If quiet, in place of the table what was not judged is printed, on standard error.

    What is returned lacks the patches: kept, they were 40 kB an image, and a folder may hold thousands.

    Args:
        outcomes: as they are written.
        total: how many files there are.
        folders: in and below which results lie, as they were named.
        as_json: print JSON.
        quiet: print no table.
        verbose: also print, on standard error, how long each image took.
        with_report: say how to see all results on one page.
        asked: how the command was given.
        goes_on: what to say, after Ctrl-C, of the way to the rest.
        judges: name and version of each bundle that judges, by its slot; one need not be named.
    """
    judges = judges or {"": ""}
    done: list[Outcome[InputFile]] = []
    by = Counter[InputFile]()  # how many bundles are done with a file
    files = 0

    def tell() -> None:
        if as_json:
            return
        if quiet:
            print_unjudged(error_console(), done, asked)
        else:
            _print_all(done, folders, with_report, asked, judges)

    try:
        with progress("Diagnosing", total, quiet=quiet or verbose) as advance:
            for outcome in outcomes:
                if not outcome.image_key:
                    by[outcome.file] += 1
                    if by[outcome.file] == len(judges):
                        files += 1
                        advance()
                if isinstance(outcome.result, Index):
                    continue  # its images were told of
                if as_json:
                    print_json(_line(outcome))
                if verbose:
                    show_stages(outcome)
                done.append(_without_patches(outcome))
    except KeyboardInterrupt:
        tell()
        error_console().print(f"Interrupted: {files} of {total} files done.")
        if goes_on and files < total:
            error_console().print(shown(goes_on))
        raise
    tell()
    _print_notes(done)
    return done


def _without_patches(outcome: Outcome[InputFile]) -> Outcome[InputFile]:
    result = outcome.result
    if isinstance(result, Kept):
        return replace(outcome, result=replace(result, sidecar=_short(result.sidecar)))
    return replace(outcome, result=_short(result)) if isinstance(result, Sidecar) else outcome


def _short(sidecar: Sidecar) -> Sidecar:
    return sidecar.model_copy(update={"patches": None})


def _line(outcome: Outcome[InputFile]) -> dict[str, Any]:
    """Return a record, and before it the raw file's path, which with the image's key says whose it is."""
    kept = {"kept": True} if isinstance(outcome.result, Kept) else {}
    return {"path": unambiguous_name(outcome.file.path), **kept, **as_plain(_record(outcome))}


def _record(outcome: Outcome[InputFile]) -> Sidecar | Index | ErrorRecord:
    if isinstance(outcome.result, Kept):
        return outcome.result.sidecar
    if isinstance(outcome.result, Sidecar | Index):
        return outcome.result
    return error_record(outcome.file.raw.name, outcome.result, outcome.image_key, slot=outcome.slot)


def _print_all(
    outcomes: list[Outcome[InputFile]],
    folders: Sequence[Path],
    with_report: bool,
    asked: Asked | None,
    judges: Mapping[str, str],
) -> None:
    console = wide_console()
    for slot, judge in judges.items():
        if len(judges) > 1:
            _print_judge(console, slot, judge)
        print_outcomes(console, [outcome for outcome in outcomes if outcome.slot == slot], asked)
    print_places(console, outcomes, folders, with_report=with_report)
    console.print(RESEARCH_USE_ONLY, style="dim")


def _print_judge(console: PrintableConsole, slot: str, judge: str) -> None:
    """Print whose results follow, and how their files are called."""
    if slot:
        console.print()
    names = output_name("X", OutputKind.SIDECAR, slot=slot).removesuffix("json")
    console.print(f"{shown(f'{judge}, {names}*')}\n", style="bold")


def _print_notes(outcomes: Iterable[Outcome[InputFile]]) -> None:
    console = error_console()
    for file in dict.fromkeys(outcome.file for outcome in outcomes):
        for note in dict.fromkeys(file.notes):
            console.print(shown(f"{unambiguous_name(file.path)}: {note}"), soft_wrap=True)
