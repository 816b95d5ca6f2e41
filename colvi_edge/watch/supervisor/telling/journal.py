"""The daemon's log: fields in systemd's journal, or readable lines on stderr.

Messages are written as everywhere, `log = logging.getLogger(LOGGER)`. What an operator may want to select by
goes along as a field whose name begins with COLVI_:

    log.info("judged %s", shown(path), extra={"COLVI_EVENT": "finished", "COLVI_FILE": shown(path)})
    journalctl COLVI_EVENT=finished

A log is kept, copied and read by many, and the names of raw files, of folders and of images are often those
of people. So nothing that was made of them reaches it: whatever names a file goes through `shown`, whatever
was said of one through `told`. A terminal is read by who sits before it, and shows both.
"""

import hashlib
import logging
import os
import socket
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from colvi_edge.printable import printable_name, printable_traceback

LOGGER = "colvi_edge.watch"

_JOURNAL = "/run/systemd/journal/socket"
_LONGEST = 16 << 10  # characters of a value, so 64 KiB; the datagram may have 208 (net.core.wmem_default)

_SEE_STATUS = "see: colvi-edge status"

_log_names = False
_tell_systemd_names = False


def set_up(log_names: bool) -> None:
    """Send what is logged from now on to the journal, if stderr ends there, else to stderr.

    The traceback of whatever ends this process goes there, too.

    Args:
        log_names: files are named in full, also where stderr is no terminal. Names often hold those of
            people, so that is asked for.
    """
    global _log_names, _tell_systemd_names
    _log_names, _tell_systemd_names = log_names or os.isatty(2), log_names
    log = logging.getLogger(LOGGER)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [_Journal() if stderr_is_journal() else _Lines()]
    sys.excepthook = _bug
    sys.unraisablehook = lambda raised: _bug(raised.exc_type, raised.exc_value, raised.exc_traceback)


def names_are_logged() -> bool:
    """Return whether names of files may stand in the log."""
    return _log_names


def shown(path: str | Path) -> str:
    """Return how a file is named in the log: a short hash of its path, unless names were asked for.

    It is that of `printf %s PATH | sha256sum`, so that whoever knows a path finds its lines.
    """
    if _log_names:
        return printable_name(str(path))
    return _hash(path)


def shown_to_systemd(path: str | Path) -> str:
    """Return the same for words that also go to STATUS; who asks systemd does not sit before our terminal."""
    return printable_name(str(path)) if _tell_systemd_names else _hash(path)


def told(words: str) -> str:
    """Return what the log tells of words that were said of a file: only where they stand, if names do not.

    They may hold its name, that of an image in it, or of a channel: whatever its maker wrote.
    """
    return words if _log_names else _SEE_STATUS


def told_to_systemd(words: str) -> str:
    """Return what STATUS tells of such words; who asks systemd does not sit before our terminal."""
    return words if _tell_systemd_names else _SEE_STATUS


def _hash(path: str | Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


class _Lines(logging.StreamHandler):  # type: ignore[type-arg] # generic for the type checker only
    """Time, level and message, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        return f"{time.removesuffix('+00:00')}Z {record.levelname} {_text(record)}"


class _Journal(logging.Handler):
    """Fields, by the native protocol of systemd-journald(8)."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            "MESSAGE": _text(record),
            "PRIORITY": str(_priority(record.levelno)),
            "SYSLOG_IDENTIFIER": "colvi-edge",
        }
        for name, value in vars(record).items():
            if name.startswith("COLVI_"):
                fields[name] = printable_name(str(value))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(1)  # a journal that hangs must not hang the daemon
                sender.sendto(b"".join(_field(*field) for field in fields.items()), _JOURNAL)
        except OSError:  # the journal is restarting; what stderr is connected to outlives that
            print(f"<{fields['PRIORITY']}>{fields['MESSAGE']}", file=sys.stderr)  # noqa: T201 # it is a log


def stderr_is_journal() -> bool:
    """Return whether systemd connected stderr to the journal, and nobody redirected it since."""
    stderr = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def _text(record: logging.LogRecord) -> str:
    """Return the message in one line, and the traceback of a bug indented below it.

    Indented, because the words of an exception may hold a file's name, and that a line break.
    """
    text = printable_name(record.getMessage())
    if record.exc_info and record.exc_info[1]:
        trace = printable_traceback(record.exc_info[1], words=_log_names)
        text += "".join(f"\n    {line}" for line in trace.split("\n"))
    return text


def _bug(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log what nobody caught."""
    if error and not isinstance(error, KeyboardInterrupt):
        logging.getLogger(LOGGER).critical("a bug ends this process", exc_info=(kind, error, trace))


def _priority(level: int) -> int:
    """Return syslog's number for a level of `logging`."""
    return next((number for least, number in ((50, 2), (40, 3), (30, 4), (20, 6)) if level >= least), 7)


def _field(name: str, value: str) -> bytes:
    if len(value) > _LONGEST:
        half = _LONGEST // 2
        value = f"{value[:half]} ... {len(value) - 2 * half} characters left out ... {value[-half:]}"
    data = value.encode()
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
