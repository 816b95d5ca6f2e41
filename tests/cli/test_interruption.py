"""Ctrl-C, in processes of its own: what was done is counted and whole, and nothing else was begun."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.cli.interruption import interruptible
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.system import atomic
from tests.tools.leica import Series, container

FILES = 60
RUN = "from colvi_edge.cli import main; main()"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Give a folder of many small images."""
    write_imagej(tmp_path / "00.tif", simulate_projection("control", 1, size_px=256))
    for number in range(1, FILES):
        shutil.copy(tmp_path / "00.tif", tmp_path / f"{number:02}.tif")
    return tmp_path


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that obeys Ctrl-C also where this one was started in the background."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("how", [["--json"], []])
def test_ctrl_c_counts_what_is_done(images: Path, how: list[str]) -> None:
    """Each image with a result has its line and is counted, no result is torn, and the exit code is 130."""
    command = started(RUN, "run", images, "--bundle", "demo", *how)
    assert command.stdout
    while len(list(images.glob("*.colvi.json"))) < 2:
        assert command.poll() is None

    command.send_signal(signal.SIGINT)
    printed, said = command.communicate(timeout=60)

    results = list(images.glob("*.colvi.json"))
    done = re.search(rf"Interrupted: (\d+) of {FILES} files done\.", said)
    assert command.returncode == 130
    assert done
    assert 2 <= int(done[1]) == len(results) < FILES
    assert printed.count(".tif") == len(results) if how == [] else len(printed.splitlines()) == len(results)
    assert "Traceback" not in said
    assert all(json.loads(result.read_text())["status"] == "ok" for result in results)
    assert len(list(images.glob("*.colvi.png"))) == len(results)
    assert not list(images.glob(".colvi-*"))
    assert "The same command with --stale goes on with the rest" in said

    before = {result: result.read_bytes() for result in results}
    command = started(RUN, "run", images, "--bundle", "demo", *how, "--stale")
    command.communicate(timeout=60)
    assert command.returncode == 0
    assert len(list(images.glob("*.colvi.json"))) == FILES
    assert {result: result.read_bytes() for result in results} == before


def test_ctrl_c_while_the_command_line_is_loaded_is_no_bug() -> None:
    """In the midst of its imports, of which next to none stand before the guard; the script begins there."""
    code = (
        "import sys\n"
        "class Stopped:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stopped)\n"
        "import runpy\n"
        "runpy.run_module('colvi_edge', run_name='__main__')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'colvi-edge = "colvi_edge.__main__:main"' in project.splitlines()


def test_ctrl_c_amid_a_container_leaves_no_index(tmp_path: Path) -> None:
    """The images that were judged keep their results; an index would say that these were all."""
    image = simulate_projection("control", 1, size_px=256)
    series = (Series(image, axes="CYX", name=f"S{number}", luts=("Green", "Blue")) for number in range(FILES))
    (tmp_path / "x.lif").write_bytes(container(*series).data)
    command = started(RUN, "run", tmp_path, "--bundle", "demo", "--json")
    while len(list(tmp_path.glob("*.colvi.json"))) < 2:
        assert command.poll() is None

    command.send_signal(signal.SIGINT)
    printed, said = command.communicate(timeout=60)

    assert command.returncode == 130
    assert "Interrupted: 0 of 1 files done." in said
    assert not (tmp_path / "x.lif.colvi.json").exists()
    assert 2 <= len(printed.splitlines()) == len(list(tmp_path.glob("*.colvi.json"))) < FILES


def test_a_second_ctrl_c_ends_at_once() -> None:
    """Whatever the process waits for; the first one only asks, and says so."""
    waiting = (
        "import time\nfrom colvi_edge.cli.interruption import interruptible\n"
        "with interruptible() as is_stopped:\n    print('ready', flush=True)\n"
        "    while not is_stopped(): time.sleep(0.01)\n"
        "    print('asked', flush=True)\n    time.sleep(600)"
    )
    process = started(waiting)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGINT
    assert said == "\nEnding after the image in hand; Ctrl-C again ends at once.\n"


def test_what_a_killed_run_left_goes_with_a_later_one(
    images: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the folders that it writes into, when it is an hour old; here at once."""
    for place in (images / "sub", images):
        place.mkdir(exist_ok=True)
        (place / ".colvi-1-a.tmp").touch()

    assert run("run", images / "00.tif", "--bundle", "demo")[0] == 0
    assert len(list(images.rglob(".colvi-*.tmp"))) == 2
    monkeypatch.setattr(atomic, "_LEFT_S", 0.0)
    assert run("run", images / "00.tif", "--bundle", "demo")[0] == 0
    assert list(images.rglob(".colvi-*.tmp")) == [images / "sub" / ".colvi-1-a.tmp"]


def test_without_an_interruption_ctrl_c_is_as_it_was() -> None:
    """As it is where it is ignored, too."""
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            with interruptible() as is_stopped:
                if handler is signal.SIG_IGN:
                    os.kill(os.getpid(), signal.SIGINT)
                assert not is_stopped()
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
