"""Folders full of records that nobody wrote: the real commands judge, tell and report all the same."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from colvi_edge.outputs.read_back import read_record
from colvi_edge.outputs.sidecar import ErrorRecord, Index, Sidecar
from colvi_edge.simulate import simulate_planes, simulate_projection, write_imagej
from tests.tools.hostile import every
from tests.tools.leica import Series, container

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
IMAGES, CONTAINERS, FAILED = 100, 8, 12
DYES = ("Leica/DAPI", "Leica/ALEXA 488")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Run:
    """Return a function that runs `colvi-edge`, which must end with a code of its own and no traceback."""
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1), done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images, containers and files that are none, each with what `run` leaves."""
    folder = tmp_path_factory.mktemp("judged")
    write_imagej(folder / "0.tif", simulate_projection("patient", 5, severity=0.9, size_px=128))
    for number in range(1, IMAGES):
        shutil.copy(folder / "0.tif", folder / f"{number}.tif")
    day = container(
        Series(simulate_planes("control", 5, size_px=128), name="culture", bits=12, dyes=DYES),
        Series(np.ones((2, 64, 64), "u1"), "CZX", "depth"),
    ).data
    for number in range(CONTAINERS):
        (folder / f"{number}.lif").write_bytes(day)
    for number in range(FAILED):
        (folder / f"failed{number}.tif").write_text("this is no image, whatever its name says. " * 10)
    done = subprocess.run(
        [*COMMAND, "run", str(folder), "--bundle", "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # of the files that are none
    return folder


@pytest.fixture
def scope(judged: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder, to be spoilt."""
    return Path(shutil.copytree(judged, tmp_path / "scope"))


def records(folder: Path) -> list[Path]:
    """Return sidecars, indices and error records."""
    return sorted(
        path for path in folder.iterdir() if path.name.endswith((".colvi.json", ".colvi.error.json"))
    )


def spoil(folder: Path, seed: int) -> int:
    """Spoil each record in a way of its own; return how many are none any more."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    mutants: dict[str, list[bytes]] = {}
    none = 0
    for path in records(folder):
        tree = json.loads(path.read_bytes())
        kind = tree["schema"]
        if kind not in mutants:
            mutants[kind] = list(every(tree))
        # The mutant is one of another file's record of this kind; what tells the file is put right, so that
        # readers come to what was spoilt.
        text = chance.choice(mutants[kind])
        try:
            spoilt = json.loads(text)
            for key in ("outputs", "images", "image"):
                if isinstance(spoilt.get(key), type(tree.get(key))) and chance.random() < 0.5:
                    spoilt[key] = tree.get(key)
            text = json.dumps(spoilt).encode()
        except (ValueError, AttributeError, RecursionError):
            pass
        path.write_bytes(text)
        none += read(path) is None
    return none


def read(path: Path) -> Sidecar | Index | ErrorRecord | None:
    """Return the record that a file is."""
    if path.name.endswith(".error.json"):
        return read_record(ErrorRecord, path)
    return read_record(Sidecar, path) or read_record(Index, path)


def unread(folder: Path) -> Iterator[Path]:
    """Yield the files that should be records and are none."""
    yield from (path for path in records(folder) if read(path) is None)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_daemon_judges_what_lost_its_record(seed: int, scope: Path, command: Run) -> None:
    """Each is replaced, told once, and the second look finds all of them as they should be."""
    assert spoil(scope, seed) > 60
    for raw in [*scope.glob("*.tif"), *scope.glob("*.lif")]:
        Path(f"{raw}.done").touch()  # so that no quiet time has to be waited for
    drain = ("watch", scope, "--bundle", "demo", "--once", "--marker", ".done")

    first = command(*drain, "--report", scope / "page.html")

    assert list(unread(scope)) == []
    told = first.stderr.count("in the place of a record that was damaged or none of this version")
    assert told > 40
    second = command(*drain)
    assert "in the place of a record" not in second.stderr
    assert json.loads(command("status", scope, "--json").stdout)["files"]["done"] == IMAGES + CONTAINERS


def test_run_replaces_and_tells_them(scope: Path, command: Run) -> None:
    """A note for each file on standard error; what is printed for a pipe stays JSON."""
    assert spoil(scope, 3) > 60

    done = command("run", scope, "--bundle", "demo", "--json", "--result-csv", scope / "t.csv")

    assert list(unread(scope)) == []
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(line["status"] == "ok" for line in lines) == IMAGES + CONTAINERS
    notes = [line for line in done.stderr.splitlines() if "in the place of a record" in line]
    assert len(notes) == len(set(notes)) > 40
    assert len((scope / "t.csv").read_text().splitlines()) == 1 + IMAGES + CONTAINERS
    assert "in the place of a record" not in command("run", scope, "--bundle", "demo").stderr


def test_the_report_shows_the_others_and_counts_them(scope: Path, command: Run, tmp_path: Path) -> None:
    """A page of what is a record, and how many are none."""
    spoil(scope, 4)
    left = sum(path.name[:-11].endswith(".lif") for path in records(scope))  # indices are no images
    none = sum(not path.name[:-11].endswith(".lif") for path in unread(scope))
    assert none > 60

    shown = command("report", scope, "-o", tmp_path / "page.html").stdout

    page = (tmp_path / "page.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["unread"] == none
    assert shown.startswith(f"{len(records(scope)) - left - none} images on one page: ")


def test_tables_leave_them_out_and_say_so(scope: Path, command: Run, tmp_path: Path) -> None:
    """Of a folder whose other results were spoilt since; one sentence for all."""
    for path in records(scope):
        if path.name[0] in "123":
            path.write_text('{"schema": "colvi-edge.sidecar/2", "revision": 1e400}')
    done = command("run", scope / "0.tif", "--bundle", "demo", "--result-csv", tmp_path / "t.csv")

    none = len([path for path in unread(scope) if path.name.endswith(".colvi.json")])
    assert f"{none} records are left out of the table: damaged, or none of this version" in done.stderr
    assert done.stderr.count("left out") == 1
