"""A watched folder with what its daemon left, for those who ask about it."""

import contextlib
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.state_folder import DaemonLock, StateFolder
from colvi_edge.watch.status_file import (
    Last,
    Status,
    Waiting,
    write_status,
)

SIGNATURE = Signature(1, 1, 1, 1)


STATUS = Status(
    folder="/data/scope",
    started="2026-11-21T08:00:00+00:00",
    said="2026-11-21T09:00:00+00:00",
    said_s=0.0,
    ready=True,
    states=[],
    pending=3,
    settling=1,
    waiting=[Waiting("cut.tif", "incomplete", "cut off")],
    last=Last("a.tif", "ok", "control, score 90.0", 41.5, 62.0, 1.7e9, heard=True),
    model=WorkerReady("/copy", "demo", "ab" * 32, "openvino", "fp32", "CPU", "as asked"),
)


class Place:
    """A watched folder with what its daemon left, and a lock as if it ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = StateFolder.of(root)
        self.lock = DaemonLock(self.state.lock)
        assert self.lock.take()
        ledger = Ledger(self.state.ledger)
        for name, state in (("a.tif", "done"), ("=bad\n.tif", "failed"), ("bomb.tif", "quarantined")):
            ledger.begin(name, SIGNATURE)
            ledger.finish(name, state, kind="axes", words=f"what became of {state}")  # type: ignore[arg-type]
        ledger.close()
        self.say()

    def say(self, age_s: float = 0.0, **changes: Any) -> None:
        """Let the daemon have said something a while ago."""
        write_status(self.state.status, replace(STATUS, said_s=time.monotonic() - age_s, **changes))


MINE = STATUS.model.judge if STATUS.model else UNKNOWN


OLD = Model("demo", "0.9", "cd" * 32)


SAME_NAME = Model("demo", "", "ef" * 32)


def roll_out(place: Place, results: dict[Model | None, int], wanted: bool = False) -> None:
    """Let so many results be of which model, in a ledger made anew."""
    for part in place.state.path.glob("ledger*"):
        part.unlink()
    with contextlib.closing(Ledger(place.state.ledger)) as ledger:
        for number, model in enumerate(Counter(results).elements()):
            ledger.begin(f"{number}.tif", SIGNATURE)
            ledger.finish(f"{number}.tif", "done", model=model)
        if wanted:
            ledger.want(Replace.STALE, MINE.sha256)
