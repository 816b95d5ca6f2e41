"""What is counted of several bundles, which takes so long that it is not done each time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.settings import Judging
from colvi_edge.watch.ledger.bounds import packed
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import Bundled, in_work, read_status
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.heartbeat import Heartbeat
from colvi_edge.watch.supervisor.snapshot import ProcessSnapshot, WorkSnapshot
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings

MANY = 40_000  # so many that the rest after counting them is longer than what a test does in it
SLOTS = ("", "nuclei")
STATE = Signature(1, 1, 1, 1)
PROCESSES = ProcessSnapshot(None, None, 0.0, 0, [Bundled(slot, None) for slot in SLOTS], False, 0, False)


def work(pending: int) -> WorkSnapshot:
    """Return how work stands where so many files have no answer."""
    return WorkSnapshot(pending, 0, 0, None, [], False, "", 0, None, 0, 0, 0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return a ledger with many answers of two bundles."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.executemany(
            "INSERT INTO entries (path, slot, signature, state, attempts) VALUES (?, ?, ?, 'done', 0)",
            ((b"%d.tif" % number, slot, packed(STATE)) for number in range(MANY) for slot in SLOTS),
        )
    with closing(Ledger(path)) as opened:
        yield opened


def test_an_old_count_stands_beside_no_newer_one(ledger: Ledger, tmp_path: Path) -> None:
    """Who reads the status would take a file that was answered since for one that is pending no more."""
    tolerant = TolerantLedger(ledger, Conditions(), SLOTS)
    settings = WatchSettings(FolderPaths(tmp_path, None), Judging("demo"))
    path, timings = tmp_path / "status.json", Timings(heartbeat_s=0.0)
    heartbeat = Heartbeat(settings, path, Conditions(), tolerant, Metrics(str(tmp_path)), timings)
    heartbeat.tick(1.0, PROCESSES, lambda: work(3))
    before = read_status(path)
    assert before is not None
    assert before.answered == MANY

    for slot in SLOTS:
        ledger.of(slot).begin("new.tif", STATE)
        ledger.of(slot).finish("new.tif", "done")
    heartbeat.tick(2.0, PROCESSES, lambda: work(2))
    after = read_status(path)
    assert after is not None
    assert in_work(after, ledger.counts_of_all(SLOTS)["done"])["pending"] == 2
    assert tolerant.standing() == f"{MANY + 1:,} done"

    ledger.begin("other.tif", STATE)
    ledger.finish("other.tif", "failed")
    ledger.of("nuclei").begin("other.tif", STATE)
    ledger.of("nuclei").finish("other.tif", "failed")
    heartbeat.end("stopped", 3.0, PROCESSES, work(1))
    end = read_status(path)
    assert end is not None
    assert end.answered == MANY + 2
