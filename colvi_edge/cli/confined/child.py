"""The child of a confined command: takes a job from its parent, gives up its rights, imports and works.

python -m colvi_edge.cli.confined.child LINE PARENT DRAFT        the job on standard input
"""

import importlib
import json
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

from colvi_edge.cli.extras import needs_torch
from colvi_edge.errors import ColviEdgeError, ModelError
from colvi_edge.printable import printable_name
from colvi_edge.system.confinement import MEMORY_BYTES, confine, end_with_parent, limit_memory
from colvi_edge.terminal.streams import ForgivingStream

_LONGEST_WARNING = 300  # characters
_MOST_WARNINGS = 20


def main() -> None:
    """Do the job, and tell how it went."""
    line, parent, draft = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it reaches the parent, too, which says what is to be said
    warnings.showwarning = _Warnings().show
    sys.path.remove(str(draft))
    folder, body, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent
    sys.stdout = cast("TextIO", ForgivingStream(sys.stdout))
    sys.stderr = cast("TextIO", ForgivingStream(sys.stderr))
    confine(draft)  # before the first thread: those of numerical libraries start when they are imported
    os.chdir(folder)
    word: dict[str, object]
    try:
        came = _imported(body)(**arguments)
        word = {"exit_code": came if isinstance(came, int) else 0}
    except ColviEdgeError as error:
        word = {
            "kind": error.kind,
            "message": str(error),
            "command": error.command,
            "options": error.options,
        }
    except MemoryError:
        words = f"the network takes more than {MEMORY_BYTES >> 30} GiB of memory; take a smaller one"
        word = {"kind": ModelError.kind, "message": words}
    sys.stdout.flush()
    os.write(line, json.dumps(word).encode())


class _Warnings:
    """Shows each warning once, printable: a graph may warn at each patch, in words that a terminal obeys."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Print a warning, in place of `warnings.showwarning`."""
        text = printable_name(f"{category.__name__}: {message}")[:_LONGEST_WARNING]
        if text not in self._shown and len(self._shown) < _MOST_WARNINGS:
            self._shown.add(text)
            print(text, file=sys.stderr)  # noqa: T201 - it is a log, printable


def _imported(body: str) -> Callable[..., object]:
    module, _, function = body.partition(":")
    with needs_torch("reading a model file of this kind"):
        importlib.import_module("colvi_edge.export.reading.model_file")  # some import it when they read one
        found: Callable[..., object] = getattr(importlib.import_module(module), function)
    limit_memory()
    return found


if __name__ == "__main__":
    main()
