"""A folder has the name of a result's file: an error record tells of it, or else the daemon."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.choices import Replace
from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.watch.ipc.messages import WorkDone, WorkerReady
from tests.tools.leica import Series, container
from tests.tools.results import USUAL
from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon
from tests.watch.worker.test_worker import Supervised, settings_for

RESULT = {OutputKind(f".colvi.{end}") for end in (*USUAL, "ome.tif")}
LONG = f"{'long name ' * 23}.tif"


@pytest.fixture(scope="module")
def culture() -> NDArray[np.uint16]:
    """Return the planes of a simulated control."""
    return simulate_planes("control", 1, planes=1, size_px=512)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the module's worker watches."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def worker(root: Path) -> Iterator[Supervised]:
    """Return a worker that writes every kind of file."""
    with Supervised(settings_for(root, overlay="ome-tiff")) as supervised:
        supervised.answer(WorkerReady)
        yield supervised


def beside(root: Path, name: str, key: str = "") -> dict[OutputKind, Path]:
    """Return where each output of a raw file would lie."""
    return {kind: root / output_name(name, kind, key) for kind in OutputKind}


def files(outputs: dict[OutputKind, Path]) -> set[OutputKind]:
    """Return which of them are files."""
    return {kind for kind, path in outputs.items() if path.is_file()}


@pytest.mark.parametrize("name", ["x.tif", LONG])
@pytest.mark.parametrize("kind", sorted(RESULT))
def test_any_output_in_the_way_is_an_error_record(
    worker: Supervised, root: Path, culture: NDArray[np.uint16], kind: OutputKind, name: str
) -> None:
    """Of this image, by its content; when the folder is gone the result comes."""
    name = f"{kind.name} {name}"
    assert (len(output_name(name, OutputKind.ERROR)) == len(name) + len(OutputKind.ERROR)) == (len(name) < 99)
    write_imagej(root / name, culture)
    outputs = beside(root, name)
    outputs[kind].mkdir()
    (outputs[kind] / "somebody's.txt").write_text("not ours")

    answer = worker.work(root, name)

    assert (answer.outcome, answer.kind) == ("error", "blocked_output")
    assert answer.words == (
        "cannot write results into the folder of the results: Is a directory; "
        f"a folder named *{kind.value} is in the way, rename or remove it"
    )
    assert files(outputs) == {OutputKind.ERROR}
    record = json.loads(outputs[OutputKind.ERROR].read_bytes())
    assert record["error"]["kind"] == "blocked_output"
    assert record["image"]["bytes"] == (root / name).stat().st_size
    assert (outputs[kind] / "somebody's.txt").read_text() == "not ours"
    shutil.rmtree(outputs[kind])
    assert worker.work(root, name).outcome == "ok"
    assert files(outputs) == RESULT


def test_a_folder_named_like_the_error_record_is_in_no_results_way(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """It stays what it is."""
    write_imagej(root / "good.tif", culture)
    outputs = beside(root, "good.tif")
    outputs[OutputKind.ERROR].mkdir()

    assert worker.work(root, "good.tif").outcome == "ok"
    assert files(outputs) == RESULT
    assert outputs[OutputKind.ERROR].is_dir()


@pytest.mark.parametrize("raw", ["good", "bad", "quarantined"])
def test_where_neither_can_be_written_the_file_waits(
    worker: Supervised, root: Path, culture: NDArray[np.uint16], raw: str
) -> None:
    """A kind of its own says so, for the state that is held; it is tried again, and succeeds in the end."""
    name = f"{raw}.both.tif"
    outputs = beside(root, name)
    write_imagej(root / name, culture)
    if raw == "bad":
        (root / name).write_bytes(b"no image, whatever its name says. " * 10)
    for kind in (OutputKind.TABLE, OutputKind.ERROR):
        outputs[kind].mkdir()

    def answer() -> WorkDone:
        return worker.quarantined(root, name) if raw == "quarantined" else worker.work(root, name)

    for _ in range(2):
        told = answer()
        assert (told.outcome, told.kind) == ("again", "blocked_record")
        assert told.words.count("*.colvi.error.json is in the way") == 1
        assert files(outputs) == set()
    outputs[OutputKind.ERROR].rmdir()
    assert answer().outcome == "error"
    assert files(outputs) == {OutputKind.ERROR}


def test_a_whole_result_of_this_content_outlasts_what_is_in_the_way(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """Asked for one file more than there were, a failure removes nothing; of other content it does."""
    write_imagej(root / "kept.tif", culture)
    outputs = beside(root, "kept.tif")
    with Supervised(settings_for(root)) as plain:
        plain.answer(WorkerReady)
        assert plain.work(root, "kept.tif").outcome == "ok"
    before = {kind: outputs[kind].read_bytes() for kind in files(outputs)}
    assert set(before) == RESULT - {OutputKind.OME_TIFF}
    outputs[OutputKind.OME_TIFF].mkdir()

    answer = worker.work(root, "kept.tif", force=Replace.ALL)
    assert (answer.outcome, answer.kind) == ("error", "blocked_output")
    assert {kind: outputs[kind].read_bytes() for kind in files(outputs)} == before

    write_imagej(root / "other.tif", simulate_planes("patient", 2, planes=1, size_px=512))
    (root / "other.tif").replace(root / "kept.tif")
    assert worker.work(root, "kept.tif").kind == "blocked_output"
    assert files(outputs) == {OutputKind.ERROR, OutputKind.PREVIOUS}
    assert outputs[OutputKind.PREVIOUS].read_bytes() == before[OutputKind.SIDECAR]


def test_a_folder_named_like_the_previous_result(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """It is in nobody's way before there is something to put there; then it is told, and nothing is lost."""
    write_imagej(root / "prev.tif", culture)
    outputs = beside(root, "prev.tif")
    outputs[OutputKind.PREVIOUS].mkdir()
    assert worker.work(root, "prev.tif").outcome == "ok"
    assert (
        worker.work(root, "prev.tif", force=Replace.ALL).outcome == "ok"
    )  # the same result is none before this one
    assert files(outputs) == RESULT

    write_imagej(root / "other.tif", culture[:, :, ::-1].copy())
    (root / "other.tif").replace(root / "prev.tif")
    answer = worker.work(root, "prev.tif")
    assert (answer.outcome, answer.kind) == ("error", "blocked_output")
    assert "a folder named *.colvi.prev.json is in the way" in answer.words
    assert files(outputs) == {OutputKind.ERROR}


def test_a_link_to_a_folder_is_in_nobodys_way(
    worker: Supervised, root: Path, culture: NDArray[np.uint16], tmp_path: Path
) -> None:
    """It is replaced, as any link is, and what it leads to left alone."""
    write_imagej(root / "link.tif", culture)
    outputs = beside(root, "link.tif")
    outputs[OutputKind.OVERLAY].symlink_to(tmp_path)

    assert worker.work(root, "link.tif").outcome == "ok"
    assert files(outputs) == RESULT
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def day(culture: NDArray[np.uint16]) -> bytes:
    """Return a container of two cultures."""
    dyes = ("Leica/DAPI", "Leica/FITC")
    return container(*(Series(culture, name=name, dyes=dyes) for name in ("first", "second"))).data


@pytest.mark.parametrize("kind", sorted(RESULT))
def test_an_image_of_a_container(worker: Supervised, root: Path, day: bytes, kind: OutputKind) -> None:
    """It has an error record, and so has the container; the other image has its result."""
    name = f"{kind.name}.lif"
    (root / name).write_bytes(day)
    whole, first, second = (beside(root, name, key) for key in ("", "0000-first", "0001-second"))
    first[kind].mkdir()

    answer = worker.work(root, name)

    assert (answer.outcome, answer.kind) == ("error", "blocked_output")
    assert (files(whole), files(first)) == ({OutputKind.ERROR}, {OutputKind.ERROR})
    assert files(second) == RESULT
    first[kind].rmdir()
    assert worker.work(root, name).words == "images: 2 ok"
    assert (files(whole), files(first), files(second)) == ({OutputKind.SIDECAR}, RESULT, RESULT)


def test_the_index_of_a_container(worker: Supervised, root: Path, day: bytes) -> None:
    """Its images keep their results, which are right; the container has an error record, or waits."""
    (root / "index.lif").write_bytes(day)
    whole, first = beside(root, "index.lif"), beside(root, "index.lif", "0000-first")
    whole[OutputKind.SIDECAR].mkdir()

    assert worker.work(root, "index.lif").kind == "blocked_output"
    assert (files(whole), files(first)) == ({OutputKind.ERROR}, RESULT)
    whole[OutputKind.ERROR].unlink()
    whole[OutputKind.ERROR].mkdir()
    answer = worker.work(root, "index.lif")
    assert (answer.outcome, answer.kind) == ("again", "blocked_record")
    for kind in (OutputKind.SIDECAR, OutputKind.ERROR):
        whole[kind].rmdir()
    assert worker.work(root, "index.lif").words == "images: 2 ok"
    assert files(whole) == {OutputKind.SIDECAR}


def test_a_worker_looks_at_folders_in_the_way_without_losing_descriptors(
    worker: Supervised, root: Path, culture: NDArray[np.uint16]
) -> None:
    """Each look at a folder that should be a file cost one, until there were none left."""
    write_imagej(root / "again.tif", culture)
    outputs = beside(root, "again.tif")
    outputs[OutputKind.SIDECAR].mkdir()
    descriptors = Path(f"/proc/{worker.process.pid}/fd")
    worker.work(root, "again.tif")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        worker.work(root, "again.tif")

    assert len(list(descriptors.iterdir())) <= before


def test_files_without_a_record_are_a_state(start: Callable[..., Daemon]) -> None:
    """How many there are is told until the last of them has its record."""
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    (daemon.here / "blocked").touch()
    daemon.ready("blocked1.tif", "blocked2.tif", "a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    def why() -> list[str]:
        return [state["why"] for state in daemon.status()["states"] if state["name"] == "blocked output"]

    wait_until(lambda: why() and why()[0].startswith("2 files have neither result nor error record"))
    assert "blocked output: " in daemon.stderr()
    waiting: list[dict[str, Any]] = daemon.status()["waiting"]
    assert {(one["path"], one["kind"]) for one in waiting} == {
        ("blocked1.tif", "blocked_record"),
        ("blocked2.tif", "blocked_record"),
    }
    (daemon.here / "blocked").unlink()
    wait_until(lambda: daemon.in_state("blocked1.tif", "blocked2.tif"))
    wait_until(lambda: daemon.ails() == [])
    assert "over: blocked output" in daemon.stderr()
