"""Note what a Python process and its children import, from their first line on, however they end.

Python imports a module of this name from the path by itself. Each process writes a file into the folder that
IMPORTS_SEEN_IN names: its command in the first line, then each module that was asked for.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path


class Witness:
    """A finder of modules that finds none, and is asked first."""

    def __init__(self, folder: Path) -> None:
        """Begin the file of this process."""
        self._seen = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        os.write(self._seen, f"{json.dumps(sys.orig_argv)}\n".encode())

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Note a module that is not loaded yet; leave it to others to find it."""
        os.write(self._seen, f"{name}\n".encode())


sys.meta_path.insert(0, Witness(Path(os.environ["IMPORTS_SEEN_IN"])))
