"""docs/how-to/update-a-model.md: every command on it does what the page says, from the first to the last."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from colvi_edge.bundle import demo_path
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.tasks.classify import CLASSES
from tests.tools.bundles import rename

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "update-a-model.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
COMMANDS = [line for line in LINES if not line.startswith("sudo ")]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a folder with all that the page names, and a `colvi-edge` to call."""
    bundle = tmp_path / "old.colvi"
    shutil.copytree(demo_path(), bundle)
    new = tmp_path / "new.colvi"
    shutil.copytree(bundle, new)
    rename(new, "new", "2.0")
    for seed, label in enumerate(CLASSES):
        planes = simulate_planes(label, seed, planes=1, size_px=256)
        for folder in ("scope", f"labelled/{label}"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            write_imagej(tmp_path / folder / f"{label}.tif", planes)
    program = tmp_path / "bin" / "colvi-edge"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom colvi_edge.cli import main\nmain()\n")
    program.chmod(0o755)
    return tmp_path


def test_each_command(desk: Path) -> None:
    """In turn, in one folder; of `diff` only that it could compare."""
    path = f"{desk / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "STATE_DIRECTORY": str(desk / "state"), "COLUMNS": "200"}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=desk, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in ((0, 1) if command.startswith("diff ") else (0,)), (command, done)
        return done.stdout + done.stderr

    def models() -> set[str]:
        return {json.loads(file.read_text())["model"]["name"] for file in desk.glob("scope/*.colvi.json")}

    old, told = "colvi-edge synthetic demo model", {}
    run("colvi-edge watch scope --bundle old.colvi --once")
    for command in COMMANDS:
        told[command] = run(command)
        if command == "colvi-edge run scope --bundle new.colvi":
            assert models() == {old}
        elif command == "colvi-edge watch scope --bundle new.colvi --once --stale":
            assert models() == {"new"}
            assert len(list(desk.glob("scope/*.colvi.prev.json"))) == len(CLASSES)

    assert models() == {old}
    tables = [(desk / f"{name}.csv").read_text().splitlines() for name in ("old", "new")]
    assert [len(table) for table in tables] == [len(CLASSES)] * 2
    told_by_log = told["colvi-edge watch scope --bundle new.colvi --once"]
    assert f"2 results are of {old} 1.0.0 and stay; colvi-edge retry" in told_by_log
    assert f"0 results of new 2.0 (current)\n2 results of {old} 1.0.0\n" in told["colvi-edge status scope"]


def test_nothing_else_is_a_command() -> None:
    """What the test above does not run are the words to systemd, and to root's folder of bundles."""
    assert len(LINES) - len(COMMANDS) == 7
    assert set(re.findall(r"^```(\w+)", PAGE, re.MULTILINE)) == {"sh"}
