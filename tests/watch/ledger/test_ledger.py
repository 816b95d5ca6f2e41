"""The ledger keeps what was answered and counts what was not, and a damaged one costs nothing but time."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.ledger.reader import LedgerReader

ONE = Signature(2**64 - 1, 4_196_534, -1, 1_763_700_000_000_000_000)  # inode as on CIFS, time before 1970
TWO = Signature(2**64 - 1, 4_196_534, -1, 1_763_700_000_000_000_001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Return an empty ledger."""
    opened = Ledger(path)
    yield opened
    opened.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """Return what another connection reads of the file."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_an_attempt_is_on_the_disk_before_begin_returns(path: Path) -> None:
    """A process that is killed right after `begin` leaves its attempt, though it closed nothing."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from colvi_edge.watch.ledger.ledger import Ledger\n"
        "from colvi_edge.watch.ipc.messages import Signature\n"
        f"Ledger(Path(sys.argv[1])).begin('a.tif', {ONE!r})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert rows(path, "SELECT path, attempts, state FROM entries") == [(b"a.tif", 2, "pending")]


def test_every_commit_is_synced(ledger: Ledger) -> None:
    """With synchronous=NORMAL power cuts lost acknowledged rows."""
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_attempts_count_on_one_state_of_a_file(ledger: Ledger) -> None:
    """A file that changed begins anew; an answer or a hand-back takes attempts away."""
    assert [ledger.begin("a.tif", ONE), ledger.begin("a.tif", ONE)] == [1, 2]
    assert ledger.begin("a.tif", TWO) == 1
    ledger.begin("a.tif", TWO)
    ledger.refund_attempt("a.tif")
    assert ledger.begin("a.tif", TWO) == 2
    ledger.reset_attempts("a.tif")
    assert ledger.begin("a.tif", TWO) == 1
    ledger.refund_attempt("a.tif")
    ledger.refund_attempt("a.tif")

    entry = ledger.entry("a.tif")
    assert entry is not None
    assert entry.attempts == 0


def test_an_answer_is_kept_for_the_state_that_was_begun(path: Path, ledger: Ledger) -> None:
    """Another program reads the file's bytes of a path, and who asks gets the signature back."""
    name = os.fsdecode(b"caf\xe9\n;DROP TABLE entries.tif")
    ledger.begin(name, ONE)
    ledger.finish(name, "done", words="control, score 87.5", sha256="ab", revision=2, recheck_s=2.0)
    ledger.close()

    assert rows(path, "SELECT path, signature, state, words, revision, recheck_s FROM entries") == [
        (
            b"caf\xe9\n;DROP TABLE entries.tif",
            "18446744073709551615:4196534:-1:1763700000000000000",
            "done",
            "control, score 87.5",
            2,
            2.0,
        )
    ]
    again = Ledger(path)
    entry = again.entry(name)
    again.close()
    assert entry is not None
    assert (entry.path, entry.signature) == (name, ONE)


def test_beginning_an_unchanged_file_leaves_its_answer(ledger: Ledger) -> None:
    """While a result is checked once more it is still a result; a new state of the file has none."""
    ledger.begin("a.tif", ONE)
    ledger.finish("a.tif", "done", recheck_s=2.0)
    ledger.begin("a.tif", ONE)
    assert ledger.finished() == {"a.tif": ONE}
    assert [entry.path for entry in ledger.to_recheck()] == ["a.tif"]

    ledger.begin("a.tif", TWO)
    assert ledger.finished() == {}
    assert ledger.to_recheck() == []


def test_what_changed_is_forgotten_only_without_a_result(ledger: Ledger) -> None:
    """`forget` drops what was never answered, and ends the check of what was."""
    ledger.begin("new.tif", ONE)
    ledger.forget("new.tif")
    ledger.begin("old.tif", ONE)
    ledger.finish("old.tif", "done", recheck_s=2.0)
    ledger.begin("old.tif", ONE)
    ledger.forget("old.tif")

    assert ledger.entry("new.tif") is None
    old = ledger.entry("old.tif")
    assert old is not None
    assert (old.state, old.attempts, old.recheck_s) == ("done", 0, None)


def test_a_reader_sees_what_is_finished(path: Path, ledger: Ledger) -> None:
    """Each time as it is then: what was finished since is in it, what is to be judged again is not."""
    with closing(LedgerReader(path)) as reader:
        ledger.begin("a.tif", ONE)
        assert reader.finished() == {}
        ledger.finish("a.tif", "failed", kind="axes")
        ledger.begin("b.tif", TWO)
        ledger.finish("b.tif", "done")
        assert reader.finished() == {"a.tif": ONE, "b.tif": TWO}
        ledger.retry()
        assert reader.finished() == {"b.tif": TWO}


def test_retry_takes_failed_and_quarantined_files_only(ledger: Ledger) -> None:
    """What is done stays done; the others are pending, without attempts."""
    for name, state in (("ok.tif", "done"), ("bad.tif", "failed"), ("bomb.tif", "quarantined")):
        ledger.begin(name, ONE)
        ledger.finish(name, state)  # type: ignore[arg-type]
    ledger.begin("bomb.tif", ONE)

    assert {entry.path for entry in ledger.retry()} == {"bad.tif", "bomb.tif"}
    assert ledger.counts() == {"pending": 2, "done": 1, "failed": 0, "quarantined": 0}
    bomb = ledger.entry("bomb.tif")
    assert bomb is not None
    assert bomb.attempts == 0


MINE, OTHER = Model("my", "2.0", "ab" * 32), Model("demo", "", "cd" * 32)


def test_results_are_counted_by_model(path: Path, ledger: Ledger) -> None:
    """Another program's query agrees; an error has none, one that left a result where it was has that."""
    for name, model in (("a", MINE), ("b", OTHER), ("c", OTHER), ("d", None)):
        ledger.begin(name, ONE)
        ledger.finish(name, "done", model=model, files=5)
    ledger.begin("bad", ONE)
    ledger.finish("bad", "failed")
    ledger.begin("kept", ONE)
    ledger.finish("kept", "failed", model=MINE, files=2)
    ledger.begin("new", ONE)

    assert [(found.model, found.results) for found in ledger.models()] == [
        (MINE, 2),
        (OTHER, 2),
        (UNKNOWN, 1),
    ]
    query = "SELECT model, count(*) FROM entries WHERE path NOT IN (x'626164', x'6e6577') GROUP BY model"
    assert set(rows(path, query)) == {(MINE.sha256, 2), (OTHER.sha256, 2), ("", 1)}
    entry = ledger.entry("kept")
    assert entry is not None
    assert (entry.model, entry.files) == (MINE.sha256, 2)
    ledger.finish("kept", "failed")
    assert ledger.models()[0].model == OTHER


def test_each_bundle_has_its_own_entries(path: Path, ledger: Ledger) -> None:
    """Of one file and one ledger; the files of all are counted once, and pending until each has answered."""
    nuclei = ledger.of("nuclei")
    for name in ("a.tif", "b.tif", "c.tif"):
        ledger.begin(name, ONE)
        ledger.finish(name, "done", model=MINE)
    nuclei.begin("a.tif", ONE)
    nuclei.finish("a.tif", "failed", kind="axes")
    nuclei.begin("b.tif", TWO)
    nuclei.finish("b.tif", "done", model=OTHER)
    assert ledger.counts() == {"pending": 0, "done": 3, "failed": 0, "quarantined": 0}
    assert nuclei.counts() == {"pending": 0, "done": 1, "failed": 1, "quarantined": 0}
    assert ledger.counts_of_all(["", "nuclei"]) == {"pending": 1, "done": 1, "failed": 1, "quarantined": 0}
    assert ledger.finished_by_all(["", "nuclei"]) == {"a.tif": ONE}, "b.tif is another state of it"
    assert [found.model for found in ledger.models()] == [MINE]
    assert [found.model for found in nuclei.models()] == [OTHER]
    assert nuclei.begin("c.tif", ONE) == 1
    nuclei.forget("c.tif")
    assert [entry.slot for entry in nuclei.want(Replace.STALE, MINE.sha256)] == ["nuclei", "nuclei"]
    assert [entry.path for entry in nuclei.retry()] == ["a.tif"]
    kept = ledger.entry("c.tif")
    assert kept is not None
    assert (kept.state, kept.wanted, ledger.wanted()) == ("done", "", [])
    assert rows(path, "SELECT count(*) FROM entries") == [(5,)]


def test_which_bundles_judge_is_remembered(path: Path, ledger: Ledger) -> None:
    """One alone is nothing to be written; what nobody can have written is none."""
    ledger.note_slots([""])
    assert rows(path, "SELECT count(*) FROM meta") == [(0,)]
    assert ledger.slots == [""]
    ledger.note_slots(["", "nuclei"])
    ledger.of("nuclei").note_labels()
    ledger.close()
    with closing(LedgerReader(path)) as reader:
        assert (reader.slots, reader.labelled) == (["", "nuclei"], ["nuclei"])
    for told in ("[1]", "{", '["a/b"]', '["' + "x" * 200 + '"]'):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE meta SET value = ?", (told,))
        with closing(LedgerReader(path)) as reader:
            assert (reader.slots, reader.labelled) == ([""], [])


THIRD = """
CREATE TABLE entries (
    path BLOB NOT NULL PRIMARY KEY, signature TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    recheck_s REAL, kind TEXT NOT NULL DEFAULT '', words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '', files INTEGER NOT NULL DEFAULT 0, wanted TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX states ON entries (state);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO entries VALUES (x'612e746966', '7:1:2:3', 'done', 0, NULL, '', 'control, score 90.0', 'ab', 1,
    '2026-11-20T12:00:00.000+00:00', 'MODEL', 5, '');
INSERT INTO entries VALUES (x'622e746966', '8:1:2:3', 'failed', 0, NULL, 'axes', 'no axes', '', 0,
    '2026-11-20T12:00:01.000+00:00', '', 0, 'stale');
PRAGMA user_version = 3;
""".replace("MODEL", "ab" * 32)
"""A ledger of the third version, which knew of one bundle."""


def test_a_ledger_of_one_bundle_is_that_of_the_first(path: Path) -> None:
    """Who only reads it sees it so; a daemon takes it over with all that it knows."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {THIRD}")
    before = path.read_bytes()
    known = {"a.tif": Signature(7, 1, 2, 3), "b.tif": Signature(8, 1, 2, 3)}
    with closing(LedgerReader(path)) as reader:
        assert (reader.slots, reader.finished(), reader.of("nuclei").finished()) == ([""], known, {})
        assert [entry.path for entry in reader.in_state("failed")] == ["b.tif"]
    assert path.read_bytes() == before
    with closing(Ledger(path)) as ledger:
        assert (ledger.set_aside, ledger.dropped, ledger.finished()) == (None, 0, known)
        entry = ledger.entry("a.tif")
        assert entry is not None
        assert (entry.slot, entry.model, entry.files, entry.words) == (
            "",
            "ab" * 32,
            5,
            "control, score 90.0",
        )
        assert [entry.path for entry in ledger.wanted()] == ["b.tif"]
        ledger.of("nuclei").begin("a.tif", Signature(7, 1, 2, 3))
    assert rows(path, "SELECT slot, state FROM entries WHERE path = x'612e746966'") == [
        ("", "done"),
        ("nuclei", "pending"),
    ]
    assert rows(path, "PRAGMA user_version") == [(4,)]


FIRST = """
CREATE TABLE entries (
    path BLOB NOT NULL, image TEXT NOT NULL DEFAULT '', signature TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, recheck_s REAL, kind TEXT NOT NULL DEFAULT '', words TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '', revision INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL DEFAULT '',
    change INTEGER NOT NULL, PRIMARY KEY (path, image)
) WITHOUT ROWID;
CREATE INDEX states ON entries (state);
CREATE INDEX changes ON entries (change);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO entries VALUES (x'612e746966', '', '7:1:2:3', 'done', 0, NULL, '', 'control, score 90.0', 'ab', 1,
    '2026-11-20T12:00:00.000+00:00', 1);
INSERT INTO entries VALUES (x'622e746966', '', '8:1:2:3', 'failed', 0, NULL, 'axes', 'no axes', '', 0,
    '2026-11-20T12:00:01.000+00:00', 2);
INSERT INTO entries VALUES (x'632e746966', '', 'none of ours', 'done', 0, NULL, '', '', '', 0, '', 3);
INSERT INTO meta VALUES ('mount', '{"point": "/data", "kind": "ext4", "source": "/dev/sda1", "inside": "/"}');
PRAGMA user_version = 1;
"""
"""A ledger as colvi-edge 0.1.0 wrote it, with an entry that it did not."""


def of_the_first_version(path: Path) -> None:
    """Write a ledger of 0.1.0."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {FIRST}")


def test_a_ledger_of_the_first_version_is_taken_over(path: Path) -> None:
    """With all that it knows, and what it does not is not known; what nobody wrote is dropped, as ever."""
    of_the_first_version(path)
    with closing(Ledger(path)) as ledger:
        assert (ledger.set_aside, ledger.dropped) == (None, 1)
        assert ledger.finished() == {"a.tif": Signature(7, 1, 2, 3), "b.tif": Signature(8, 1, 2, 3)}
        assert ledger.mount == Mount(point="/data", kind="ext4", source="/dev/sda1", inside="/")
        assert [(found.model, found.results) for found in ledger.models()] == [(UNKNOWN, 1)]
        ledger.begin("a.tif", Signature(7, 1, 2, 3))
        ledger.finish("a.tif", "done", model=MINE, files=5)
    with closing(Ledger(path)) as again:
        assert again.set_aside is None
        assert again.models()[0].model == MINE
    assert rows(path, "PRAGMA user_version") == [(4,)]


@pytest.mark.parametrize(
    ("words", "kind"), [("rejected: out of focus", "rejected"), ("control, score 98", ""), ("", "")]
)
def test_rejected_images_of_earlier_versions_are_known_as_such(path: Path, words: str, kind: str) -> None:
    """Those versions told them by their words alone."""
    of_the_first_version(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET kind = '', words = ? WHERE path = ?", (words, b"a.tif"))
    with closing(Ledger(path)) as ledger:
        entry = ledger.entry("a.tif")
        assert entry
        assert (entry.state, entry.kind, entry.words) == ("done", kind, words)


def test_a_ledger_of_the_first_version_is_read(path: Path) -> None:
    """By `colvi-edge status` after an update, before the daemon was started again: nothing is written."""
    of_the_first_version(path)
    before = path.read_bytes()
    with closing(LedgerReader(path)) as reader:
        assert reader.counts() == {"pending": 0, "done": 2, "failed": 1, "quarantined": 0}
        assert [entry.path for entry in reader.in_state("failed")] == ["b.tif"]
        assert [(found.model, found.results) for found in reader.models()] == [(UNKNOWN, 2)]
        assert reader.wanted_count() == 0
        assert reader.finished()["a.tif"] == Signature(7, 1, 2, 3)

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE entries ADD COLUMN model TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE models (sha256, name, version)",
        "PRAGMA user_version = 2",
        "PRAGMA user_version = 3",
        "PRAGMA user_version = 4",
        "PRAGMA user_version = 5",
        "PRAGMA user_version = -1",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    ],
)
def test_what_only_looks_like_the_first_version_is_set_aside(path: Path, change: str) -> None:
    """It is not written to."""
    of_the_first_version(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
    with closing(Ledger(path)) as ledger:
        assert ledger.set_aside is not None
        assert ledger.begin("a.tif", ONE) == 1


def test_names_of_models_that_nobody_wrote_are_none(path: Path, ledger: Ledger) -> None:
    """The results count; how their model is called is not known until one more is written."""
    ledger.begin("a.tif", ONE)
    ledger.finish("a.tif", "done", model=MINE)
    ledger.close()
    for column, value in (("name", "x" * 257), ("version", b"\xff"), ("name", "\x1b[2J")):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE models SET {column} = ?", (value,))  # noqa: S608 - ours
        with closing(LedgerReader(path)) as reader:
            assert [found.model for found in reader.models()] == [Model("", "", MINE.sha256)]
        with closing(Ledger(path)) as again:
            again.begin("b.tif", ONE)
            again.finish("b.tif", "done", model=MINE)
            assert again.models()[0].model == MINE


def test_the_mount_is_remembered(path: Path, ledger: Ledger) -> None:
    """Over restarts, with whatever characters a mount point has."""
    mount = Mount(point="/mnt/sc\\040ope", kind="cifs", source="//pc/\udce9", inside="/")
    assert ledger.mount is None
    ledger.mount = mount
    ledger.close()

    again = Ledger(path)
    assert again.mount == mount
    again.close()


def test_the_mount_of_the_results_is_remembered_for_their_folder(path: Path, ledger: Ledger) -> None:
    """Of the last folder only: what an operator names anew was never seen."""
    mount = Mount(point="/mnt/\udcfc", kind="cifs", source="//server/results", inside="/")
    assert ledger.results_mount("/mnt/\udcfc/a") is None
    ledger.note_results_mount("/mnt/\udcfc/a", mount)
    ledger.close()

    again = Ledger(path)
    assert again.results_mount("/mnt/\udcfc/a") == mount
    assert again.results_mount("/mnt/b") is None
    assert again.mount is None
    again.note_results_mount("/mnt/b", mount)
    assert again.results_mount("/mnt/\udcfc/a") is None
    again.close()


def test_the_last_success_is_that_of_a_sidecar(ledger: Ledger) -> None:
    """An error record is none."""
    ledger.begin("a.tif", ONE)
    ledger.finish("a.tif", "failed")
    assert ledger.last_done_at() == ""
    ledger.finish("a.tif", "done")

    assert ledger.last_done_at().endswith("+00:00")


@pytest.mark.parametrize("damage", ["head", "middle", "text", "version"])
def test_a_damaged_ledger_is_set_aside(path: Path, damage: str) -> None:
    """It is kept under another name for who wants to look; an empty one takes its place."""
    ledger = Ledger(path)
    ledger._connection.execute("BEGIN")  # one commit for all is quicker
    for number in range(2000):
        ledger.begin(f"folder/image{number}.tif", ONE)
    ledger._connection.execute("COMMIT")
    ledger.close()
    data = bytearray(path.read_bytes())
    if damage == "head":
        data[:16] = bytes(16)
    elif damage == "middle":
        data[8192:16384] = b"\xa5" * 8192
    elif damage == "text":
        data[:] = b"this is no database, and never was one. " * 100
    else:
        data[60:64] = (99).to_bytes(4, "big")  # user_version
    path.write_bytes(data)

    ledger = Ledger(path)

    assert ledger.set_aside is not None
    assert ledger.set_aside.read_bytes() == bytes(data)
    assert ledger.counts()["pending"] == 0
    assert ledger.begin("a.tif", ONE) == 1
    ledger.close()


def test_a_sound_ledger_is_not_set_aside(path: Path, ledger: Ledger) -> None:
    """Also when its last owner was killed, and left a log to be taken in."""
    ledger.begin("a.tif", ONE)
    copied = path.parent / "copy"
    copied.mkdir()
    for part in path.parent.glob("ledger.sqlite*"):
        shutil.copy(part, copied)

    copy = Ledger(copied / path.name)

    assert copy.set_aside is None
    assert copy.begin("a.tif", ONE) == 2
    copy.close()


def test_a_ledger_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """Not a traceback: a folder of that name, or a path that is not there."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"folder cannot be opened: .*; make room or check its permissions"):
        Ledger(tmp_path / "folder")
    with pytest.raises(OutputError, match="cannot be read"):
        LedgerReader(tmp_path / "missing.sqlite")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may only read")
def test_who_may_only_read_reads() -> None:
    """`colvi-edge status` is asked by other users, while the daemon runs and while it does not."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from colvi_edge.watch.ledger.reader import LedgerReader\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(LedgerReader(Path(sys.argv[1])).counts()['done'])\n"
    )

    def asked(path: Path) -> str:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o755)
        path = Path(folder) / "ledger.sqlite"
        ledger = Ledger(path)
        ledger.begin("a.tif", ONE)
        ledger.finish("a.tif", "done")

        assert asked(path) == "1"
        ledger.close()
        assert asked(path) == "1"
