"""A state folder that is damaged, or that somebody wrote into: sentences, no traceback, made anew."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colvi_edge.errors import ColviEdgeError, OutputError
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.watch import state_folder
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.channel import decode, encode
from colvi_edge.watch.ipc.messages import FileReady, WorkerReady
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.state_folder import DaemonLock, StateFolder
from colvi_edge.watch.status_file import Condition, Last, Status, Waiting, read_status, write_status
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import Dispatcher
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings
from tests.tools.asking import tell_retry, tell_status
from tests.tools.hostile import every, some

COMMAND = [sys.executable, "-c", "from colvi_edge.cli import main; main()"]
SIGNATURE = Signature(2**64 - 1, 4_196_534, -1, 1_763_700_000_000_000_000)
MOUNT = Mount(point="/mnt/scope", kind="cifs", source="//pc/scope", inside="/")
STATUS = Status(
    folder="/data/scope",
    started="2026-11-21T08:00:00+00:00",
    said="2026-11-21T09:00:00+00:00",
    said_s=0.0,
    ready=True,
    states=[Condition("degraded", "slow", "2026-11-21T08:30:00+00:00")],
    pending=3,
    settling=1,
    waiting=[Waiting("cut.tif", "incomplete", "cut off")],
    last=Last("a.tif", "ok", "control, score 90.0", 41.5, 62.0, 1.7e9),
    model=WorkerReady("/copy", "demo", "ab" * 32, "openvino", "fp32", "CPU", "as asked"),
    not_read={".nd2": 3},
)
SAID = asdict(STATUS)

COLUMNS = (
    *("path", "signature", "state", "attempts", "recheck_s"),
    *("kind", "words", "sha256", "revision", "at"),
    *("model", "files", "wanted"),
)
BAD = (
    *(
        2**63 - 1,
        -(2**63),
        2**53,
        -1,
        0,
        1.5,
        1e308,
        float("inf"),
        b"",
        b"\xff\xfe",
        b"x" * 200_000,
        "",
        "text",
    ),
    *("9" * 5000, "1:2:3", "1:2:3:4:5", "1:2:3:--4", f"1:2:3:{'9' * 80}", "x" * 200_000, "\x1b[2J[/]\r\n"),
    *("pending", "done", "quarantined", "2999-19-39T99:99:99+00:00", "2026-11-20T12:00:00", None),
)
"""What SQLite keeps in a column, whatever type that is declared with."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger with an entry of each state, to be copied: to write one takes ten commits."""
    path = tmp_path_factory.mktemp("filled") / "ledger.sqlite"
    fill(path)
    return path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    """Return the state folder of `tmp_path / "scope"`."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "service")
    (tmp_path / "scope").mkdir()
    return StateFolder.of(tmp_path / "scope")


@pytest.fixture
def watched(state: StateFolder) -> Iterator[StateFolder]:
    """Return one whose daemon runs and has three entries."""
    lock = DaemonLock(state.lock)
    assert lock.take()
    fill(state.ledger)
    yield state
    lock.close()


def fill(path: Path) -> None:
    """Begin a ledger with an entry of each state."""
    with closing(Ledger(path)) as ledger:
        ledger.mount = MOUNT
        for name, kept in (("a.tif", "done"), ("b.tif", "failed"), ("c.tif", "quarantined"), ("d.tif", "")):
            ledger.begin(name, SIGNATURE)
            if kept:
                ledger.finish(name, kept, kind="axes", words="words", sha256="ab" * 32, revision=1)  # type: ignore[arg-type]


def renew(path: Path, filled: Path) -> None:
    """Let a ledger be as it was."""
    for part in path.parent.glob("ledger*"):
        part.unlink()
    shutil.copy(filled, path)


def spoil(path: Path, column: str, value: object) -> None:
    """Put a value into a column of the entry of c.tif, or of a later one, where the table lets it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        text = isinstance(value, bytes) and column not in ("path",)
        what = "CAST(? AS TEXT)" if text else "?"  # bytes as text need not be UTF-8
        connection.execute(
            f"UPDATE OR REPLACE entries SET {column} = {what} WHERE path = x'632e746966'",  # noqa: S608 - ours
            (value,),
        )


def look(root: Path) -> None:
    """Ask for the status, both ways, and say retry; whatever is printed comes with a code or a sentence."""
    asked: tuple[Callable[[], int], ...] = (
        lambda: tell_status(root, as_json=False),
        lambda: tell_status(root, as_json=True),
        lambda: tell_retry(root),
    )
    for ask in asked:
        with suppress(ColviEdgeError):
            assert ask() in (0, 7)


def use(path: Path) -> int:
    """Do with a ledger what scanner and supervisor do; return how many entries were dropped."""
    with closing(LedgerReader(path)) as reader:
        judged = reader.finished()
        assert all(isinstance(signature, Signature) for signature in judged.values())
    with closing(Ledger(path)) as ledger:
        ledger.last_done_at().encode("ascii")
        assert not ledger.mount or isinstance(ledger.mount, Mount)
        conditions = Conditions()
        tolerant = TolerantLedger(ledger, conditions)
        dispatcher = Dispatcher(tolerant, Metrics("scope", 0.0), conditions, Timings(), now=0.0)
        for entry in (ledger.entry(name) for name in ("a.tif", "b.tif", "c.tif", "d.tif")):
            if entry is not None:
                ready = FileReady(entry.path, entry.signature, 0.0, False, 0.0)
                assert decode(encode(ready)) == ready
                dispatcher.offer(ready, 0.0)
        dispatcher.retry(0.0)
        assert ledger.begin("e.tif", SIGNATURE) == 1
        ledger.finish("e.tif", "done", revision=2**31 - 1)
        assert ledger.counts()["done"] >= 1
        return ledger.dropped


# --- status.json


def test_each_extreme_in_status(
    watched: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another type, a number without bound, depth, control characters: none, or one that can be shown."""
    look(tmp_path / "scope")
    read = 0
    for text in every(SAID):
        watched.status.write_bytes(text)
        if read_status(watched.status) is not None:
            read += 1
            look(tmp_path / "scope")
            assert "\x1b[2J" not in capsys.readouterr().out
    assert read > 50


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some(SAID))
def test_whatever_stands_in_status(
    watched: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    """Random values, keys that come twice, cut and changed bytes."""
    watched.status.write_bytes(text)
    look(tmp_path / "scope")
    capsys.readouterr()


def test_a_status_that_is_no_file_or_a_flood(watched: StateFolder) -> None:
    """A pipe is not waited for, a link not followed, 64 MB not read."""
    with watched.status.open("wb") as file:
        file.truncate(2**26)
    assert read_status(watched.status) is None
    watched.status.unlink()
    os.mkfifo(watched.status)
    assert read_status(watched.status) is None
    watched.status.unlink()
    sound = watched.path / "sound"
    write_status(sound, STATUS)
    assert read_status(sound) == STATUS
    watched.status.symlink_to(sound)
    assert read_status(watched.status) is None
    watched.status.unlink()
    watched.status.mkdir()
    assert read_status(watched.status) is None


def test_an_answer_after_the_year_9999(
    watched: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no such time; the rest is shown."""
    last = Last("a.tif", "ok", "control, score 90.0", 41.5, 62.0, at=1e14)
    write_status(watched.status, replace(STATUS, last=last))
    tell_status(tmp_path / "scope", as_json=False)

    assert "last: a.tif: control, score 90.0, at an unknown time" in capsys.readouterr().out


# --- the ledger


@pytest.mark.parametrize("column", COLUMNS)
def test_each_extreme_in_each_column(
    column: str, state: StateFolder, filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The entry is none, or one that was possible; the others are as they were."""
    dropped = 0
    for value in BAD:
        renew(state.ledger, filled)
        try:
            spoil(state.ledger, column, value)
        except sqlite3.IntegrityError:  # NULL
            continue
        DaemonLock(state.lock).close()
        look(tmp_path / "scope")
        capsys.readouterr()
        dropped += use(state.ledger)
        with closing(LedgerReader(state.ledger)) as reader:
            for name in ("a.tif", "b.tif", "d.tif"):
                assert (name == "a.tif" and value == b"a.tif") or reader.entry(name) is not None
    assert dropped >= {"recheck_s": 4, "kind": 2, "words": 2, "sha256": 3}.get(column, 5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(COLUMNS),
            st.integers(-(2**63), 2**63 - 1)
            | st.floats()
            | st.binary()
            | st.text(st.characters(codec="utf-8")),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_stands_in_an_entry(
    state: StateFolder, filled: Path, changes: list[tuple[str, object]]
) -> None:
    """Random values of every kind that SQLite knows."""
    renew(state.ledger, filled)
    for column, value in changes:
        try:
            spoil(state.ledger, column, value)
        except sqlite3.IntegrityError:
            continue
    use(state.ledger)


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE entries DROP COLUMN words",
        "ALTER TABLE entries ADD COLUMN more TEXT",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
        "DROP TABLE entries; CREATE VIEW entries AS SELECT 1 AS path",
        "DROP TABLE meta",
        f"DROP TABLE entries; CREATE TABLE entries ({', '.join(COLUMNS)})",
        "CREATE TABLE other (a)",
        "DROP TABLE meta; CREATE TABLE meta (name, value)",
        "PRAGMA user_version = 0; DROP TABLE meta",
    ],
)
def test_other_tables_are_set_aside(
    statements: str, state: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ledger that is none of ours, whatever version it says, is not written to; status says a sentence."""
    fill(state.ledger)
    with closing(sqlite3.connect(state.ledger)) as connection:
        connection.executescript(statements)
    DaemonLock(state.lock).close()
    look(tmp_path / "scope")
    capsys.readouterr()

    with closing(Ledger(state.ledger)) as ledger:
        assert ledger.set_aside is not None
        assert ledger.begin("a.tif", SIGNATURE) == 1


def test_a_damaged_page_is_a_sentence(state: StateFolder, tmp_path: Path) -> None:
    """SQLite opens the file and finds out later."""
    with closing(Ledger(state.ledger)) as ledger:
        ledger._connection.execute("BEGIN")  # one commit for all is quicker
        for number in range(2000):
            ledger.begin(f"folder/image{number}.tif", SIGNATURE)
            ledger.finish(f"folder/image{number}.tif", "failed")
        ledger._connection.execute("COMMIT")
    data = bytearray(state.ledger.read_bytes())
    data[20 * 4096 :] = b"\xa5" * (len(data) - 20 * 4096)
    state.ledger.write_bytes(data)
    DaemonLock(state.lock).close()
    asked: tuple[Callable[[], int], ...] = (
        lambda: tell_status(tmp_path / "scope", as_json=True),
        lambda: tell_status(tmp_path / "scope", as_json=False),
        lambda: tell_retry(tmp_path / "scope"),
    )

    for ask in asked:
        with pytest.raises(
            OutputError, match=r"ledger.sqlite cannot be read: .*makes it anew when it starts"
        ):
            ask()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some(asdict(MOUNT)) | st.sampled_from(list(every(asdict(MOUNT)))))
def test_whatever_stands_for_the_mount(state: StateFolder, text: bytes) -> None:
    """It is a mount of four texts, or nobody has seen one."""
    with closing(Ledger(state.ledger)) as ledger:
        ledger._connection.execute("REPLACE INTO meta VALUES ('mount', CAST(? AS TEXT))", (text,))
        mount = ledger.mount
        assert mount is None or all(isinstance(part, str) for part in asdict(mount).values())
        ledger.mount = MOUNT
        assert ledger.mount == MOUNT


# --- the rest


def test_a_folder_in_the_place_of_retry(watched: StateFolder, tmp_path: Path) -> None:
    """Nobody is told that files are diagnosed again."""
    watched.retry.mkdir()

    with pytest.raises(OutputError, match="retry cannot be made: Is a directory"):
        tell_retry(tmp_path / "scope")


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\n", b"12\x1b[2J", b"-1", b"9" * 100])
def test_whatever_stands_in_a_lock(state: StateFolder, text: bytes) -> None:
    """Its holder is a number, or unknown."""
    state.lock.write_bytes(text)
    with closing(DaemonLock(state.lock)) as lock:
        assert lock.holder() in ("?", "9" * 32)


def test_a_daemon_starts_on_all_of_it(state: StateFolder, tmp_path: Path) -> None:
    """The real command: it says once what it dropped, judges what there is, and its status is one again."""
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    scope = tmp_path / "scope"
    write_imagej(scope / "c.tif", simulate_projection("control", 31, size_px=320))
    fill(state.ledger)
    spoil(state.ledger, "attempts", 2**63 - 1)
    with closing(sqlite3.connect(state.ledger)) as connection, connection:
        for number, value in enumerate(BAD):
            row = (f"{number}.tif".encode(), "1:2:3:4", "done", value if value is not None else 0)
            connection.execute(
                "INSERT INTO entries (path, signature, state, attempts) VALUES (?, ?, ?, ?)", row
            )
        connection.execute("REPLACE INTO meta VALUES ('mount', ?)", ("[" * 100_000,))
    state.status.write_bytes(b'{"states": ' + b"[" * 100_000)
    state.lock.write_bytes(b"\xff" * 40)
    state.retry.mkdir()

    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    assert command("status", str(scope)).returncode == 7
    (scope / "c.tif.done").touch()  # so that no quiet time has to be waited for
    done = command("watch", str(scope), "--bundle", "demo", "--once", "--marker", ".done")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("entries of the ledger were damaged") == 1
    assert (scope / "c.tif.colvi.json").is_file()
    after = command("status", str(scope), "--json")
    assert json.loads(after.stdout)["files"]["done"] >= 1
    assert "Traceback" not in after.stderr
