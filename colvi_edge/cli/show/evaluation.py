"""What `evaluate` and `train` print: figures with their intervals as a table or JSON, notes besides."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.cli.show.classes import print_classes
from colvi_edge.cli.show.masks import print_masks
from colvi_edge.errors import EXIT_DONE, EXIT_UNJUDGED
from colvi_edge.export.commands.evaluate import evaluate_model
from colvi_edge.export.commands.evaluate_masks import evaluate_on_masks
from colvi_edge.export.data.masks import has_masks
from colvi_edge.export.evaluation.class_record import ClassesRecord
from colvi_edge.export.evaluation.intervals import NO_INTERVAL
from colvi_edge.export.evaluation.mask_record import MasksRecord
from colvi_edge.export.evaluation.record import (
    HEADINGS,
    METRICS,
    ComparisonRecord,
    Evaluation,
    EvaluationRecord,
    Level,
    Method,
    Pooled,
    between,
    figure,
    to_json,
)
from colvi_edge.export.pages import classes as classes_page
from colvi_edge.export.pages import comparison as comparison_page
from colvi_edge.export.pages import evaluation as evaluation_page
from colvi_edge.export.pages import masks as masks_page
from colvi_edge.export.pages.classes import PLURALS
from colvi_edge.printable import printable_json, printable_name
from colvi_edge.system.writing import check_writable, write_file
from colvi_edge.terminal.console import print_note, shown, wide_console
from colvi_edge.terminal.progress import progress

WIDE_COLUMNS = 92
"""Of a terminal in which several methods with their spread are not cropped."""

Record = EvaluationRecord | ComparisonRecord | ClassesRecord | MasksRecord

COUNTS = {
    "tp": "tp patients right",
    "fn": "fn patients wrong",
    "tn": "tn controls right",
    "fp": "fp controls wrong",
}
"""The confusion matrix, as people read it."""


def show_evaluation(
    model: str, dataset: Path, *, as_json: bool, html: Path | None, quiet: bool = False, **options: Any
) -> int:
    """Evaluate a model and print how it did; return the exit code.

    Args:
        model: as for `evaluate_model`, as are dataset and options.
        dataset: the same.
        as_json: print JSON.
        html: file for the page.
        quiet: print only what is wrong, and JSON.
        options: the same.

    Raises:
        ColviEdgeError: the model or the dataset cannot be used; the page cannot be written.
    """
    if html:
        check_writable(html)
    evaluate = evaluate_on_masks if has_masks(dataset) else evaluate_model
    evaluated = evaluate(model, dataset, **options, tell=print_note, progress=partial(progress, quiet=quiet))
    show_record(evaluated.record, as_json=as_json, html=html, quiet=quiet)
    return EXIT_DONE if evaluated.all_read else EXIT_UNJUDGED


def show_record(record: Record, *, as_json: bool, html: Path | None, quiet: bool = False) -> None:
    """Print a record as a table or JSON, and write its page if one is named, which is said on standard error.

    If quiet, in place of the table it is told, on standard error, if the record shows nothing but chance.

    Raises:
        OutputError: the page cannot be written.
    """
    if html:
        if isinstance(record, EvaluationRecord):
            page = evaluation_page.render(record)
        elif isinstance(record, ClassesRecord):
            page = classes_page.render(record)
        elif isinstance(record, MasksRecord):
            page = masks_page.render(record)
        else:
            page = comparison_page.render(record)
        write_file(html, page.encode())
    if as_json:
        print(printable_json(to_json(record).decode()), end="")  # noqa: T201 - data for a pipe
    elif quiet:
        for sentence in record.chance:
            print_note(sentence)
    else:
        _print(record)
    if html and not quiet:
        print_note(f"page: {html}")


def _print(record: Record) -> None:
    console = wide_console()
    if isinstance(record, ClassesRecord):
        print_classes(console, record)
    elif isinstance(record, MasksRecord):
        print_masks(console, record)
    else:
        console.print(as_table(record, with_spread=console.width >= WIDE_COLUMNS))
    for sentence in (*_below(record), *record.chance):
        console.print(printable_name(sentence), markup=False, soft_wrap=not console.is_terminal)
    console.print(RESEARCH_USE_ONLY, style="dim")


def _below(record: Record) -> Iterator[str]:
    """Yield what a reader of the table must know to read it."""
    if isinstance(record, MasksRecord):
        yield f"{record.model.name}, {record.model.precision}, {record.model.runtime}"
        return
    if not isinstance(record, ComparisonRecord):
        model, error = record.model, figure(record.calibration_error)
        of = PLURALS[record.of] if isinstance(record, ClassesRecord) else "patches"
        yield f"{model.name}, {model.precision}, {model.runtime}; calibration error of {of} {error}"
        if isinstance(record, ClassesRecord):
            return
    else:
        folds = len(record.methods[0].folds)
        if folds > 1:
            yield f"Means ± standard deviations of {folds} folds; intervals of all their images together."
    patches = record.patch if isinstance(record, EvaluationRecord) else record.methods[0].patch
    if patches.interval is None:
        yield NO_INTERVAL


def as_table(record: Evaluation | ComparisonRecord, *, with_spread: bool = True) -> Table:
    """Return the figures with their intervals as a table: of one method, or of several, figure by figure.

    Args:
        record: what to show.
        with_spread: also the standard deviation over the folds, where several methods stand side by side.
    """
    if isinstance(record, ComparisonRecord) and len(record.methods) > 1:
        return _several(record.methods, with_spread)
    table = _empty("")
    one = record.methods[0] if isinstance(record, ComparisonRecord) else record
    table.add_row("judged", str(one.patch.n), "", str(one.image.n), "")
    for name, words in COUNTS.items():
        table.add_row(words, str(getattr(one.patch, name)), "", str(getattr(one.image, name)), "")
    for heading, metric in zip(HEADINGS, METRICS, strict=True):
        table.add_row(heading, *_cells(one.patch, metric), *_cells(one.image, metric))
    return table


def _several(methods: tuple[Method, ...], with_spread: bool) -> Table:
    table = _empty("figure", "method")
    for heading, metric in zip(HEADINGS, METRICS, strict=True):
        for method in methods:
            cells = (_cells(level, metric, with_spread) for level in (method.patch, method.image))
            table.add_row(heading, shown(method.name), *(cell for pair in cells for cell in pair))
    return table


def _empty(*rows: str) -> Table:
    """Return a table without rows, whose first columns name the row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows:
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for heading in ("patches", "95 % interval", "images", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(level: Level | Pooled, metric: str, with_spread: bool = True) -> tuple[str, str]:
    """Return a figure, with its standard deviation if it is a mean, and its interval."""
    value, sd, interval = level.read(metric)
    spread = f" ± {figure(sd)}" if with_spread and sd is not None else ""
    return f"{figure(value)}{spread}", between(interval)
