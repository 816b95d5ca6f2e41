"""A publisher that names a file as it is refused, and at the next time as it ends by a bug; see `loud`."""

from typing import Any, NoReturn

from colvi_edge.errors import OutputError
from colvi_edge.report.page_of_folder import Report
from colvi_edge.watch.publisher.process import main
from tests.watch.fakes.loud import first_time


def render(self: Report, folder_fd: Any) -> NoReturn:
    """Make no page."""
    name = "".join(("MA", "RKfile.tif.colvi.json"))  # as a line of code stands in a traceback
    if first_time("asked"):
        raise OutputError(f"{name} cannot be read")
    raise RuntimeError(name)


setattr(Report, "render", render)  # noqa: B010 - another type
main()
