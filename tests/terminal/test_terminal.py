"""What is printed when things do not go as planned, on terminals and into pipes."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.cli.show.run import show_outcomes
from colvi_edge.errors import IncompleteFileError
from colvi_edge.pipeline import Outcome
from colvi_edge.pipeline.inputs import InputFile
from tests.tools.terminal import read_terminal

COLOUR = re.compile(r"\x1b\[[\d;]*m")
FINDINGS = """
from colvi_edge.doctor import Finding
from colvi_edge.cli.show.findings import show_findings
show_findings([
    Finding("note", "tensorrt", "no fp16 engine was built here; run: colvi-edge build demo"),
    Finding("missing", "openvino", "is not installed; run: pip install openvino, or use --engine auto"),
    Finding("ok", "a file_of 2026-11-20_with a name.tif", "1024 x 1024 pixels of 0.3 um"),
], as_json=False)
"""


def printed_at(columns: int, code: str, **variables: str) -> str:
    """Return what a program of its own prints on a terminal of so many columns."""
    with read_terminal() as (theirs, seen):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TERM": "xterm-256color", **variables},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            check=True,
            timeout=120,
        )
    return b"".join(seen).decode().replace("\r", "")


def test_findings_fold_and_their_commands_do_not() -> None:
    """A command stands alone in its line, to be copied, also where a terminal is narrow; so does a name."""
    for columns in (80, 40):
        text = printed_at(columns, FINDINGS)
        lines = [line.strip() for line in COLOUR.sub("", text).split("\n")]
        assert {"colvi-edge build demo", "pip install openvino"} <= set(lines)
        assert any(line.endswith("a file_of 2026-11-20_with a name.tif") for line in lines) == (columns == 80)
        assert max(map(len, lines)) <= columns
    words = "note tensorrt no fp16 engine was built here; run: colvi-edge build demo missing"
    assert " ".join(lines).replace("  ", " ").count("or use --engine auto") == 1
    assert " ".join(" ".join(lines).split()).startswith(words)


def test_colours_are_for_terminals() -> None:
    """For those whose user wants them, and nowhere else."""
    assert "\x1b[31m" in printed_at(80, FINDINGS)
    plain = printed_at(80, FINDINGS, NO_COLOR="1")
    assert set(COLOUR.findall(plain)) <= {"\x1b[1m", "\x1b[0m"}  # bold is none
    pipe = subprocess.run([sys.executable, "-c", FINDINGS], capture_output=True, check=True, text=True)
    assert "\x1b" not in pipe.stdout
    assert [line.count("\t") for line in pipe.stdout.splitlines()] == [2, 2, 2, 2]
    assert pipe.stdout.splitlines()[1].endswith("was built here; run: colvi-edge build demo")


def test_an_interruption_shows_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C in the middle of a long run loses no result that is already on disk, nor its line."""

    def outcomes() -> Iterator[Outcome[InputFile]]:
        yield Outcome(
            InputFile(Path("a.tif"), Path()), IncompleteFileError("is empty (0 bytes)", subject="a.tif")
        )
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show_outcomes(outcomes(), 3, [Path("day")], as_json=False, goes_on="Say --stale.")

    printed = capsys.readouterr()
    assert "is empty (0 bytes)" in printed.out
    assert "1 image: 1 error" in printed.out
    assert printed.err == "Interrupted: 1 of 3 files done.\nSay --stale.\n"
