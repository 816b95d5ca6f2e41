"""systemd as this machine runs it: its command, and how it writes a path in the name of a unit."""

import os
import re
import shutil
import string
import subprocess
from pathlib import Path

from colvi_edge.errors import OutputError
from colvi_edge.printable import printable_name

_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}:_.".encode())


def is_systemd_running() -> bool:
    """Return whether systemd is process 1 of this machine."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def systemctl(*words: str) -> str:
    """Call systemctl and return what it said.

    Raises:
        OutputError: it could not do it.
    """
    command = ["systemctl", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = printable_name(done.stderr.strip().rpartition("\n")[2])
        raise OutputError(
            f"'{' '.join(command)}' failed: {said}; see 'systemctl status', and call this once more"
        )
    return done.stdout.strip()


def escaped(path: Path) -> str:
    """Return what systemd calls an absolute path in the name of a unit, as systemd-escape --path does."""
    written = [
        "-" if byte == ord("/") else chr(byte) if byte in _PLAIN else f"\\x{byte:02x}"
        for byte in os.fsencode(path).strip(b"/")
    ]
    if written[:1] == ["."]:
        written[0] = r"\x2e"
    return "".join(written) or "-"


def watched_by(name: str) -> Path:
    """Return the folder of a service by its unit's name: what `escaped` made, backwards."""
    instance = name.removeprefix("colvi-edge@").removesuffix(".service")
    written = re.split(r"(\\x[0-9a-f]{2})", instance)
    parts = [
        bytes.fromhex(part[2:]) if at % 2 else os.fsencode(part.replace("-", "/"))
        for at, part in enumerate(written)
    ]
    return Path("/", os.fsdecode(b"".join(parts)))
