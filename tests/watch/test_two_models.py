"""Two models on one folder: the real command with real children, from one bundle to the next and back."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.bundle import demo_path
from colvi_edge.simulate import simulate_planes, write_imagej
from tests.tools.bundles import rename
from tests.tools.watching import wait_until

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
DEMO = "colvi-edge synthetic demo model 1.0.0"
SIZE_PX = 256

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user with an own state directory."""
    return {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}


@pytest.fixture
def command(environment: dict[str, str]) -> Command:
    """Return a function that runs `colvi-edge`."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return another bundle than the demo's: it decides alike, and is called otherwise."""
    bundle = tmp_path / "my.colvi"
    shutil.copytree(demo_path(), bundle)
    rename(bundle, "my", "2.0")
    return bundle


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """Return a folder with three images that the microscope has finished."""
    folder = tmp_path / "scope"
    folder.mkdir()
    for number in range(3):
        add(folder / f"{number}.tif", number)
    return folder


def add(raw: Path, seed: int) -> None:
    """Let the microscope finish an image."""
    write_imagej(raw, simulate_planes("control", seed, planes=1, size_px=SIZE_PX))
    raw.with_name(f"{raw.name}.done").touch()


@pytest.fixture
def daemon(scope: Path, mine: Path, tmp_path: Path, environment: dict[str, str]) -> "Iterator[Daemon]":
    """Return a function that starts a daemon with the second bundle."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> "subprocess.Popen[bytes]":
        arguments = ["watch", scope, "--bundle", mine, "--marker", ".done", "--interval", "0.3", *options]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


Daemon = Callable[..., "subprocess.Popen[bytes]"]


def models(scope: Path) -> list[str]:
    """Return by which model each image was judged, in the order of their names."""
    return [json.loads(path.read_text())["model"]["name"] for path in sorted(scope.glob("*.colvi.json"))]


def status(command: Command, scope: Path) -> dict[str, Any]:
    """Return the status as JSON."""
    plain: dict[str, Any] = json.loads(command("status", scope, "--json").stdout)
    return plain


def test_a_roll_out(scope: Path, tmp_path: Path, mine: Path, command: Command, daemon: Daemon) -> None:
    """The old results stay until somebody says otherwise; then they give way, and leave their JSON."""
    first = ("watch", scope, "--marker", ".done", "--once", "--bundle", "demo")
    assert command(*first).returncode == 0
    old = {path.name: path.read_bytes() for path in scope.glob("*.colvi.*")}
    finished = command("status", scope)
    assert finished.returncode == 0
    assert "judged 3 files\n3 done\n" in finished.stdout

    process = daemon()
    wait_until(lambda: "INFO ready" in (tmp_path / "log").read_text())
    add(scope / "3.tif", 3)
    wait_until(lambda: (scope / "3.tif.colvi.json").exists())
    told = f"3 results are of {DEMO} and stay; colvi-edge retry {scope} --stale judges them with my 2.0"
    assert (tmp_path / "log").read_text().count(told) == 1
    assert {path.name: path.read_bytes() for path in scope.glob("[0-2].tif.colvi.*")} == old
    wait_until(lambda: status(command, scope)["files"]["done"] == 4)
    text = command("status", scope).stdout
    assert f"1 result of my 2.0 (current)\n3 results of {DEMO}\n" in text
    assert f"\n    colvi-edge retry {scope} --stale\n" in text

    assert command("retry", scope, "--stale").stdout == f"3 results of {DEMO}: diagnosed again now\n"
    wait_until(lambda: status(command, scope)["again"] == 0 and models(scope) == ["my"] * 4)
    (judged,) = (found for found in status(command, scope)["models"])
    assert (judged["name"], judged["version"], judged["results"], judged["current"]) == ("my", "2.0", 4, True)
    before = {path.name: path.read_bytes() for path in scope.glob("*.colvi.prev.json")}
    assert before == {f"{n}.tif.colvi.prev.json": old[f"{n}.tif.colvi.json"] for n in range(3)}

    (scope / "1.tif.colvi.png").unlink()
    wait_until(lambda: (scope / "1.tif.colvi.png").exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    stopped = command("status", scope)
    assert stopped.returncode == 7
    assert "the daemon is not running; it was stopped at" in stopped.stdout

    assert command(*first, "--stale").returncode == 0  # and back again
    assert models(scope) == ["colvi-edge synthetic demo model"] * 4
    times = {path: path.stat().st_mtime_ns for path in scope.glob("*.colvi.json")}
    assert command(*first, "--stale").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "nothing was to be judged" in command("status", scope).stdout
    assert command(*first, "--again").returncode == 0
    assert all(path.stat().st_mtime_ns > at for path, at in times.items())


def test_an_error_leaves_the_result_where_it_is(
    scope: Path, tmp_path: Path, command: Command, daemon: Daemon
) -> None:
    """A model that is rolled out with a wrong option fails on each image: it is told, the old ones stay."""
    first = ("watch", scope, "--marker", ".done", "--once", "--bundle", "demo")
    assert command(*first).returncode == 0
    old = {path.name: path.read_bytes() for path in scope.glob("*.colvi.*")}

    daemon("--stale", "--channels", "nuclei,collagen,other")
    wait_until(lambda: len(status(command, scope).get("failed", [])) == 3)
    plain = status(command, scope)
    assert [found["results"] for found in plain["models"]] == [0, 3]
    assert all(entry["words"].endswith(f"; the result of {DEMO} stays") for entry in plain["failed"])
    assert {path.name: path.read_bytes() for path in scope.glob("*.colvi.*")} == old


def test_everything_again_is_said_once(scope: Path, mine: Path, command: Command) -> None:
    """A service would do it at each start: it is refused, with both ways that there are."""
    refused = command("watch", scope, "--bundle", mine, "--again")
    assert refused.returncode == 2
    assert "--once" in refused.stderr
    assert "colvi-edge retry FOLDER --again" in refused.stderr
    both = command("watch", scope, "--bundle", mine, "--again", "--stale")
    assert both.returncode == 2
