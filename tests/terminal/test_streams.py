"""Whoever stops reading what is printed stops nothing else: `colvi-edge ... | head -1`, in processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from colvi_edge.simulate import simulate_projection, write_imagej


def ended(*arguments: object, closed: str) -> tuple[int, str]:
    """Run a command whose output or errors nobody reads; return its exit code and the other stream."""
    read, write = os.pipe()
    os.close(read)  # before it prints anything, so that its first word already finds nobody
    other = "stderr" if closed == "stdout" else "stdout"
    command = subprocess.run(
        [sys.executable, "-c", "from colvi_edge.cli import main; main()", *map(str, arguments)],
        **{closed: write, other: subprocess.PIPE},  # type: ignore[call-overload] # one of each
        env={
            name: word for name, word in os.environ.items() if name != "PYTHONUNBUFFERED"
        },  # as users have it
        check=False,
        timeout=120,
    )
    os.close(write)
    return command.returncode, getattr(command, other).decode()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of four small images, and one that is none."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        write_imagej(folder / f"{number}.tif", simulate_projection("control", number, size_px=256))
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["doctor", "--json"]])
def test_a_closed_pipe_is_no_failure(arguments: list[str]) -> None:
    """Whatever the command prints, and by whichever way: exit code 0, and not a word about it."""
    assert ended(*arguments, closed="stdout") == (0, "")


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_images_are_judged_though_nobody_reads_on(images: Path, how: list[str]) -> None:
    """`run ... --json | head -1` leaves the results of all files."""
    for result in images.glob("*.colvi.*"):
        result.unlink()

    code, said = ended("run", images, "--bundle", "demo", *how, closed="stdout")

    assert (code, said) == (0, "")
    assert {path.name for path in images.glob("*.colvi.json")} == {f"{n}.tif.colvi.json" for n in range(4)}


def test_the_exit_code_is_that_of_the_work(images: Path, tmp_path: Path) -> None:
    """An image that cannot be read, and a wrong option whose sentence nobody hears, are as they are."""
    (tmp_path / "none.tif").write_bytes(b"This is the lab's shopping list.\n" * 20)

    unread, _ = ended("run", tmp_path, "--bundle", "demo", closed="stdout")
    wrong, printed = ended("run", tmp_path / "away", "--bundle", "demo", closed="stderr")

    assert unread == 1
    assert (wrong, printed) == (2, "")


def test_a_stream_that_was_closed_before_is_no_failure() -> None:
    """As of a program that was started with `>&-`."""
    command = "exec 1>&-; exec {} -c 'from colvi_edge.cli import main; main()' --version"

    ended = subprocess.run(
        ["sh", "-c", command.format(sys.executable)], stderr=subprocess.PIPE, check=False, timeout=120
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
