"""A scanner that names the first folder that it finds and ends by it, and may not list some; see `loud`."""

import errno

from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.scanner.process import main
from colvi_edge.watch.scanner.walk import TreeWalk
from tests.watch.fakes.loud import first_time, tell_all

note_folder, open_folder = TreeWalk._note_folder, PinnedFolder.open_folder


def noted(self: TreeWalk, path: str, name: str, folders: list[str]) -> None:
    """Note a folder as ever; end by the first."""
    if first_time("crash"):
        tell_all(name)
        raise RuntimeError(name)
    note_folder(self, path, name, folders)


def opened(self: PinnedFolder, relative: str, create: bool = False) -> int:
    """Open as ever, or be refused."""
    if "closed" in relative:
        raise PermissionError(errno.EACCES, "Permission denied", relative)
    return open_folder(self, relative, create)


for owner, name, loud in ((TreeWalk, "_note_folder", noted), (PinnedFolder, "open_folder", opened)):
    setattr(owner, name, loud)
main()
