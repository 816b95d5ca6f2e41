"""What `colvi-edge train` and `evaluate` print."""

from rich.table import Table

from colvi_edge.cli.show.results import shown
from colvi_edge.export.evaluation.record import (
    HEADINGS,
    METRICS,
    ComparisonRecord,
    Evaluation,
    Level,
    Method,
    Pooled,
    between,
    figure,
)

COUNTS = {
    "tp": "tp patients right",
    "fn": "fn patients wrong",
    "tn": "tn controls right",
    "fp": "fp controls wrong",
}
"""The confusion matrix, as people read it."""


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
