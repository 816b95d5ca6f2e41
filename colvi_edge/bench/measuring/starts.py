"""Cold starts: whole processes, from nothing to the first result.

The files of Python and of the packages are in the page cache, as they are on a machine that is used.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from colvi_edge.bench.record import COLD_START, END_TO_END, HELP, TO_THE_END, Series, timed
from colvi_edge.outputs.names import OutputKind, output_name

STARTS = 7

_COMMAND = (sys.executable, "-c", "from colvi_edge.cli import main; main()")


def cold_starts(
    commands: Mapping[str, Sequence[str]], image: Path, folder: Path, tell: Callable[[str, float], None]
) -> list[Series]:
    """Return how long `--help`, and `run` on one image with each engine, take as whole processes.

    Engines take turns. The first start of each fills caches and is not counted.

    Args:
        commands: options of `run` that choose each engine, by its name.
        image: a raw file.
        folder: that exists; is left as it was.
        tell: is told how far it is.
    """
    help_ms: list[float] = []
    json_ms, end_ms = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for start in range(STARTS + 1):
        tell("processes", start / (STARTS + 1))
        help_ms.append(_process([HELP]))
        for engine, options in commands.items():
            with TemporaryDirectory(dir=folder) as results:
                begin_ns = time.time_ns()
                end_ms[engine].append(_process(["run", str(image), "--output-dir", results, *options]))
                sidecar = Path(results) / output_name(image.name, OutputKind.SIDECAR)
                # A rename sets the time of the file's last change, on a clock that ticks every 1 to 10 ms.
                json_ms[engine].append((sidecar.stat().st_ctime_ns - begin_ns) / 1e6)
    found = [timed("", "", COLD_START, HELP, help_ms[1:])]
    for engine in commands:
        found.append(timed(engine, "", COLD_START, END_TO_END, json_ms[engine][1:]))
        found.append(timed(engine, "", COLD_START, TO_THE_END, end_ms[engine][1:]))
    return found


def _process(arguments: Sequence[str]) -> float:
    """Run the command line in a process of its own; return how long it took, in milliseconds."""
    # Options that are set by variables would make it another command.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COLVI_EDGE_")}
    begin = time.perf_counter()
    subprocess.run([*_COMMAND, *arguments], env=plain, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    return 1000 * (time.perf_counter() - begin)
