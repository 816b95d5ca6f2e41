"""What an operator asks about a watched folder, without a process of its own: as the commands do it."""

from pathlib import Path

from colvi_edge.choices import Replace
from colvi_edge.cli.show.status import show_retried, show_status
from colvi_edge.errors import EXIT_AILING, EXIT_DONE
from colvi_edge.watch.service.retry import retry
from colvi_edge.watch.service.status import gather_status


def tell_status(folder: Path, *, as_json: bool) -> int:
    """Print what `colvi-edge status` prints; return its exit code."""
    status = gather_status(folder)
    show_status(status, as_json=as_json)
    return EXIT_DONE if status.is_well else EXIT_AILING


def tell_retry(folder: Path, replace: Replace = Replace.OWN) -> int:
    """Leave the request of `colvi-edge retry`, and print what that prints; return its exit code."""
    show_retried(retry(folder, replace))
    return EXIT_DONE
