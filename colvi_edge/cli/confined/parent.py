"""Runs what a command does in a child process that can change one folder, and nothing else of the machine.

The child prints what the command prints. Its last word, how it went, comes through a pipe
as JSON: nothing of it is believed but an exit code, or the kind and the words of an error. The parent, which
has imported nothing heavy, gathers the files and puts them in their places.
"""

import json
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from colvi_edge.errors import ColviEdgeError, ModelError
from colvi_edge.printable import printable_name
from colvi_edge.system.confinement import MEMORY_BYTES

_LONGEST_WORD = 2**16
_MOST_BYTES = 2**30
"""Of all files of a result."""

_ENDS: dict[int, str] = {
    signal.SIGSEGV: "it crashed",
    signal.SIGBUS: "it crashed",
    signal.SIGALRM: "it took longer than a network needs to be read and tried out",
    signal.SIGXCPU: "it took more processor time than any export needs",
    signal.SIGKILL: "it was ended, which the kernel does where memory is short",
    signal.SIGABRT: f"it broke off, as where more than {MEMORY_BYTES >> 30} GiB of memory are asked for",
    signal.SIGXFSZ: "it wrote a file larger than any result",
}


def run_confined(body: str, read: str | Path, draft: Path, **arguments: Any) -> int:
    """Run a function in a confined child; return its exit code.

    Args:
        body: MODULE:FUNCTION, which returns an exit code or None.
        read: the model file whose graph runs there, for words.
        draft: the one folder that it can change; empty.
        arguments: of the function.

    Raises:
        ColviEdgeError: as the function raised it; a ModelError if the process did not survive the model.
        KeyboardInterrupt: Ctrl-C ended this process or the child.
    """
    ours, theirs = os.pipe()
    # In the folder where somebody works a file named numpy.py would be imported; this one is empty.
    command = [
        sys.executable,
        "-m",
        "colvi_edge.cli.confined.child",
        str(theirs),
        str(os.getpid()),
        str(draft),
    ]
    environment = {**os.environ, "TMPDIR": str(draft), "CUDA_VISIBLE_DEVICES": ""}
    with os.fdopen(ours, "rb") as line:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.PIPE, pass_fds=[theirs], cwd=draft, env=environment
            )
        finally:
            os.close(theirs)
        try:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with suppress(BrokenPipeError), process.stdin as job:  # it may not even have started
                pickle.dump((Path.cwd(), body, arguments), job)
            said = line.read(_LONGEST_WORD)
            code = process.wait()
        except BaseException:  # Ctrl-C too ends both
            process.kill()
            process.wait()
            raise
    if code == -signal.SIGINT:  # Ctrl-C reached the child first, which was seen once
        raise KeyboardInterrupt
    return _told(said, code, read)


def gather(folder: Path) -> dict[str, bytes]:
    """Return the files that a child left in a folder; a link there may name anything, and is refused."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            continue
        status = path.lstat()  # the child has ended: nobody exchanges it now
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise ModelError(f"{printable_name(path.name)} is no plain file; the model made it so")
        found[path.name] = path.read_bytes()
    return found


def _told(said: bytes, code: int, read: str | Path) -> int:
    """Return the exit code that a child sent, or raise what it sent or why it sent nothing."""
    try:
        word = json.loads(said)
        if "exit_code" in word:
            return word["exit_code"] if isinstance(word["exit_code"], int) else 0
        kind, message = str(word["kind"]), printable_name(str(word["message"]))
        command, options = _command(word.get("command")), _options(word.get("options"))
    except (ValueError, TypeError, KeyError):
        if code > 0:  # a bug of ours, whose traceback stands above
            raise typer.Exit(code) from None
        why = _ENDS.get(-code, f"it ended with signal {-code}" if code else "it said nothing")
        raise ModelError(
            f"{read} did not survive a trial in a process of its own: {why}; save the network again, or take "
            "another"
        ) from None
    known = next((known for known in _errors(ColviEdgeError) if known.kind == kind), ModelError)
    raise known(message, command=command, options=options)


_COMMANDS = (("colvi-edge",), ("python", "-m", "tf2onnx.convert"))
"""What a child may have somebody type."""

_OPTION = re.compile(r"--[a-z][a-z-]*|[a-z0-9][a-z0-9.,:-]*")


def _command(words: object) -> list[str]:
    """Return a command that a child proposes; none if it is not one of ours."""
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return []
    return words if any(tuple(words[: len(begin)]) == begin for begin in _COMMANDS) else []


def _options(words: object) -> list[str]:
    """Return options that a child asks for; none if one is no plain word."""
    if not isinstance(words, list):
        return []
    return words if all(isinstance(word, str) and _OPTION.fullmatch(word) for word in words) else []


def _errors(kind: type[ColviEdgeError]) -> list[type[ColviEdgeError]]:
    return [kind, *(below for known in kind.__subclasses__() for below in _errors(known))]
