"""What who makes a page is told when it is there; who looks at it reads the page."""

import shlex
from pathlib import Path
from textwrap import wrap

from colvi_edge.printable import counted
from colvi_edge.report.page_of_folder import Contents

COLUMNS = 79


def closing_lines(folder: Path, page: Path, contents: Contents) -> list[str]:
    """Return where a page is, how to open it, and what its maker could better.

    Addresses and commands stand on lines of their own, to be copied.

    Args:
        folder: that the page is of.
        page: where it was written.
        contents: of it.
    """
    _, unread, undated, models, example, _ = contents
    lines = [f"{contents.told} on one page: {page}", "Open it in a browser:"]
    lines.append(page.resolve().as_uri())
    here = shlex.quote(str(folder))
    if unread:
        records = counted(unread, "record or folder", "records or folders")
        lines += _paragraph(f"{records} could not be read.")
    if undated:
        are, names = ("is", "its name does") if undated == 1 else ("are", "their names do")
        left_out = f"{undated} of {contents.told} {are} left out of the scores over time"
        if example is None:
            lines += _paragraph(f"{left_out}: --sample finds no sample and date there.")
        else:
            lines += _paragraph(
                f"{left_out}: {names} not tell sample and date, as {example} does. Say how yours do; here of "
                "names such as 20261120_P03_2.tif:"
            )
            output = "" if page == folder / "report.html" else f" -o {shlex.quote(str(page))}"
            lines.append(rf"colvi-edge report {here}{output} --sample '(?P<date>\d{{8}})_(?P<sample>[^_]+)'")
            lines += _folded(
                f"It takes the place of the usual form: names such as {example} are then not understood."
            )
    if models > 1:
        lines += _paragraph(
            f"These results are of {models} models, whose scores do not compare. To judge all with one:"
        )
        lines.append(f"colvi-edge run {here} --bundle MODEL.colvi --stale")
    return lines


def _paragraph(words: str) -> list[str]:
    return ["", *_folded(words)]


def _folded(words: str) -> list[str]:
    return wrap(words, COLUMNS, break_long_words=False, break_on_hyphens=False)
