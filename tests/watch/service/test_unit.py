"""The files in systemd/: safe, consistent with the daemon, and complete."""

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from typer.main import get_command

from colvi_edge.choices import EngineName, PrecisionChoice, words_in
from colvi_edge.cli import app
from colvi_edge.watch.service.unit_files import SOURCES, unit
from colvi_edge.watch.supervisor.children.workers import MEMORY_LIMIT_BYTES
from colvi_edge.watch.timings import Timings

UNIT = (SOURCES / "colvi-edge@.service").read_text()
EXPOSURE = 15  # of 100: 1.5 in systemd's words


def setting(name: str, text: str = UNIT) -> str:
    """Return the value of a key that stands once in a unit."""
    (value,) = re.findall(rf"(?m)^{name}=(.*)$", text)
    return str(value)


@pytest.mark.systemd
@pytest.mark.parametrize("drop_in", [None, "gpu.conf", "jetson.conf"])
def test_the_sandbox_is_tight(drop_in: str | None, tmp_path: Path) -> None:
    """By systemd's own score of what a taken-over daemon could do, with and without a GPU."""
    file = tmp_path / "colvi-edge@.service"
    file.write_text(UNIT + ((SOURCES / drop_in).read_text() if drop_in else ""))

    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE}",
        "--no-pager",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.systemd
@pytest.mark.parametrize("drop_in", ["", "gpu.conf", "jetson.conf"])
def test_systemd_understands_every_line(drop_in: str, tmp_path: Path) -> None:
    """A key that systemd does not know is skipped with a warning that nobody reads."""
    file = tmp_path / "colvi-edge@srv-scope.service"
    text = unit(Path("/bin/true"), "root", "root") + ((SOURCES / drop_in).read_text() if drop_in else "")
    file.write_text(text)

    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)

    own = [line for line in done.stderr.splitlines() if "colvi-edge" in line]
    assert own == []


def test_every_line_of_the_sandbox_is_explained() -> None:
    """Whoever loosens a line must know why it is there: each stands below a comment, alone or in a group."""
    sandbox = UNIT[UNIT.index("# --- sandbox") : UNIT.index("[Install]")]
    groups = [group for group in re.split(r"(?m)^(?:#.*\n)+", sandbox) if group.strip()]

    assert sandbox.splitlines()[1].startswith("#")
    assert max(len(group.splitlines()) for group in groups) <= 6


def test_times_fit_the_daemon() -> None:
    """The watchdog must not bite a slow file, and a stop ends within the 15 s that are promised."""
    assert float(setting("WatchdogSec")) >= 2 * Timings().work_limit_s
    assert Timings().stop_limit_s < float(setting("TimeoutStopSec")) <= 15


def test_the_kernel_takes_a_worker_and_not_the_service() -> None:
    """Running out of memory costs one file."""
    assert setting("OOMPolicy") == "continue"
    assert int(setting("MemoryMax").removesuffix("G")) << 30 > MEMORY_LIMIT_BYTES


def test_drop_ins_say_that_they_were_not_run() -> None:
    """No GPU was at hand."""
    for name in ("gpu.conf", "jetson.conf"):
        assert "NOT RUN ON A" in (SOURCES / name).read_text()


def test_example_environment_has_every_option_of_watch() -> None:
    """An option that the example does not show is one that nobody finds; one that is gone is ignored."""
    options = get_command(app).commands["watch"].params  # type: ignore[attr-defined] # a group of commands
    once = {f"COLVI_EDGE_{word}" for word in ("ONCE", "STALE", "AGAIN")}  # for a call, not for a service
    variables = {str(option.envvar) for option in options if option.envvar} - once

    shown = set(re.findall(r"(?m)^#?(COLVI_EDGE_[A-Z_]+)=", (SOURCES / "example.env").read_text()))
    assert shown == variables


def test_example_environment_sets_nothing_but_the_bundle() -> None:
    """The defaults are the program's."""
    assert re.findall(r"(?m)^[^#\n].*", (SOURCES / "example.env").read_text()) == ["COLVI_EDGE_BUNDLE=demo"]


def test_example_environment_names_every_engine_and_precision() -> None:
    """A file that is installed is written by hand; the help is made of the words themselves."""
    text = (SOURCES / "example.env").read_text()

    for choices in (EngineName, PrecisionChoice):
        assert f": {words_in(choices)}" in text


def test_the_files_come_from_the_repository() -> None:
    """systemd/ at the root is what is installed."""
    assert (Path(__file__).parents[3] / "systemd" / "example.env").samefile(
        str(files("colvi_edge") / "systemd" / "example.env")
    )
