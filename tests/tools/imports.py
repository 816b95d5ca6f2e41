"""What a command and its children import when they really run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_WITNESS = Path(__file__).with_name("import_witness")


class Seen(NamedTuple):
    """A process that ran.

    Attributes:
        command: its words.
        modules: all that it imported.
    """

    command: list[str]
    modules: set[str]

    @property
    def packages(self) -> set[str]:
        """The top-level names of what it imported."""
        return {name.split(".")[0] for name in self.modules}


def witnessed(folder: Path) -> dict[str, str]:
    """Return the environment of a command whose imports, and whose children's, are kept in a new folder."""
    folder.mkdir()
    path = os.pathsep.join(filter(None, (str(_WITNESS), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "IMPORTS_SEEN_IN": str(folder)}


def seen_in(folder: Path) -> Iterator[Seen]:
    """Yield every Python process that ran."""
    for file in folder.iterdir():
        command, *modules = file.read_text().splitlines()
        yield Seen(json.loads(command), set(modules))
