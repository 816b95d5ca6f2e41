"""The worker under every kind of error: a result of the same content outlasts it, and the answer tells it."""

import inspect
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colvi_edge import errors
from colvi_edge.bundle import demo_path
from colvi_edge.choices import Replace
from colvi_edge.errors import AcquisitionError, ColviEdgeError, OutputError
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.worker import watched_file
from tests.tools.bundles import rename
from tests.tools.leica import Series, container
from tests.watch.worker.test_worker import Supervised, settings_for

DYES = ("Leica/DAPI", "Leica/FITC")
RAWS = ("good.tif", "rejected.tif", "day.lif")

FAILING = str(Path(__file__).parents[1] / "fakes" / "failing_worker.py")


class Faulty(Supervised):
    """A worker one step of which fails when it is told to."""

    def __init__(self, folder: Path, root: Path, **changes: Any) -> None:
        self._fault = folder / "fault.json"
        super().__init__(settings_for(root, **changes), [FAILING, str(self._fault)])
        self.answer(WorkerReady)

    def __enter__(self) -> "Faulty":
        return self

    def fail(self, step: str, kind: str, at: int = 0) -> None:
        """Let a step fail from now on."""
        self._fault.write_text(json.dumps({"step": step, "kind": kind, "at": at}))

    def recover(self) -> None:
        """Let all succeed again."""
        self._fault.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a watched folder with a diagnosis, a rejected image, and a container of two images."""
    root = tmp_path_factory.mktemp("root")
    first, second = (simulate_planes("control", seed, planes=2, size_px=256) for seed in (1, 2))
    write_imagej(root / "good.tif", first)
    write_imagej(root / "rejected.tif", np.full_like(first, 7))
    series = [Series(planes, name=name, dyes=DYES) for planes, name in ((first, "first"), (second, "second"))]
    (root / "day.lif").write_bytes(container(*series).data)
    return root


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Faulty]:
    """Return a worker that has judged all of it."""
    with Faulty(tmp_path_factory.mktemp("worker"), root) as faulty:
        assert [faulty.work(root, name).outcome for name in RAWS] == ["ok", "rejected", "ok"]
        yield faulty


def contents(root: Path) -> dict[str, bytes]:
    """Return every file of the folder."""
    return {path.name: path.read_bytes() for path in root.iterdir()}


def kinds(base: type[ColviEdgeError]) -> dict[str, type[ColviEdgeError]]:
    """Return the errors of a kind, the daemon's own too, by their names."""
    found = {**vars(errors), **vars(watched_file)}
    return {name: kind for name, kind in found.items() if inspect.isclass(kind) and issubclass(kind, base)}


PASSING = {"ChangedFileError": "changed", "ShareAwayError": "again"}
"""Those after which a file is looked at again anyway, and what is answered then."""
ENDING = {"EngineLostError", "ColviEdgeError", "BundleError"}
"""Those that are no fault of a file: they end the worker."""
NEVER = {"EngineUnavailableError", "ModelError", "ParityError", "UsageError"}
"""What is found out before the first file is given; caught nowhere after that, as BundleError is not."""


def test_every_kind_of_error_is_tried() -> None:
    """As what a file has, as what writing meets, or as the end of the worker."""
    tried = {*kinds(AcquisitionError), *kinds(OutputError), *ENDING, *NEVER}

    assert set(kinds(ColviEdgeError)) == tried


@pytest.mark.parametrize("step", ["read", "judge"])
@pytest.mark.parametrize("kind", kinds(AcquisitionError))
def test_no_error_of_a_file_loses_its_result(worker: Faulty, root: Path, kind: str, step: str) -> None:
    """Judged anew it fails, which is answered as ever; every file of the result is as it was."""
    if step == "judge" and kind in PASSING:
        pytest.skip("is not met while an image is judged")
    before = contents(root)
    worker.fail(step, kind)
    answers = [worker.work(root, name, last=True, force=Replace.ALL) for name in RAWS]
    worker.recover()

    assert {answer.outcome for answer in answers} == {PASSING.get(kind, "error")}
    assert {answer.kind for answer in answers} == {kinds(AcquisitionError)[kind].kind}
    assert all("does not work" in answer.words for answer in answers)
    assert contents(root) == before
    assert {worker.work(root, name).outcome for name in RAWS} == {"same"}


@pytest.mark.parametrize(
    ("kind", "at"),
    [*(("OSError", at) for at in range(6)), *((kind, 2) for kind in (*kinds(OutputError), *PASSING))],
)
def test_no_error_of_writing_loses_a_result(worker: Faulty, root: Path, kind: str, at: int) -> None:
    """Between any two names the older ones come back; where no error was met there is the new result."""
    before = {name: json.loads(data) for name, data in contents(root).items() if name.endswith(".colvi.json")}
    worker.fail("publish", kind, at)
    answers = [worker.work(root, name, force=Replace.ALL) for name in RAWS]
    worker.recover()

    assert "same" not in {answer.outcome for answer in answers}
    assert not {answer.outcome for answer in answers} <= {"ok", "rejected"}
    names = set(contents(root))
    assert not [name for name in names if name.startswith(".colvi-") or "error" in name or "prev" in name]
    for name in set(before) & names - {"day.lif.colvi.json"}:
        after = json.loads((root / name).read_bytes())
        assert (after["result_id"], after["status"]) == (before[name]["result_id"], before[name]["status"])
    assert set(before) - names <= {"day.lif.colvi.json"}  # which could not be written above new results
    for name in RAWS:
        expected = "same" if f"{name}.colvi.json" in names else "ok"
        assert worker.work(root, name).outcome == expected


@pytest.mark.parametrize("kind", sorted(ENDING))
def test_no_end_of_the_worker_loses_a_result(root: Path, tmp_path: Path, worker: Faulty, kind: str) -> None:
    """It says nothing or "again", ends, and has touched nothing."""
    before = contents(root)
    with Faulty(tmp_path, root) as ending:
        ending.fail("judge", kind)
        try:
            answer = ending.work(root, "good.tif", force=Replace.ALL)
        except EOFError:
            assert kind != "EngineLostError"
        else:
            assert (kind, answer.outcome) == ("EngineLostError", "again")
        ending.process.wait(30)

    assert contents(root) == before


def test_a_quarantined_file_keeps_the_result_of_its_content(worker: Faulty, root: Path) -> None:
    """It is not read again: length and time decide, and what is of another file goes."""
    shutil.copy(root / "good.tif", root / "killer.tif")
    assert worker.work(root, "killer.tif").outcome == "ok"
    before = contents(root)

    answer = worker.quarantined(root, "killer.tif")
    assert (answer.outcome, answer.kind, answer.words) == ("error", "killed", "ended three workers")
    assert contents(root) == before

    os.utime(root / "killer.tif", ns=(1, 1))
    assert worker.quarantined(root, "killer.tif").outcome == "error"
    after = {name: data for name, data in contents(root).items() if name.startswith("killer.tif.")}
    assert set(after) == {"killer.tif.colvi.error.json", "killer.tif.colvi.prev.json"}
    assert after["killer.tif.colvi.prev.json"] == before["killer.tif.colvi.json"]
    for path in root.glob("killer.tif*"):
        path.unlink()


def test_what_another_model_says_anew_leaves_what_was_said_before(
    worker: Faulty, root: Path, tmp_path: Path
) -> None:
    """Unasked it changes nothing; asked, the answer tells that there was another result."""
    bundle = Path(shutil.copytree(demo_path(), tmp_path / "second.colvi"))
    rename(bundle, "second opinion", "2.0")
    before = contents(root)
    with Faulty(tmp_path, root, bundle=str(bundle)) as second:
        assert {second.work(root, name).outcome for name in RAWS} == {"same"}
        assert contents(root) == before
        answers = [second.work(root, name, force=Replace.ALL) for name in RAWS]

    assert [answer.outcome for answer in answers] == ["ok", "rejected", "ok"]
    for answer in answers:
        assert answer.words.endswith(", the result before it is now .colvi.prev.json")
    for result in ("good.tif", "rejected.tif", "day.lif.0000-first", "day.lif.0001-second"):
        assert (root / f"{result}.colvi.prev.json").read_bytes() == before[f"{result}.colvi.json"]
        now = json.loads((root / f"{result}.colvi.json").read_bytes())
        assert (now["model"]["name"], now["revision"]) == ("second opinion", 2)
