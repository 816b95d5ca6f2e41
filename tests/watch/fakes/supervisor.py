"""The real supervisor with obedient children and a test's waiting times; it notes what it should not open.

    python -m tests.watch.fakes.supervisor SETTINGS HERE

SETTINGS are JSON: of `WatchSettings`, and `timings` and `workers` beside them; see `daemon.Daemon`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

WATCHED = "/nowhere/data"


def note_openings(file: Path) -> None:
    """Write down each look below the watched folder from now on; it is none of the supervisor's business."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event.split(".")[0] in ("open", "os") and WATCHED in repr(arguments):
            os.write(opened, f"{event}{arguments!r}\n".encode())

    sys.addaudithook(note)


def main(settings: dict[str, Any], here: Path) -> int:
    """Watch; return the exit code."""
    note_openings(here / "opened")

    from colvi_edge.errors import ColviEdgeError
    from colvi_edge.watch.ipc.typed import made
    from colvi_edge.watch.settings import WatchSettings
    from colvi_edge.watch.supervisor.children import workers
    from colvi_edge.watch.supervisor.start import watch
    from colvi_edge.watch.timings import Timings

    timings = Timings(**settings.pop("timings"))
    for name, value in settings.pop("workers").items():
        assert hasattr(workers, name), name
        setattr(workers, name, value)
    commands = {
        role: [sys.executable, "-m", f"tests.watch.fakes.{role}", str(here)] for role in ("scanner", "worker")
    }
    try:
        return watch(made(WatchSettings, settings), commands, timings)
    except ColviEdgeError as error:
        sys.stderr.write(f"colvi-edge: error: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
