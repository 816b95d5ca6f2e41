"""The scanner on a share that fails: while a file says so, a function of this process answers with an error.

    python failing_scanner.py DESCRIPTOR SUPERVISOR_PID MODULE FUNCTION FLAG

FLAG holds the error's number, and by how many seconds the first answer is late: by so much the clock of this
process is put forward, once. Each error adds a byte to FLAG.count.
"""

import importlib
import os
import sys
import time
from itertools import chain, repeat
from typing import Any

from colvi_edge.watch.scanner.process import main

sound_clock = time.monotonic
late_s = 0.0


def fail_on_demand(module: str, function: str, flag: str) -> None:
    """Have a function, such as `Path.stat` of `pathlib`, fail while the flag is there."""
    owner: Any = importlib.import_module(module)
    *inner, name = function.split(".")
    for part in inner:
        owner = getattr(owner, part)
    sound, read, once = getattr(owner, name), open, chain([1], repeat(0))

    def failing(*arguments: Any, **named: Any) -> Any:
        global late_s
        # Not what a child opens at its start.
        if arguments[:1] == (os.devnull,) or not os.access(flag, os.F_OK):
            return sound(*arguments, **named)
        with read(flag) as file:
            number, seconds = file.read().split()
        with read(f"{flag}.count", "a") as count:
            count.write(".")
        late_s += float(seconds) * next(once)
        raise OSError(int(number), os.strerror(int(number)))

    setattr(owner, name, failing)


if __name__ == "__main__":
    time.monotonic = lambda: sound_clock() + late_s
    fail_on_demand(*sys.argv[3:6])
    main()
