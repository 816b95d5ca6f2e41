"""How a pipeline is measured: alone in its process, a line of JSON in and one out for each image.

In a process of its own, no pipeline's threads, memory or imports get into another's way; while one
works, the others wait for their next line. Standard library only: the published pipeline has an
interpreter without colvi-edge.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any


class Laps:
    """Milliseconds of successive stages, since it was made."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.stages_ms[stage] = 1000 * (now - self._last)
        self._last = now


Diagnose = Callable[[Path, Path, Laps], None]
"""Takes an image and the folder for what is written about it, and laps its stages."""


def serve(what: str, packages: Sequence[str], diagnose: Diagnose) -> None:
    """Answer on standard output until standard input ends.

    Args:
        what: is measured, in a few words.
        packages: whose versions count.
        diagnose: the pipeline.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        versions = {"python": sys.version.split()[0], **{package: version(package) for package in packages}}
        _say({"what": what, "versions": versions}, answers)
        for line in sys.stdin:
            raw, folder = json.loads(line)
            laps = Laps()
            diagnose(Path(raw), Path(folder), laps)
            _say(laps.stages_ms, answers)


def _say(message: object, stream: IO[str]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


class Contestant:
    """A pipeline's process, started and warm once it is made.

    Attributes:
        about: "what" it is, and "versions" of its packages.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.about: dict[str, Any] = self._answer()

    def diagnose(self, raw: Path, folder: Path) -> dict[str, float]:
        """Return the milliseconds of each stage, as its process measured them."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        _say([str(raw), str(folder)], self._process.stdin)
        stages: dict[str, float] = self._answer()
        return stages

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}; see above")
        return json.loads(line)
