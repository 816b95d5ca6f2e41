"""A command without a network: it sees the machine's own loopback and nothing else."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def alone(*words: object) -> list[str]:
    """Return the words that run a command in a network of its own."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", *user, sys.executable, str(Path(__file__)), *map(str, words)]


def is_possible() -> bool:
    """Return whether this machine lets a command be so alone."""
    try:
        return subprocess.run(alone("true"), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


if __name__ == "__main__":
    _raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - what it is for
