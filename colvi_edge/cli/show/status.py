"""What `colvi-edge status` and `retry` print."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import typer
from rich.table import Table

from colvi_edge.choices import Replace
from colvi_edge.printable import counted, printable_json, printable_name, unambiguous_name
from colvi_edge.raw_files import unread_words
from colvi_edge.terminal.console import PrintableConsole, shown, wide_console
from colvi_edge.watch.ipc.model import UNKNOWN
from colvi_edge.watch.ledger.entries import Entry, ModelResults
from colvi_edge.watch.rollout import others_of, retry_command, told_apart
from colvi_edge.watch.service.retry import Retried
from colvi_edge.watch.service.status import BundleSummary, FolderStatus
from colvi_edge.watch.status_file import Last, Waiting, count_words

_LISTED = 20  # of each list of files in the table; JSON has all
_COUNTED = {"pending", "settling", "repeated", "settled_before", "unmarked", "answered"}
"""Fields of `Status` that are told as "files"."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_NOTHING = {
    Replace.OWN: "nothing failed",
    Replace.STALE: "nothing failed, and nothing is of another model",
    Replace.ALL: "there is no result yet",
}


def show_status(status: FolderStatus, *, as_json: bool) -> None:
    """Print how the watching of a folder goes."""
    if as_json:
        typer.echo(printable_json(json.dumps(_as_plain(status))))  # names need not be UTF-8
        return
    console = wide_console()
    for line in (*_daemon_lines(status), *_trouble_lines(status), *_file_lines(status)):
        console.print(line)
    for line in _model_lines(status):
        console.print(shown(line))
    said = status.said
    if said and said.last:
        console.print(_last_line(said.last))
    _print_files(console, "error", status.ledger.failed)
    _print_files(console, "quarantined", status.ledger.quarantined)
    _print_files(console, "waiting", said.waiting if said else ())


def show_retried(retried: Retried) -> None:
    """Print which files are diagnosed again, and when."""
    typer.echo(printable_name(_retried_words(retried)))


def _as_plain(status: FolderStatus) -> dict[str, Any]:
    said = {} if status.said is None else asdict(status.said)
    said.pop("said_s", None)
    plain = {
        **said,
        "folder": str(status.folder),
        "running": status.is_running,
        "silent_s": None if status.silent_s is None else round(status.silent_s, 1),
        "files": status.files,
        "failed": [_plain_entry(entry) for entry in status.ledger.failed],
        "quarantined": [_plain_entry(entry) for entry in status.ledger.quarantined],
        **_plain_results(status.bundles[0]),
        "bundles": [_plain_bundle(bundle) for bundle in status.bundles],
    }
    hidden = _COUNTED if len(status.bundles) > 1 else {*_COUNTED, "bundles"}
    return {name: value for name, value in plain.items() if name not in hidden}


def _plain_bundle(bundle: BundleSummary) -> dict[str, Any]:
    started = asdict(bundle.started) if bundle.started else None
    return {"name": bundle.slot, "model": started, "files": bundle.counts, **_plain_results(bundle)}


def _plain_results(bundle: BundleSummary) -> dict[str, Any]:
    models = [
        {
            **asdict(found.model),
            "results": found.results,
            "current": found.model == bundle.model != UNKNOWN,
        }
        for found in bundle.by_model
    ]
    return {"models": models, "again": bundle.wanted}


def _plain_entry(entry: Entry) -> dict[str, str]:
    bundle = {"bundle": entry.slot} if entry.slot else {}
    words = {"kind": entry.kind, "words": entry.words, "at": entry.at, **bundle}
    plain = {name: printable_name(text) for name, text in words.items()}  # JSON forbids undecodable bytes
    return {"path": unambiguous_name(entry.path), **plain}


def _daemon_lines(status: FolderStatus) -> Iterator[str]:
    """Yield what the daemon does, or why there is none, as markup."""
    name, said = shown(str(status.folder)), status.said
    refused = said and said.refused
    could_not = f"[red]could not start[/] at {_time(refused.at)}: {shown(refused.why)}" if refused else ""
    if not status.is_running:
        yield f"{name}: {could_not or _end_words(status)}"
    elif said is None or status.is_silent:
        yield f"{name}: [red]the daemon runs, but has said nothing for {status.silent_s:.0f} s[/]"
    elif not said.ready:
        yield f"{name}: starting since {_time(said.started)}"
    else:
        what = "diagnosing what is there" if said.once else "watching"
        yield f"{name}: [green]{what}[/] since {_time(said.started)}"
    if status.is_running and refused:
        yield could_not
    elif refused and said and said.ready:
        yield f"before that: {_end_words(status)}"


def _end_words(status: FolderStatus) -> str:
    """Return why no daemon runs, as markup."""
    said = status.said
    if said is None:
        return "[red]the daemon is not running[/]"
    at = _time(said.said)
    if said.end == "finished" and not said.looked:
        return f"[red]ended without having looked at the folder[/] at {at}"
    if said.end == "finished":
        colour = "green" if status.did_all else "yellow"
        left = said.pending + said.settling
        did = [
            *(
                [f"judged {counted(said.judged, 'result' if said.bundles else 'file')}"]
                if said.judged
                else []
            ),
            *([counted(said.errors, "error")] if said.errors else []),
            *([f"{left:,} left"] if left else []),
        ]
        return f"[{colour}]finished[/] at {at}, {', '.join(did) or 'nothing was to be judged'}"
    what = "--once was interrupted" if said.once else "the daemon is not running"
    return (
        f"[red]{what}[/]; it was stopped at {at}"
        if said.end
        else f"[red]{what}[/]; its last word was at {at}"
    )


def _trouble_lines(status: FolderStatus) -> Iterator[str]:
    """Yield what ails the daemon, as markup."""
    for state in status.said.states if status.said else ():
        yield f"[red]{shown(state.name)}[/] since {_time(state.since)}: {shown(state.why)}"
        if state.folder:
            yield "    " + shown(unambiguous_name(str(status.folder / state.folder)))


def _file_lines(status: FolderStatus) -> Iterator[str]:
    """Yield how many files are in which state, and which are not read, as markup."""
    said = status.said
    again = said.repeated + said.settled_before if said else 0
    looked_at = f" ({again:,} of them {'is' if again == 1 else 'are'} looked at again)" if again else ""
    yield f"{count_words(status.files)}{looked_at}"
    for suffix, count in sorted(said.not_read.items()) if said else ():
        yield shown(unread_words(suffix, count))


def _model_lines(status: FolderStatus) -> Iterator[str]:
    """Yield what judges, and how many results are of which model where there is more than one."""
    bundles = status.bundles
    differ = any(bundle.counts != bundles[0].counts for bundle in bundles)
    for bundle in bundles:
        if started := bundle.started:
            named = f"model of {bundle.slot}" if bundle.slot else "model"
            yield f"{named}: {started.model} on {started.runtime} {started.precision}, {started.device}"
        if differ:
            yield f"    {_answered_words(bundle)}"
        yield from _result_lines(status, bundle)


def _answered_words(bundle: BundleSummary) -> str:
    """Return how many files have which answer of one bundle."""
    return count_words({state: count for state, count in bundle.counts.items() if state != "pending"})


def _result_lines(status: FolderStatus, bundle: BundleSummary) -> Iterator[str]:
    """Yield how many results of a bundle are of which model, if there is more than one."""
    results, asked = bundle.by_model, _asked_line(status, bundle)
    if not results or (len(results) == 1 and results[0].model != UNKNOWN):
        yield from filter(None, [asked])
        return
    current, *others = results
    for found in results:
        mark = " (current)" if found is current and current.model != UNKNOWN else ""
        yield f"{counted(found.results, 'result')} of {told_apart(found.model, results)}{mark}"
    if bundle.wanted:
        yield f"{counted(bundle.wanted, 'result')} still to be judged again"
    elif asked:
        yield asked
    elif others and current.model != UNKNOWN:
        yield f"what {told_apart(current.model, results)} did not judge stays; to have it judged, too:"
        yield f"    {retry_command(status.folder)}"


def _asked_line(status: FolderStatus, bundle: BundleSummary) -> str:
    """Return how many results of a bundle wait for a daemon to judge them again; "" if none do."""
    results = bundle.by_model
    which: dict[Replace, list[ModelResults]] = {
        Replace.OWN: [],
        Replace.STALE: others_of(results, bundle.model),
        Replace.ALL: results,
    }
    if not (count := sum(found.results for found in which[status.asked])):
        return ""
    return f"{counted(count, 'result is', 'results are')} to be judged again when the daemon runs"


def _last_line(last: Last) -> str:
    latency_ms = last.latency_ms if last.heard else None
    took = "" if latency_ms is None else f", {latency_ms:,.0f} ms after its close"
    return f"last: {shown(f'{last.path}: {last.words}')}, at {_time(_utc(last.at))}{took}"


def _print_files(console: PrintableConsole, title: str, files: Iterable[Entry | Waiting]) -> None:
    rows = list(files)
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold")
    table.add_column("kind")
    table.add_column("why", overflow="fold")
    for row in rows[:_LISTED]:
        by = f"{row.slot}: " if isinstance(row, Entry) and row.slot else ""
        table.add_row(*map(shown, (unambiguous_name(row.path), row.kind, by + row.words)))
    console.print()
    console.print(table)
    if len(rows) > _LISTED:
        console.print(f"... and {len(rows) - _LISTED} more, which --json lists")


def _retried_words(retried: Retried) -> str:
    what = []
    if retried.failed:
        what.append(counted(retried.failed, "error"))
    if retried.quarantined:
        what.append(counted(retried.quarantined, "quarantined file"))
    if retried.is_running or retried.replace is not Replace.STALE:
        what += [
            f"{counted(found.results, 'result')} of {told_apart(found.model, retried.by_model)}"
            for found in retried.results
        ]
    elif retried.results:  # which bundle the next daemon will have is not known yet
        what.append("the results of other models")
    if what:
        when = "now" if retried.is_running else "when the daemon runs again"
        return f"{' and '.join(filter(None, (', '.join(what[:-1]), what[-1])))}: diagnosed again {when}"
    if retried.waits_for_bundle:
        return (
            f"nothing is of another model than {retried.model}; with another bundle all is diagnosed again "
            "when the daemon runs again"
        )
    if retried.has_waiting:
        return "nothing failed; what waits is tried at once"
    return f"{_NOTHING[retried.replace]}; nothing is diagnosed again"


def _utc(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, timezone.utc).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):  # after the year 9999
        return ""


def _time(utc: str) -> str:
    return f"{utc[:19].replace('T', ' ')} UTC" if _TIME.match(utc) else "an unknown time"
