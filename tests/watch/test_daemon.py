"""The whole daemon as an operator meets it: the real command with real children, images and bundles.

Only what has to wait is tried again more often than usual.
"""

import io
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tifffile

from colvi_edge.bundle import demo_path
from colvi_edge.simulate import simulate_planes, simulate_projection
from tests.tools.watching import wait_until

COMMAND = [
    sys.executable,
    "-c",
    "from functools import partial\n"
    "from colvi_edge.watch.supervisor import start\n"
    "from colvi_edge.watch.timings import Timings\n"
    "start.watch = partial(start.watch, timings=Timings(longest_backoff_s=0.5))\n"
    "from colvi_edge.cli import main\n"
    "main()",
]
SIZE_PX = 512
MIDDLE = 2 * SIZE_PX**2  # of an image's bytes, where there are pixels
PLANE_BYTES = 2 * 1024 * 1024  # of a stack


@pytest.fixture(scope="module")
def image() -> bytes:
    """Return a projection as the microscope stores it."""
    projection = simulate_projection("control", 7, size_px=SIZE_PX)
    file = io.BytesIO()
    tifffile.imwrite(file, projection, imagej=True, metadata={"axes": "CYX"})
    return file.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user with an own state directory."""
    return {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """Return the folder that the microscope saves into."""
    folder = tmp_path / "scope"
    folder.mkdir()
    return folder


@pytest.fixture
def command(environment: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return a function that runs `colvi-edge`."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def daemon(scope: Path, tmp_path: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Return a daemon that has just been started, on a bundle that a test may spoil."""
    shutil.copytree(demo_path(), tmp_path / "mine.colvi")
    arguments = ["watch", str(scope), "--bundle", str(tmp_path / "mine.colvi"), "--log-names"]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen([*COMMAND, *arguments], env=environment, stderr=log)
    yield process
    process.kill()
    process.wait()


def sidecar(raw: Path) -> dict[str, Any]:
    """Return the result of a raw file; {} while there is none."""
    path = Path(f"{raw}.colvi.json")
    return json.loads(path.read_text()) if path.exists() else {}


def test_once_status_and_retry(
    scope: Path, image: bytes, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """A backlog is worked off; what failed and what was left is told, and can be tried again."""
    (scope / "day1").mkdir()
    (scope / "day1" / "good.tif").write_bytes(image)
    (scope / "text.tif").write_text("this is no image, whatever its name says. " * 10)
    (scope / "cut.tif").write_bytes(image[: 3 * MIDDLE // 2])
    for name in ("Meier.nd2", "day1/Huber.nd2", "day1/good.tif.colvi.saliency.png"):
        (scope / name).write_bytes(b"not opened")
    for raw in list(scope.rglob("*.tif")):
        raw.with_name(f"{raw.name}.done").touch()  # so that no quiet time has to be waited for
    drain = ("watch", scope, "--bundle", "demo", "--once", "--marker", ".done")
    once = command(*drain)
    assert once.returncode == 1, once.stderr
    assert "2 files answered, 1 error; 1 left" in once.stderr
    assert "good.tif" not in once.stderr
    assert once.stderr.count("2 .nd2 files are not read here; export them as TIFF") == 1
    assert "Meier" not in once.stderr
    assert sidecar(scope / "day1" / "good.tif")["diagnosis"] == "control"
    assert (scope / "text.tif.colvi.error.json").exists()
    assert not (scope / "cut.tif.colvi.error.json").exists()

    status = command("status", scope, "--json")
    plain = json.loads(status.stdout)
    assert status.returncode == 7
    assert plain["running"] is False
    assert plain["not_read"] == {".nd2": 2}
    assert plain["files"] == {"done": 1, "failed": 1, "quarantined": 0, "pending": 1, "settling": 0}
    assert [entry["path"] for entry in plain["failed"]] == ["text.tif"]
    assert [entry["kind"] for entry in plain["waiting"]] == ["incomplete"]

    (scope / "cut.tif").unlink()
    (scope / "text.tif.colvi.error.json").write_text("old")
    assert "1 error: diagnosed again when the daemon runs again" in command("retry", scope).stdout
    assert command(*drain).returncode == 1
    assert json.loads((scope / "text.tif.colvi.error.json").read_text())["status"] == "error"


@pytest.fixture(scope="module")
def stack() -> bytes:
    """Return a stack of three planes."""
    file = io.BytesIO()
    metadata = {"axes": "ZCYX", "unit": "um"}
    planes = simulate_planes("control", 7, planes=3)
    tifffile.imwrite(file, planes, imagej=True, resolution=(1 / 0.3, 1 / 0.3), metadata=metadata)
    return file.getvalue()


@pytest.fixture(scope="module")
def ends_black(stack: bytes) -> bytes:
    """Return the same, its last plane not recorded."""
    with tifffile.TiffFile(io.BytesIO(stack)) as tif:
        end = tif.pages[0].dataoffsets[0] + 6 * PLANE_BYTES
    return stack[: end - PLANE_BYTES] + bytes(PLANE_BYTES) + stack[end:]


def test_once_on_stacks_that_end_black(
    scope: Path, ends_black: bytes, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """One that is finished is judged, with a warning; a fresh one is left."""
    for name in ("old", "fresh"):
        (scope / f"{name}.tif").write_bytes(ends_black)
        (scope / f"{name}.tif.done").touch()
    os.utime(scope / "old.tif", times=(0, 0))
    os.utime(scope / "fresh.tif", times=(2**32, 2**32))  # however slow this machine is

    once = command("watch", scope, "--bundle", "demo", "--once", "--marker", ".done", "--log-names")

    assert once.returncode == 1
    assert "1 file answered, 0 errors; 1 left" in once.stderr
    assert once.stderr.count("old.tif has to wait: last_plane_black: its last plane holds nothing") == 1
    assert [flag["name"] for flag in sidecar(scope / "old.tif")["quality"]] == ["last_plane_black"]
    assert "fresh.tif has to wait: incomplete: its last plane holds nothing" in once.stderr
    assert not list(scope.glob("fresh.tif.colvi*"))


def test_a_stack_that_ends_black_is_judged_when_it_is_at_rest(
    scope: Path, tmp_path: Path, stack: bytes, ends_black: bytes, daemon: "subprocess.Popen[bytes]"
) -> None:
    """Not before ten seconds have passed; and anew if the last plane comes after all."""
    log, raw = tmp_path / "log", scope / "x.tif"
    wait_until(lambda: "INFO ready" in log.read_text())
    raw.write_bytes(ends_black)
    wait_until(lambda: sidecar(raw), 60)

    assert Path(f"{raw}.colvi.json").stat().st_mtime - raw.stat().st_mtime >= 10
    assert "x.tif has to wait: incomplete:" in log.read_text()
    assert "x.tif has to wait: last_plane_black:" in log.read_text()
    assert [flag["name"] for flag in sidecar(raw)["quality"]] == ["last_plane_black"]
    with raw.open("r+b") as file:
        file.write(stack)
    wait_until(lambda: sidecar(raw).get("revision") == 2, 60)
    assert sidecar(raw)["quality"] == []


def test_a_day(
    scope: Path,
    tmp_path: Path,
    image: bytes,
    daemon: "subprocess.Popen[bytes]",
    command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    """A file comes, a bundle is spoilt and mended, a file changes behind its times, and the service stops."""
    bundle, log = tmp_path / "mine.colvi", tmp_path / "log"
    wait_until(lambda: "INFO ready" in log.read_text())
    (scope / "one.tif").write_bytes(image)
    wait_until(lambda: sidecar(scope / "one.tif"))

    manifest = bundle / "bioimageio.yaml"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + b"\n# spoilt\n")
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload failed since" in command("status", scope).stdout)
    (scope / "two.tif").write_bytes(image)
    wait_until(lambda: sidecar(scope / "two.tif"))
    manifest.write_bytes(whole)
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: command("status", scope).returncode == 0)

    with (scope / "mapped.tif").open("w+b") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())
        pixels = mmap.mmap(file.fileno(), 0)
        pixels[MIDDLE] ^= 1  # from here on its page is dirty, and more writing into it changes no time
    (scope / "mapped.tif").open("r+b").close()  # the event of a close
    with pixels:
        wait_until(lambda: sidecar(scope / "mapped.tif"))
        assert sidecar(scope / "mapped.tif")["revision"] == 1
        times = (scope / "mapped.tif").stat().st_mtime_ns
        pixels[MIDDLE + 1] ^= 1
        assert (scope / "mapped.tif").stat().st_mtime_ns == times
        wait_until(lambda: sidecar(scope / "mapped.tif").get("revision") == 2, 20)

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert "Traceback" not in log.read_text()
