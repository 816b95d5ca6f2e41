"""What `colvi-edge evaluate` prints."""

from rich.table import Table

from colvi_edge.terminal import shown

from .record import HEADINGS, METRICS, ComparisonRecord, Evaluation, figure


def as_table(record: Evaluation | ComparisonRecord, *, with_spread: bool = True) -> Table:
    """Return the figures as a table for a terminal: of one network, or of each method with their spread."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    if isinstance(record, Evaluation):
        for heading in ("", "n", "tp", "tn", "fp", "fn", *HEADINGS):
            table.add_column(heading, justify="right" if heading else "left")
        for name, level in (("patches", record.patch), ("images", record.image)):
            counts = (level.n, level.tp, level.tn, level.fp, level.fn)
            table.add_row(name, *map(str, counts), *(figure(getattr(level, metric)) for metric in METRICS))
        return table
    table.add_column("method", overflow="fold")
    for heading in ("of", *HEADINGS):
        table.add_column(heading, justify="right" if heading != "of" else "left")
    for method in record.methods:
        for name, pooled in (("patches", method.patch), ("images", method.image)):
            spread = ((getattr(pooled.mean, metric), getattr(pooled.sd, metric)) for metric in METRICS)
            cells = [
                f"{figure(mean)} ± {figure(sd)}" if with_spread and sd is not None else figure(mean)
                for mean, sd in spread
            ]
            table.add_row(shown(method.name), name, *cells)
    return table
