"""What `colvi-edge bench` prints."""

from itertools import groupby

from rich.table import Table

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bench import compare, figures
from colvi_edge.bench.figures import three_digits
from colvi_edge.bench.record import END_TO_END, Record, SegmentCheck, Series
from colvi_edge.engines.precisions import INT8
from colvi_edge.terminal.console import PrintableConsole, print_note, shown, wide_console


def show_bench(record: Record, old: Record | None = None, budget_ms: float | None = None) -> None:
    """Print a record; what changed since an older one; whether the first engine keeps a budget."""
    console = wide_console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, words in figures.facts(record).items():
        facts.add_row(shown(name), shown(words))
    console.print(facts)
    for warning in figures.warnings(record):
        console.print(f"\n[yellow]{shown(warning)}[/]")
    if len(record.engines) > 1:
        _show_side_by_side(console, record)
    for row in figures.overview(record):
        _show_engine(console, record, row)
    if any("int8" in row.engine for row in figures.overview(record)):
        console.print(f"\n{INT8}", style="dim")
    if record.peers or record.peers_missing:
        _show_peers(console, record)
    if record.checks:
        _show_checks(console, record)
    if old:
        _show_changes(console, record, old)
    if budget_ms is not None:
        fits, words = figures.within_budget(record, budget_ms)
        console.print(f"\n[{'green' if fits else 'red'}]{shown(words)}[/]")
    console.print(f"\n{RESEARCH_USE_ONLY}", style="dim")


def show_what_is_wrong(record: Record, budget_ms: float | None = None) -> None:
    """Print, on standard error, warnings, decisions that differ, and a budget that is not kept."""
    for words in (*figures.warnings(record), *_faults(record)):
        print_note(words)
    if budget_ms is not None:
        fits, words = figures.within_budget(record, budget_ms)
        if not fits:
            print_note(words)


def _faults(record: Record) -> list[str]:
    return [
        f"{check.engine} does not decide as the trained network does: {fault}"
        for check in record.checks
        for fault in check.faults
    ]


def _show_side_by_side(console: PrintableConsole, record: Record) -> None:
    rows = figures.overview(record)
    table = _table("p50 in ms", "file to JSON", "after rest", "new process", "burst", "network", "ratio")
    for row in rows:
        ratio = row.continuous.median_ms / rows[0].continuous.median_ms
        parts = (row.continuous, row.after_idle, row.cold_start, row.burst, row.network)
        table.add_row(
            shown(row.engine),
            *(three_digits(part.median_ms) if part else "-" for part in parts),
            f"{ratio:.2f}",
        )
    console.print("\nEngines side by side", style="bold")
    console.print(table)


def _show_engine(console: PrintableConsole, record: Record, row: figures.Overview) -> None:
    used = next(used for used in record.engines if used.name == row.engine)
    console.print(f"\n{shown(row.engine)}", style="bold")
    console.print(shown(f"{used.version} on {used.device}: {used.reason}"), style="dim")
    table = _table("ms", *figures.COLUMNS, "of")
    for name, series in figures.ways(record, row):
        table.add_row(shown(name), *figures.summary(series))
    table.add_row()
    for stage in figures.stages(record, row.engine, record.inputs[0]):
        name = f"{'  ' if stage.within else ''}{stage.name}"
        if stage.series:
            table.add_row(shown(name), *figures.summary(stage.series))
        else:
            table.add_row(shown(f"{name} *"), three_digits(stage.median_ms))
    console.print(table)
    console.print(
        f"Throughput in bursts: {_rate(row)}; {row.outside:.0%} of {END_TO_END} is not the network."
    )
    console.print(
        "* the engine's median less the network's; p99 of fewer than 100 is the slowest.", style="dim"
    )


def _show_peers(console: PrintableConsole, record: Record) -> None:
    first = figures.overview(record)[0]
    table = _table("the network alone, ms", "p50", "p95", "min", "of", shown(f"x {first.engine}"))
    _add_peer(table, f"colvi-edge, {first.engine}", first.network, "1")
    for peer in figures.peer_ratios(record):
        label = f"{peer.name} ({peer.version}, batch {peer.batch})"
        _add_peer(table, label, peer.network, figures.interval(peer.ratio))
    console.print("\nOther runtimes, same network, same image", style="bold")
    console.print(table)
    for missing in record.peers_missing:
        console.print(shown(f"not measured: {missing.name}: {missing.why}"), style="dim")


_OF_VOTES = ("votes as", "agree", "bands differ", "flips", "dp", "dscore")
_OF_REGIONS = ("regions as", "Dice", "worst", "edge px", "F1", "unmatched")


def _show_checks(console: PrintableConsole, record: Record) -> None:
    segments = isinstance(record.checks[0], SegmentCheck)
    table = _table("decisions", *(_OF_REGIONS if segments else _OF_VOTES))
    above = segments and not console.is_piped  # in a pipe each row says its engine
    rows = zip(record.checks, figures.decisions(record), strict=True)
    for engine, of_engine in groupby(rows, lambda row: row[0].engine):
        if above:
            table.add_row(f"[bold]{shown(engine)}[/]")
        for check, (title, *cells) in of_engine:
            table.add_row(shown(f"  {check.images}" if above else title), *map(shown, cells))
    console.print()
    console.print(table)
    faults = _faults(record)
    for words in faults:
        console.print(f"[red]{shown(words)}[/]")
    if not faults:
        console.print("[green]Every engine decides as the trained network does.[/]")


def _show_changes(console: PrintableConsole, record: Record, old: Record) -> None:
    table = _table("p50 in ms", "was", "is", "ratio", "95 % interval", "change")
    for engine, changes in groupby(compare.changes(record, old), lambda change: change.new.engine):
        above = engine and not console.is_piped  # in a pipe each row says its engine
        if above:
            table.add_row(f"[bold]{shown(engine)}[/]")
        for change in changes:
            title, ratio = compare.title(change.new), change.ratio
            table.add_row(
                shown(f"  {title.removeprefix(f'{engine}, ')}" if above else title),
                three_digits(change.old_ms),
                three_digits(change.new.median_ms),
                f"{ratio.value:.2f}",
                f"{ratio.low:.2f} to {ratio.high:.2f}",
                change.words,
            )
    console.print(f"\nSince {old.created:%Y-%m-%d %H:%M} UTC ({shown(old.software)})", style="bold")
    for caveat in compare.caveats(record, old):
        console.print(f"[yellow]{shown(caveat)}[/]")
    console.print(table)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _add_peer(table: Table, name: str, series: Series, ratio: str) -> None:
    cells = (three_digits(series.summary_ms[column]) for column in ("p50", "p95", "min"))
    table.add_row(shown(name), *cells, str(len(series.samples_ms)), ratio)


def _rate(row: figures.Overview) -> str:
    return f"{1000 / row.burst.median_ms:.1f} images/s" if row.burst else "-"
