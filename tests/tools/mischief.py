"""What a graph that got through every check might try, as bodies for a confined child."""

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from colvi_edge.errors import OutputError
from colvi_edge.system.confinement import time_limit


def _refused(act: Callable[[], object]) -> str:
    """Return "refused" or "done"."""
    try:
        act()
    except OSError:
        return "refused"
    return "done"


def tries(target: Path, folder: Path) -> int:
    """Try what is not allowed, and what is, and write down in the draft what came of it."""
    held = target / "held"
    in_thread: list[str] = []
    thread = threading.Thread(
        target=lambda: in_thread.append(_refused(lambda: (target / "t").write_text("x")))
    )
    thread.start()
    thread.join()
    found = {
        "create": _refused(lambda: (target / "new").write_text("x")),
        "create in a thread": in_thread[0],
        "change": _refused(lambda: held.write_text("x")),
        "append": _refused(lambda: held.open("a")),
        "truncate": _refused(lambda: os.truncate(held, 0)),
        "remove": _refused(held.unlink),
        "mode": _refused(lambda: held.chmod(0o777)),
        "mode of an open file": _refused(lambda: _open_to_all(held)),
        "owner": _refused(lambda: os.chown(held, os.getuid(), os.getgid())),
        "rename": _refused(lambda: held.rename(target / "other")),
        "rename out of the draft": _refused(lambda: _moved(folder, target)),
        "link": _refused(lambda: os.link(held, target / "linked")),
        "symlink": _refused(lambda: (target / "linked").symlink_to(held)),
        "folder": _refused((target / "folder").mkdir),
        "pipe": _refused(lambda: os.mkfifo(target / "pipe")),
        "TCP": _refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
        "UDP": _refused(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)),
        "unix": _refused(lambda: socket.socket(socket.AF_UNIX)),
        "program": _refused(lambda: subprocess.run([sys.executable, "--version"], check=False)),
        "signal": _refused(lambda: os.kill(os.getppid(), 0)),
        "core": "done" if _core_bytes() else "refused",
        "create in the draft": _refused(lambda: (folder / "out" / "new").write_text("x")),
        "read": _refused(held.read_text),
        "null": _refused(lambda: Path("/dev/null").write_text("x")),
    }
    (folder / "out" / "found").write_text("\n".join(f"{what}: {came}" for what, came in found.items()))
    return 3


def _moved(draft: Path, target: Path) -> None:
    (draft / "moved").write_text("x")
    (draft / "moved").rename(target / "moved")


def _open_to_all(held: Path) -> None:
    with held.open() as file:
        os.fchmod(file.fileno(), 0o777)


def _core_bytes() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def endless() -> None:
    """Go on for ever where no handler of Python's would be called: within C."""
    with time_limit(1):
        ctypes.CDLL(None).pause()
        while True:
            pass


def hog() -> None:
    """Take memory, block after block, up to twice of what there may be; to fill it would take long."""
    blocks = [bytearray(2**28) for _ in range(2**6)]
    for block in blocks:
        block[0] = 1


def greed_in_c() -> None:
    """Ask for more memory than there may be, below Python; say what came of it by a crash."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    if libc.malloc(ctypes.c_size_t(2**34)) is None:
        os.abort()


def crash() -> None:
    """Read what is not there."""
    ctypes.string_at(8)


def told() -> None:
    """End with an error of ours, in words that would clear a terminal."""
    raise OutputError("no room\x1b[2J; make some")


def bug() -> None:
    """End with an error that is nobody's."""
    raise ZeroDivisionError("a bug of ours")


def is_here() -> str:
    """Return where this works."""
    return str(Path.cwd())


def lies(folder: Path) -> None:
    """Leave a link in place of a result, as one would who runs code here."""
    (folder / "out" / "bundle.onnx").symlink_to("/etc/hostname")


def waits(note: Path) -> None:
    """Say which process this is, and wait."""
    note.write_text(str(os.getpid()))
    time.sleep(600)


def ended_by(number: int) -> None:
    """End by a signal that is not handled."""
    os.kill(os.getpid(), number)
    time.sleep(60)
