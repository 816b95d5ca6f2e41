"""The publisher: writes the report's page each time that the supervisor asks for it.

    python -m colvi_edge.watch.publisher DESCRIPTOR SUPERVISOR_PID

It lives as long as the supervisor, so that what it read and the pictures that it made small are at hand for
the next page. Results are read, and a page that lies among them is written, through descriptors of the
pinned folders.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from colvi_edge.errors import ColviEdgeError
from colvi_edge.outputs.named import Named, refuse_other
from colvi_edge.report.page_of_folder import Report
from colvi_edge.system.atomic import write_atomically
from colvi_edge.system.writing import explained, hold_folder
from colvi_edge.watch.folder.folders import Folders
from colvi_edge.watch.ipc.channel import as_words
from colvi_edge.watch.ipc.child import SupervisorLink, join_supervisor
from colvi_edge.watch.ipc.messages import Publish, Published
from colvi_edge.watch.ipc.settings import PublisherSettings

_LEAST_URGENT = 19
_WHAT = "the report"  # and no name, as the words go into the log


class Publisher:
    """Writes one page, again and again."""

    def __init__(self, supervisor: SupervisorLink, settings: PublisherSettings) -> None:
        """Remember what to do and with whom; nothing is opened yet."""
        self._supervisor = supervisor
        self._page = settings.page
        self._root, self._results = settings.folders.root, settings.folders.results
        self._report = Report(self._results, self._page, sample=settings.sample, refresh_s=settings.refresh_s)
        self._folders = Folders(settings.folders)

    def run(self) -> None:
        """Work until the supervisor ends."""
        for message in self._supervisor.channel:
            if isinstance(message, Publish):
                begin = time.monotonic()
                why = self._publish(message)
                self._supervisor.channel.send(Published(as_words(why), round(time.monotonic() - begin, 3)))

    def _publish(self, wanted: Publish) -> str:
        """Write the page; return why that was not possible, or ""."""
        try:
            with self._folders.results(wanted.mount, wanted.results_mount) as results:
                page, _ = self._report.render(results.fileno())
            with self._parent(wanted) as parent:
                refuse_other(Named.REPORT, self._page.name, parent)
                write_atomically(parent, self._page.name, page, self._confirm)
        except ColviEdgeError as error:
            return str(error)
        except OSError as error:
            return f"{self._results} cannot be listed: {error.strerror}"
        return ""

    @contextmanager
    def _parent(self, wanted: Publish) -> Iterator[int]:
        """Hold the folder of the page open, made if need be."""
        results = partial(self._folders.results, wanted.mount, wanted.results_mount)
        root = partial(self._folders.root, wanted.mount)
        for folder, pinned in ((self._results, results), (self._root, root)):
            if self._page.is_relative_to(folder):
                below = "/".join(self._page.parent.relative_to(folder).parts)
                with explained(str(self._page.parent), _WHAT), pinned() as top:
                    parent = top.open_folder(below, create=True)
                    try:
                        yield parent
                    finally:
                        os.close(parent)
                return
        with hold_folder(self._page.parent, _WHAT) as parent:
            yield parent

    def _confirm(self) -> None:
        if not self._supervisor.is_alive():
            raise SystemExit


def main() -> None:
    """Run as the supervisor's child."""
    os.nice(_LEAST_URGENT)
    supervisor = join_supervisor()
    settings = supervisor.channel.first()
    assert isinstance(settings, PublisherSettings)  # noqa: S101 - the supervisor's first word
    with suppress(BrokenPipeError, ConnectionResetError):  # the supervisor ended, so do we
        Publisher(supervisor, settings).run()
