"""What `colvi-edge train` and `evaluate` do with a record: print it, and draw it."""

from pathlib import Path

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.outputs.folder import write_file
from colvi_edge.printable import printable_json, printable_name
from colvi_edge.terminal import wide_console

from . import comparison_page, page
from .record import ComparisonRecord, EvaluationRecord, figure, to_json
from .table import as_table

WIDE_COLUMNS = 120
"""Of a terminal in which a comparison with its spread is not folded."""


def publish(record: EvaluationRecord | ComparisonRecord, *, as_json: bool, html: Path | None) -> None:
    """Print a record as a table or JSON, and write its page if one is named.

    Raises:
        OutputError: the page cannot be written.
    """
    if html:
        shown = (
            page.render(record) if isinstance(record, EvaluationRecord) else comparison_page.render(record)
        )
        write_file(html, shown.encode())
    if as_json:
        print(printable_json(to_json(record).decode()), end="")  # noqa: T201 - data for a pipe
        return
    console = wide_console()
    console.print(as_table(record, with_spread=console.width >= WIDE_COLUMNS))
    if isinstance(record, EvaluationRecord):
        model, error = record.model, figure(record.calibration_error)
        words = f"{model.name}, {model.precision}, {model.runtime}; calibration error of patches {error}"
        console.print(printable_name(words), markup=False, soft_wrap=True)
    console.print(RESEARCH_USE_ONLY, style="dim")
