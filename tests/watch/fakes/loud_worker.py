"""A worker that names all that it reads, and fails in the way that the file's name says; see `loud`."""

import errno
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from colvi_edge.acquisition.tiff import reader
from colvi_edge.system.atomic import Drafts
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.worker.process import main
from tests.watch.fakes.loud import first_time, tell_all

REFUSALS = {"acces": errno.EACCES, "stale": errno.ESTALE, "busy": errno.EBUSY, "hostdown": errno.EHOSTDOWN}

read_tiff, open_raw, publish = reader.read_tiff, PinnedFolder.open_raw, Drafts.publish


def read(data: Any, name: str, *more: Any) -> Any:
    """Read as ever, and name it; or crash."""
    if "segv" in name:
        signal.raise_signal(signal.SIGSEGV)
    if "bug" in name:
        try:
            raise OSError(errno.EIO, "Input/output error", name)
        except OSError as error:
            raise RuntimeError(f"in {name}") from error
    tell_all(name)
    return read_tiff(data, name, *more)


def opened(self: PinnedFolder, relative: str) -> int:
    """Open as ever, or be refused."""
    for word, number in REFUSALS.items():
        if word in relative:
            raise OSError(number, os.strerror(number), relative)
    return open_raw(self, relative)


def published(self: Drafts, names: Iterable[str], *more: Callable[[], None]) -> None:
    """Publish as ever; on a disk that was full once."""
    names = list(names)
    if "full" in names[0] and first_time("full"):
        raise OSError(errno.ENOSPC, "No space left on device", names[0])
    publish(self, names, *more)


for owner, name, loud in (
    (reader, "read_tiff", read),
    (PinnedFolder, "open_raw", opened),
    (Drafts, "publish", published),
):
    setattr(owner, name, loud)
main()
