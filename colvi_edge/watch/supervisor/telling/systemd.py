"""What the service tells systemd: that it is ready, alive, or what it is doing. Nothing without systemd."""

import os
import socket
from contextlib import suppress

from colvi_edge.printable import printable_name


def notify(**fields: str) -> None:
    """Tell systemd, in the words of sd_notify(3): `notify(READY="1", STATUS="waiting for the share")`.

    Without NOTIFY_SOCKET nothing happens, nor if systemd does not listen: a message that got lost
    must not end the daemon, and the next one repeats it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # how an abstract socket is written
        address = "\0" + address[1:]
    # A line break in a value would begin a field of its own.
    lines = "\n".join(f"{name}={printable_name(value)}" for name, value in fields.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)  # a full queue must not hang the process that the watchdog looks at
        sender.connect(address)
        sender.send(lines.encode())


def watchdog_s() -> float | None:
    """Return within how many seconds systemd wants to hear `WATCHDOG="1"`; None if it does not."""
    wanted, process = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
    if not wanted or process not in (None, str(os.getpid())):
        return None
    return int(wanted) / 1e6
