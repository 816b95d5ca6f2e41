"""A worker that notes of each file that it reads whether its engine is frozen.

worker_that_tells.py NOTES DESCRIPTOR SUPERVISOR_PID
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from colvi_edge.acquisition import Acquisition, Refused
from colvi_edge.acquisition.wanted import Asking
from colvi_edge.pipeline import Diagnoser
from colvi_edge.pipeline.raw_file import RawFile
from colvi_edge.watch.worker.process import main

told = Path(sys.argv.pop(1))
read = Diagnoser.read


def noted(self: Diagnoser, file: RawFile, asking: Sequence[Asking] = ()) -> Iterator[Acquisition | Refused]:
    """Read as ever."""
    frozen = not any(one is self._engine for one in gc.get_objects())
    with told.open("a") as notes:
        notes.write(f"{frozen}\n")
    return read(self, file, asking)


Diagnoser.read = noted  # type: ignore[method-assign]
main()
