"""`colvi-edge bench` from its options to its exit code."""

from collections.abc import Callable
from pathlib import Path

from colvi_edge.bench import page
from colvi_edge.bench.figures import within_budget
from colvi_edge.bench.measuring.measure import BenchRequest, measure
from colvi_edge.bench.record import read, to_json
from colvi_edge.cli.show.bench import show_bench, show_what_is_wrong
from colvi_edge.errors import EXIT_BUDGET, EXIT_DONE, EXIT_PARITY
from colvi_edge.system.writing import write_file
from colvi_edge.terminal.progress import progress_share


def bench(
    request: BenchRequest,
    *,
    budget_ms: float | None = None,
    compare: Path | None = None,
    json: Path | None = None,
    html: Path | None = None,
    quiet: bool = False,
    when_loaded: Callable[[], None] = lambda: None,
) -> int:
    """Measure, print a table, write files; return the exit code.

    Args:
        request: what is to be measured.
        budget_ms: what the first engine's p95 from file to JSON may be.
        compare: record of an earlier bench.
        json: file for the record.
        html: file for the page.
        quiet: print only what is wrong.
        when_loaded: as for `measure`.

    Returns:
        5 where a check failed; else 6 over the budget; else 0.

    Raises:
        ColviEdgeError: an engine, the bundle or the image cannot be had; the earlier record is none of this
            schema; a file cannot be written.
    """
    old = read(compare) if compare else None
    beside = next((file.parent for file in (json, html) if file), None)
    with progress_share("Bench", quiet=quiet) as tell:
        record = measure(request, beside, tell, when_loaded)
    if json:
        write_file(json, to_json(record))
    if html:
        write_file(html, page.render(record, old).encode())
    if quiet:
        show_what_is_wrong(record, budget_ms)
    else:
        show_bench(record, old, budget_ms)
    if any(check.faults for check in record.checks):
        return EXIT_PARITY
    missed = budget_ms is not None and not within_budget(record, budget_ms)[0]
    return EXIT_BUDGET if missed else EXIT_DONE
