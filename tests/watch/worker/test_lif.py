"""The worker on Leica containers: one answer for all images, and none while pixels are missing."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.bundle import open_bundle
from colvi_edge.choices import Replace
from colvi_edge.simulate import simulate_planes
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.channel import Channel
from colvi_edge.watch.ipc.messages import Finish, Work, WorkDone
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ipc.settings import Judging, WorkerSettings
from colvi_edge.watch.supervisor.children.process import Child
from colvi_edge.watch.supervisor.children.workers import WorkerKeeper
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.timings import Timings
from tests.tools.leica import Series, container
from tests.tools.results import USUAL

DYES = ("Leica/DAPI", "Leica/FITC")
OVERVIEW = Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview")
Give = Callable[..., WorkDone]


@pytest.fixture(scope="module")
def day() -> bytes:
    """A container of two cultures and an overview."""
    one, other = (simulate_planes("control", seed, planes=2, size_px=256) for seed in (1, 2))
    return container(
        OVERVIEW, Series(one, name="first", dyes=DYES), Series(other, name="second", dyes=DYES)
    ).data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the module's worker watches."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def give(root: Path) -> Iterator[Give]:
    """Return a function that gives a file, as it is now, to a real worker, and returns its one answer."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "colvi_edge.watch.worker", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
        )
    ours.settimeout(60)
    line = Channel(ours)
    line.send(WorkerSettings(FolderPaths(root), Judging("demo")))
    pinned = PinnedFolder(root)
    mount = pinned.mount()
    pinned.close()
    numbers = iter(range(1, 1000))

    def given(name: str, *, last: bool = False, force: Replace = Replace.OWN) -> WorkDone:
        number = next(numbers)
        line.send(
            Work(
                number,
                name,
                Signature.of((root / name).lstat()),
                mount,
                last,
                force,
            )
        )
        for message in line:
            if isinstance(message, WorkDone):
                assert message.number == number
                return message
        raise EOFError("the worker ended")

    yield given
    process.kill()
    process.wait()
    line.close()


def outputs(root: Path, name: str) -> set[str]:
    """Return what was left beside a raw file."""
    return {path.name.removeprefix(name) for path in root.glob(f"{name}.*")}


def test_one_answer_for_a_container(give: Give, root: Path, day: bytes) -> None:
    """It comes after the index, and says how many images became what."""
    (root / "day.lif").write_bytes(day)

    answer = give("day.lif")

    index = json.loads((root / "day.lif.colvi.json").read_bytes())
    assert (answer.outcome, answer.kind) == ("ok", "")
    assert answer.words == "images: 2 ok, 1 error"
    assert answer.sha256 == index["image"]["sha256"]
    assert [entry["key"] for entry in index["images"]] == ["0000-Overview", "0001-first", "0002-second"]
    assert answer.files == len(outputs(root, "day.lif")) == 1 + 1 + 2 * len(USUAL)
    assert answer.model is not None
    assert answer.model.sha256 == open_bundle("demo").sha256
    spoilt = root / "day.lif.0002-second.colvi.json"
    record = json.loads(spoilt.read_bytes())
    spoilt.write_text(
        json.dumps({**record, "model": {"name": "old\x1b[2J", "version": "1", "sha256": "ab" * 32}})
    )
    index["images"][2]["sha256"] = hashlib.sha256(spoilt.read_bytes()).hexdigest()
    (root / "day.lif.colvi.json").write_text(json.dumps(index))
    kept = give("day.lif")
    assert (kept.outcome, kept.files) == ("same", answer.files)
    assert kept.model == Model("old\\x1b[2J", "1", "ab" * 32)  # one image of it is


def test_a_container_is_judged_once(give: Give, root: Path, day: bytes) -> None:
    """An intact index of this content is the word "done"; without one of its files all is made again."""
    (root / "once.lif").write_bytes(day)
    first = give("once.lif")
    os.utime(root / "once.lif")

    again = give("once.lif")

    assert again == replace(
        first, number=again.number, outcome="same", took_ms=again.took_ms, words=first.words
    )
    (root / "once.lif.0001-first.colvi.png").unlink()
    assert give("once.lif").outcome == "ok"
    assert (root / "once.lif.0001-first.colvi.png").exists()


def test_an_unfinished_container_is_not_touched(give: Give, root: Path, day: bytes) -> None:
    """While the last image is missing nothing is written; when patience ends, what is whole is judged."""
    (root / "half.lif").write_bytes(day[:-100])

    assert (give("half.lif").outcome, outputs(root, "half.lif")) == ("again", set())
    last = give("half.lif", last=True)
    assert (last.outcome, last.words) == ("ok", "images: 1 ok, 2 error")
    (root / "half.lif").write_bytes(day)
    words = "images: 2 ok, 1 error, the result before it is now .colvi.prev.json"
    assert give("half.lif").words == words
    assert ".0002-second.colvi.error.json" not in outputs(root, "half.lif")


def test_nothing_to_judge_is_an_error(give: Give, root: Path) -> None:
    """A container without an image of the assay counts as failed, each time that it is looked at."""
    (root / "trial.lif").write_bytes(container(OVERVIEW).data)

    answer = give("trial.lif")

    assert (answer.outcome, answer.kind, answer.words) == ("error", "nothing_judged", "images: 1 error")
    assert outputs(root, "trial.lif") == {".colvi.json", ".0000-Overview.colvi.error.json"}
    assert give("trial.lif").outcome == "error"


def test_what_cannot_be_written_is_said_once(give: Give, root: Path, day: bytes) -> None:
    """One image whose result cannot be written: there is no index, and the file is not done."""
    (root / "stuck.lif").write_bytes(day)
    (root / "stuck.lif.0001-first.colvi.csv").mkdir()

    answer = give("stuck.lif")

    assert answer.outcome in ("again", "error")
    assert "cannot write results" in answer.words
    assert ".colvi.json" not in outputs(root, "stuck.lif")
    (root / "stuck.lif.0001-first.colvi.csv").rmdir()
    assert give("stuck.lif").outcome == "ok"


def test_a_long_container_has_more_time() -> None:
    """The time limit grows with the file: hundreds of images are one piece of work."""
    child = Child("worker", ["sleep", "60"], Finish(), Timings())
    workers = WorkerKeeper(lambda _: child, "demo", Conditions(), Timings(work_limit_s=30.0))
    workers.current, workers.last_progress_at = child, 100.0

    killed = []
    for seconds in (249, 251):
        workers.limit(True, True, 130.0 + seconds, longest_bytes=10**9)
        killed.append(child.is_killed)
    while not child.reap():
        time.sleep(0.01)
    child.close()
    assert killed == [False, True]
    assert child.end == "the time limit of 280 s ran out"
