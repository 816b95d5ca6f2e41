"""What `colvi-edge train` and `evaluate` do with a record: print it, and draw it."""

from collections.abc import Iterator
from pathlib import Path

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.cli.show.results import error_console, wide_console
from colvi_edge.export.evaluation.intervals import NO_INTERVAL
from colvi_edge.export.evaluation.record import ComparisonRecord, EvaluationRecord, figure, to_json
from colvi_edge.export.pages import comparison as comparison_page
from colvi_edge.export.pages import evaluation as page
from colvi_edge.printable import printable_json, printable_name
from colvi_edge.system.writing import write_file

from .table import as_table

WIDE_COLUMNS = 92
"""Of a terminal in which several methods with their spread are not cropped."""


def publish(record: EvaluationRecord | ComparisonRecord, *, as_json: bool, html: Path | None) -> None:
    """Print a record as a table or JSON, and write its page if one is named, which is said on standard error.

    Raises:
        OutputError: the page cannot be written.
    """
    if html:
        drawn = (
            page.render(record) if isinstance(record, EvaluationRecord) else comparison_page.render(record)
        )
        write_file(html, drawn.encode())
    if as_json:
        print(printable_json(to_json(record).decode()), end="")  # noqa: T201 - data for a pipe
    else:
        _print(record)
    if html:
        error_console().print(printable_name(f"page: {html}"), markup=False, soft_wrap=True)


def _print(record: EvaluationRecord | ComparisonRecord) -> None:
    console = wide_console()
    console.print(as_table(record, with_spread=console.width >= WIDE_COLUMNS))
    for sentence in (*_below(record), *record.chance):
        console.print(printable_name(sentence), markup=False, soft_wrap=not console.is_terminal)
    console.print(RESEARCH_USE_ONLY, style="dim")


def _below(record: EvaluationRecord | ComparisonRecord) -> Iterator[str]:
    """Yield what a reader of the table must know to read it."""
    if isinstance(record, EvaluationRecord):
        model, error = record.model, figure(record.calibration_error)
        yield f"{model.name}, {model.precision}, {model.runtime}; calibration error of patches {error}"
    else:
        folds = len(record.methods[0].folds)
        if folds > 1:
            yield f"Means ± standard deviations of {folds} folds; intervals of all their images together."
    patches = record.patch if isinstance(record, EvaluationRecord) else record.methods[0].patch
    if patches.interval is None:
        yield NO_INTERVAL
