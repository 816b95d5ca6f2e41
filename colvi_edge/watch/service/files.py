"""The files that install-service writes: compared with what is there, told, and then written."""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from colvi_edge.errors import OutputError
from colvi_edge.system.atomic import write_whole
from colvi_edge.watch.service.unit_files import environment, read_environment, variables_of

_WORD_WIDTH = 10  # of the longest, "kept yours"


@dataclass(frozen=True)
class ServiceFile:
    """A file of a service, as it is now and as it will be.

    Attributes:
        path: where.
        text: what will stand in the file, if it is ours.
        before: what stands in it now; None if there is no such file.
        differs: how the operator's own file differs from the one that would be written; the file is kept.
    """

    path: Path
    text: str
    before: str | None
    differs: Sequence[str] = ()

    @property
    def state(self) -> Literal["new", "unchanged", "kept yours", "updated"]:
        """Return what becomes of the file, in the words of the answer."""
        if self.before is None:
            return "new"
        if self.before == self.text:
            return "unchanged"
        return "kept yours" if self.differs else "updated"

    def told(self) -> list[str]:
        """Return what becomes of the file, as lines of the answer."""
        differs = f"differs: {'; '.join(self.differs)}"
        return [told_of(self.state, self.path)] + [told_of("", f"({differs})")] * (self.state == "kept yours")

    def content(self) -> list[str]:
        """Return the whole text of a new file; of one that is updated, what changes."""
        if self.before is None:
            return ["", f"{self.path}:", "", *self.text.splitlines()]
        if self.state != "updated":
            return []
        lines = (self.before.splitlines(), self.text.splitlines())
        return ["", *difflib.unified_diff(*lines, str(self.path), "as it will be", lineterm="")]

    def write(self) -> None:
        """Write the file, if it is new or ours.

        Raises:
            OutputError: it cannot be written.
        """
        if self.state not in ("new", "updated"):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, self.text.encode(), for_all=True)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; see to that and call this again"
            ) from error


def file_of(path: Path, text: str) -> ServiceFile:
    """Return a file that is ours, which each installation writes anew.

    Raises:
        OutputError: what is there is no file that can be read.
    """
    try:
        return ServiceFile(path, text, path.read_text() if os.path.lexists(path) else None)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OutputError(f"{path} cannot be read: {why}; see what it is, or move it away") from error


def environment_of(path: Path, given: Mapping[str, str]) -> ServiceFile:
    """Return the operator's file, and how it differs from one that would be made for the same call."""
    fresh = file_of(path, environment(given))
    if fresh.before is None:
        return fresh
    kept = read_environment(fresh.before)
    differs = [_not_taken(name, value, kept) for name, value in given.items() if kept.get(name) != value]
    made = read_environment(fresh.text)
    if changed := sorted(
        name for name, value in kept.items() if name not in given and made.get(name) != value
    ):
        differs.append(f"you set {', '.join(changed)}")
    if unsaid := [name for name in variables_of(fresh.text) if name not in variables_of(fresh.before)]:
        differs.append(f"a new one also explains {', '.join(unsaid)}")
    return ServiceFile(path, fresh.text, fresh.before, differs or ["comments or order"])


def _not_taken(name: str, value: str, kept: Mapping[str, str]) -> str:
    """Return why an option of this call changes nothing."""
    option = f"--{name.removeprefix('COLVI_EDGE_').lower().replace('_', '-')} {value}"
    if name not in kept:
        return f"{option} is not taken over, as this file does not set {name}: add it here"
    return f"{option} is not taken over, as this file says {name} is {kept[name]}: change it here"


def told_of(word: str, what: object, width: int = _WORD_WIDTH) -> str:
    """Return a line that says what becomes of something; words of one answer are equally wide."""
    return f"  {word:{width}}  {what}"
