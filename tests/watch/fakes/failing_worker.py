"""A worker one step of which fails as a file says.

    python failing_worker.py FAULT DESCRIPTOR SUPERVISOR_PID

While a step is to fail, FAULT holds `{"step": STEP, "kind": NAME, "at": NUMBER}`: "read", "judge" or
"publish", the class of the error, and which of six files in turn is not published.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from colvi_edge import errors
from colvi_edge.acquisition import acquire_opened
from colvi_edge.pipeline import diagnoser
from colvi_edge.quality.rules import assess_for
from colvi_edge.system.atomic import Drafts
from colvi_edge.watch.worker import watched_file
from colvi_edge.watch.worker.process import main

fault_file = Path(sys.argv.pop(1))
publish = Drafts.publish
published_files = 0


def fail_if_told(step: str, at: int = 0) -> None:
    """Raise what the file names for this step."""
    if not fault_file.exists():
        return
    fault = json.loads(fault_file.read_bytes())
    if (fault["step"], fault["at"]) != (step, at):
        return
    if fault["kind"] == "OSError":
        raise OSError(5, "Input/output error")
    kind = getattr(errors, fault["kind"], None) or getattr(watched_file, fault["kind"])
    raise kind("does not work")


def acquired(*arguments: Any, **named: Any) -> Iterator[Any]:
    """Read as ever, or fail."""
    fail_if_told("read")
    yield from acquire_opened(*arguments, **named)


def assessed(*arguments: Any) -> Any:
    """Judge as ever, or fail."""
    fail_if_told("judge")
    return assess_for(*arguments)


def published(self: Drafts, names: Iterable[str], *more: Callable[[], None]) -> None:
    """Publish one file after the other as ever, or fail between two."""
    global published_files
    for name in names:
        fail_if_told("publish", published_files % 6)
        published_files += 1
        publish(self, [name], *more)


for owner, name, failing in (
    (diagnoser, "acquire_opened", acquired),
    (diagnoser, "assess_for", assessed),
    (Drafts, "publish", published),
):
    setattr(owner, name, failing)
main()
