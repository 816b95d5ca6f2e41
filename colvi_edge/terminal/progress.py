"""Progress bars: on standard error, and only on a terminal, so that logs and pipes stay clean.

Light processes show one, too: rich is imported when a bar is begun.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colvi_edge.printable import printable_name

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def progress(what: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Show a progress bar for `total` steps, if quiet none; the function given back takes one step."""
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn(), quiet) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def progress_of_growing(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar for steps of which more may come; it is told how many are done, and of how many."""
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def progress_share(what: str, *, quiet: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar for work that tells, in words and as a share of 1, how far it is; if quiet none."""
    from rich.progress import TaskProgressColumn

    with _bar(TaskProgressColumn(), quiet) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda words, share: bar.update(
            task, description=f"{what}: {printable_name(words)}", completed=share
        )


def _bar(how_far: "ProgressColumn", quiet: bool = False) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from colvi_edge.terminal.console import error_console

    console = error_console()
    described = TextColumn("{task.description}", markup=False)
    columns = (described, BarColumn(), how_far, TimeRemainingColumn())
    hidden = quiet or not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=hidden)
