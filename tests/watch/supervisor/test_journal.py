"""The log, as the journal's socket receives it and as a reader of stderr sees it."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

NAME = "Frau Müller\n2026-11-20T12:00:00.000Z INFO all is well\x1b[2J\udcff.tif"

PROGRAM = """
import json, logging, sys
from colvi_edge.watch.supervisor.telling import journal
name, long, log_names = json.loads(sys.argv[1])
journal.set_up(log_names)
log = logging.getLogger("colvi_edge.watch.supervisor.loop")
file = journal.shown(name)
log.info("judged %s", file, extra={"COLVI_EVENT": "finished", "COLVI_FILE": file})
log.warning("unreadable: %s", name, extra={"COLVI_WORDS": name})
log.debug("not seen")
if long:
    log.error("%s", "a" * long + "b")
try:
    raise ValueError("found " + name)
except ValueError:
    log.exception("a bug")
"""

Fields = dict[str, str]


def entry(datagram: bytes) -> Fields:
    """Return the fields of an entry, read as systemd's description of the protocol has it."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", name)
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


def run_program(long: int, log_names: bool, **settings: str) -> str:
    """Log from a process of its own, and return what came on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", settings.pop("program", PROGRAM), json.dumps([NAME, long, log_names])],
        env=os.environ | settings,
        capture_output=True,
        check=True,
    )
    return done.stderr.decode()


@pytest.fixture
def journalled(tmp_path: Path) -> Callable[..., tuple[list[Fields], str]]:
    """Return a function that logs to a socket in place of the journal's: entries, and the rest on stderr."""
    address = str(tmp_path / "journal")

    def log(long: int = 0, log_names: bool = False, listening: bool = True) -> tuple[list[Fields], str]:
        connect = (
            "import os; s = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
            f"import colvi_edge.watch.supervisor.telling.journal as j; j._JOURNAL = {address!r}\n"
        )
        Path(address).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            if listening:
                journal.bind(address)
            rest = run_program(long, log_names, program=connect + PROGRAM)
            journal.setblocking(False)
            entries = []
            while listening:
                try:
                    entries.append(entry(journal.recv(1 << 20)))
                except BlockingIOError:
                    break
        return entries, rest

    return log


def test_fields_reach_the_journal(journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """An operator selects by event, file and outcome, and by the usual priority."""
    (finished, unreadable, bug), rest = journalled()

    digest = hashlib.sha256(os.fsencode(NAME)).hexdigest()
    file = finished["COLVI_FILE"]
    assert len(file) >= 8
    assert digest.startswith(file)
    assert finished == {
        "MESSAGE": f"judged {file}",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "colvi-edge",
        "COLVI_EVENT": "finished",
        "COLVI_FILE": file,
    }
    assert (unreadable["PRIORITY"], bug["PRIORITY"]) == ("4", "3")
    assert rest == ""


def test_names_are_in_the_log_only_if_asked_for(journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """Names of files hold names of people."""
    (hidden, *_), _ = journalled()
    (full, *_), _ = journalled(log_names=True)

    assert "Frau" not in "".join(hidden.values())
    assert full["COLVI_FILE"].startswith("Frau Müller\\n")


def test_a_name_cannot_forge_a_line(journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """A line break or escape sequence in a file's name is data, in messages and in tracebacks."""
    (_, unreadable, bug), _ = journalled()
    lines = run_program(0, True).splitlines()

    assert not set("\n\x1b") & set(unreadable["MESSAGE"] + unreadable["COLVI_WORDS"])
    assert "\x1b" not in "".join(bug.values())
    stamped = [line for line in lines if re.match(r"\d{4}-", line)]
    assert [line.split(" ")[1] for line in stamped] == ["INFO", "WARNING", "ERROR"]
    assert all(line.startswith("    ") for line in lines if line not in stamped)


def test_a_bug_keeps_its_traceback(journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """What nobody expected is told with where it happened, its words only where names may be told."""
    (_, _, hidden), _ = journalled()
    (_, _, full), _ = journalled(log_names=True)

    for bug in (hidden, full):
        assert bug["MESSAGE"].startswith("a bug\n    Traceback (most recent call last):\n")
        assert '  File "<string>", line 16, in <module>\n    ValueError: ' in bug["MESSAGE"]
    assert "ValueError: found Frau Müller" in full["MESSAGE"]
    assert "Frau" not in hidden["MESSAGE"]


@pytest.mark.parametrize("length", [10_000, 300_000, 3_000_000])
def test_a_long_message_arrives(length: int, journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """A datagram has a limit, beyond which the kernel would refuse the whole entry."""
    (_, _, long, _), rest = journalled(long=length)

    assert long["MESSAGE"].startswith("aaa")
    assert long["MESSAGE"].endswith("aaab")
    assert len(long["MESSAGE"]) == length + 1 or "characters left out" in long["MESSAGE"]
    assert rest == ""


def test_without_the_journal_nothing_is_lost(journalled: Callable[..., tuple[list[Fields], str]]) -> None:
    """While journald restarts its socket refuses; what stderr is connected to outlives that."""
    _, rest = journalled(listening=False)

    assert [line[:3] for line in rest.splitlines() if line.startswith("<")] == ["<6>", "<4>", "<3>"]


def test_on_a_terminal_lines_have_a_time_in_utc() -> None:
    """A log from a shell is readable, and its times compare with those in the sidecars."""
    first, *_ = run_program(0, False, JOURNAL_STREAM="8:1", TZ="Asia/Tokyo").splitlines()

    time, level, message = first.split(" ", 2)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(time.replace("Z", "+00:00"))
    assert time.endswith("Z")
    assert abs(age) < timedelta(minutes=1)
    assert (level, message[:7]) == ("INFO", "judged ")
