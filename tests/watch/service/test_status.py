"""`colvi-edge status` and `retry`: what an operator reads and does, with and without a daemon."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError, UsageError
from colvi_edge.watch import state_folder
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.share_lock import ShareLock
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import WorkerReady
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.service.lookup import find_state_folder
from colvi_edge.watch.service.paths import Service
from colvi_edge.watch.state_folder import DaemonLock, StateFolder, is_held
from colvi_edge.watch.status_file import (
    Condition,
    Last,
    RefusedStart,
    Status,
    Waiting,
    count_words,
    note_refusal,
    read_status,
    write_status,
)
from tests.tools.asking import tell_retry, tell_status

SIGNATURE = Signature(1, 1, 1, 1)
STATUS = Status(
    folder="/data/scope",
    started="2026-11-21T08:00:00+00:00",
    said="2026-11-21T09:00:00+00:00",
    said_s=0.0,
    ready=True,
    states=[],
    pending=3,
    settling=1,
    waiting=[Waiting("cut.tif", "incomplete", "cut off")],
    last=Last("a.tif", "ok", "control, score 90.0", 41.5, 62.0, 1.7e9, heard=True),
    model=WorkerReady("/copy", "demo", "ab" * 32, "openvino", "fp32", "CPU", "as asked"),
)


class Place:
    """A watched folder with what its daemon left, and a lock as if it ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = StateFolder.of(root)
        self.lock = DaemonLock(self.state.lock)
        assert self.lock.take()
        ledger = Ledger(self.state.ledger)
        for name, state in (("a.tif", "done"), ("=bad\n.tif", "failed"), ("bomb.tif", "quarantined")):
            ledger.begin(name, SIGNATURE)
            ledger.finish(name, state, kind="axes", words=f"what became of {state}")  # type: ignore[arg-type]
        ledger.close()
        self.say()

    def say(self, age_s: float = 0.0, **changes: Any) -> None:
        """Let the daemon have said something a while ago."""
        write_status(self.state.status, replace(STATUS, said_s=time.monotonic() - age_s, **changes))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a folder with a daemon that runs."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "service")
    made = Place(tmp_path / "scope")
    yield made
    made.lock.close()


@pytest.fixture
def shown(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str, dict[str, Any]]]:
    """Return a function that gives the exit code, the text and the JSON of a status."""

    def show() -> tuple[int, str, dict[str, Any]]:
        code = tell_status(place.root, as_json=False)
        text = capsys.readouterr().out
        assert tell_status(place.root, as_json=True) == code
        return code, text, json.loads(capsys.readouterr().out)

    return show


def test_a_daemon_that_is_well(shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place) -> None:
    """Counts, what failed and why, what waits and why, the last result; exit code 0."""
    code, text, plain = shown()

    assert code == 0
    assert f"{place.root}: watching since 2026-11-21 08:00:00 UTC" in text
    assert "1 done, 1 error, 1 quarantined, 3 pending, 1 settling" in text
    for words in (
        r"=bad\n.tif",
        "what became of failed",
        "bomb.tif",
        "what became of quarantined",
        "cut off",
    ):
        assert words in text
    assert "last: a.tif: control, score 90.0, at 2023-11-14 22:13:20 UTC, 62 ms after its close" in text
    assert plain["running"] is True
    assert plain["files"] == {"done": 1, "failed": 1, "quarantined": 1, "pending": 3, "settling": 1}
    assert [entry["path"] for entry in plain["failed"]] == [r"=bad\n.tif"]
    assert [entry["words"] for entry in plain["quarantined"]] == ["what became of quarantined"]
    assert plain["waiting"] == [{"path": "cut.tif", "kind": "incomplete", "words": "cut off"}]
    assert plain["last"]["latency_ms"] == 62.0


@pytest.mark.parametrize("latency_ms", [62.0, None])
def test_a_file_that_was_not_heard_has_no_time_since_its_close(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place, latency_ms: float | None
) -> None:
    """It was found by a scan, is judged again, or was the last of an earlier daemon."""
    place.say(last=Last("a.tif", "ok", "control, score 90.0", None, latency_ms, 1.7e9))
    _, text, plain = shown()

    assert "last: a.tif: control, score 90.0, at 2023-11-14 22:13:20 UTC\n" in text
    assert plain["last"]["latency_ms"] == latency_ms


def test_what_is_looked_at_again_is_said_apart(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """It has an answer, by which it is counted."""
    place.say(pending=3, repeated=1, settling=1, settled_before=1)
    _, text, plain = shown()

    assert "1 done, 1 error, 1 quarantined, 2 pending (2 of them are looked at again)\n" in text
    assert plain["files"] == {"done": 1, "failed": 1, "quarantined": 1, "pending": 2, "settling": 0}
    place.say(pending=5, settling=0, answered=1)  # two of them got an answer since
    assert shown()[2]["files"] == {"done": 1, "failed": 1, "quarantined": 1, "pending": 3, "settling": 0}
    place.say(pending=1, settling=0, answered=1)
    assert shown()[2]["files"]["pending"] == 0


def test_files_of_other_formats_are_told(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """A line for each format, with what to do; the daemon itself is well."""
    assert "not read here" not in shown()[1]
    place.say(not_read={".nd2": 3, ".czi": 1})
    code, text, plain = shown()

    assert code == 0
    assert "3 .nd2 files are not read here; export them as TIFF" in text
    assert "1 .czi file is not read here; export it as TIFF" in text
    assert plain["not_read"] == {".nd2": 3, ".czi": 1}


def test_what_ails_it_is_shown(shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place) -> None:
    """Each state with its reason and since when; exit code 7, for scripts."""
    place.say(states=[Condition("share away", "//pc/scope is not mounted", "2026-11-21T08:30:00+00:00")])
    code, text, plain = shown()

    assert code == 7
    assert "share away since 2026-11-21 08:30:00 UTC: //pc/scope is not mounted" in text
    assert plain["states"][0]["name"] == "share away"


def test_a_folder_that_a_state_is_about_is_shown(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """By its path, which the words of the state do not have; and as it can be printed."""
    since = "2026-11-21T08:30:00+00:00"
    words = "folder 3f2a is closed to the user of this daemon"
    place.say(states=[Condition("folder not readable", words, since, "day\x1b[2J 1")])
    code, text, plain = shown()

    assert code == 7
    assert f"folder not readable since 2026-11-21 08:30:00 UTC: {words}" in text
    assert rf"{place.root}/day\x1b[2J 1" in text
    assert plain["states"][0]["folder"] == "day\x1b[2J 1"


def test_a_daemon_that_does_not_run(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """The lock is free, whatever status.json says; its last word is dated."""
    place.lock.close()
    place.lock = DaemonLock(place.state.lock)
    code, text, plain = shown()

    assert code == 7
    assert "the daemon is not running; its last word was at 2026-11-21 09:00:00 UTC" in text
    assert plain["running"] is False
    assert plain["silent_s"] > 86400


@pytest.mark.parametrize(("age_s", "silent"), [(25, False), (35, True)])
def test_a_daemon_that_says_nothing(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place, age_s: float, silent: bool
) -> None:
    """A word older than 30 s is no status."""
    place.say(age_s=age_s)
    code, text, plain = shown()

    assert code == (7 if silent else 0)
    assert ("has said nothing for 35 s" in text) == silent
    assert plain["silent_s"] == pytest.approx(age_s, abs=2)


def test_a_status_of_another_version_is_none(place: Place, shown: Callable[[], Any]) -> None:
    """After an update, before the daemon was started again, or after a power cut."""
    for text in ("", "{}", '{"states": []}', "null", "[]", '{"states": [], "waiting": [], "news": 1}'):
        place.state.status.write_text(text)
        assert read_status(place.state.status) is None

    assert shown()[0] == 7


def test_a_status_is_read_as_it_was_written(place: Place) -> None:
    """Also with names that are not UTF-8."""
    status = replace(STATUS, waiting=[Waiting("caf\udce9", "output", "no")], last=None, model=None)
    write_status(place.state.status, status)

    assert read_status(place.state.status) == status


def test_a_folder_that_was_never_watched(place: Place, tmp_path: Path) -> None:
    """The sentence says where a state was expected, and how one begins."""
    (tmp_path / "other").mkdir()
    with pytest.raises(
        UsageError, match=r"other was never watched .*state or .*service; start with"
    ) as error:
        tell_status(tmp_path / "other", as_json=False)

    assert str(error.value).count(str(tmp_path)) == 4
    assert str(error.value).endswith(f"start with: colvi-edge watch {tmp_path}/other --bundle BUNDLE")


def test_a_service_that_was_not_started_yet(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is begun as a service, by its name as systemd and a shell take it."""
    (tmp_path / "a folder").mkdir()
    name = Service(tmp_path / "a folder").name
    (tmp_path / f"system/etc/systemd/system/{name}.d").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        find_state_folder(Path("a folder"), tmp_path / "system")

    assert str(error.value).endswith(
        f"start with: sudo systemctl enable --now '{name.removesuffix('.service')}'"
    )


def test_a_daemon_whose_state_was_removed_runs_all_the_same(place: Place, tmp_path: Path) -> None:
    """Its lock in the watched folder shows that it lives, also when nothing else does."""
    place.root.mkdir()
    shutil.rmtree(place.state.path)
    with pytest.raises(UsageError, match="was never watched"):
        find_state_folder(place.root)
    with PinnedFolder(place.root) as pinned:
        lock = ShareLock(pinned)
        with pytest.raises(
            OutputError, match=r"^a daemon watches .*scope, but what it keeps is not in .*state"
        ):
            find_state_folder(place.root)
        lock.close()
    with pytest.raises(UsageError, match="was never watched"):
        find_state_folder(place.root)


def test_a_ledger_that_is_made_anew_hides_nothing_else(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """What the daemon says of itself is shown; without a daemon that says so, it is an error."""
    place.state.ledger.unlink()
    with pytest.raises(OutputError, match="cannot be read"):
        tell_status(place.root, as_json=False)
    place.say(states=[Condition("ledger", "ledger.sqlite is gone", "2026-11-20T12:00:00+00:00")])

    code, text, plain = shown()
    assert code == 7
    assert "ledger.sqlite is gone" in text
    assert [state["why"] for state in plain["states"]] == ["ledger.sqlite is gone"]
    assert "done" not in plain["files"]
    place.lock.close()
    with pytest.raises(OutputError, match="cannot be read"):
        tell_status(place.root, as_json=False)
    place.lock = DaemonLock(place.state.lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("size=8m", ""),
        ("size=8m,ro", "the disk of the state folder is read-only; make it writable"),
        ("size=4k", "the disk of the state folder is full; make room there"),
        ("size=8m,nr_inodes=2", "the disk of the state folder is full; make room there"),
    ],
)
def test_a_disk_that_lets_the_daemon_say_nothing_is_told(
    shown: Callable[[], tuple[int, str, dict[str, Any]]],
    place: Place,
    options: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """By who asks, at once: the daemon's own word would be silence, after half a minute."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    try:
        with contextlib.suppress(OSError):
            (disk / "ballast").write_bytes(bytes(4096))
        asked, statvfs = place.state.path, os.statvfs
        monkeypatch.setattr(os, "statvfs", lambda path: statvfs(disk if path == asked else path))
        code, text, plain = shown()
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert [state["why"] for state in plain["states"]] == [words] * bool(words)
    assert code == (7 if words else 0)
    assert words in text


def test_the_state_of_the_service_is_found(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks has another state directory than the service; the one that runs counts."""
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "state")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "mine"))
    assert tell_status(place.root, as_json=False) == 0
    StateFolder.of(place.root)
    mine = StateFolder.of(place.root)
    DaemonLock(mine.lock).close()
    assert mine.path.is_relative_to(tmp_path / "mine")

    assert find_state_folder(place.root).path == place.state.path
    place.lock.close()
    assert find_state_folder(place.root).path == mine.path
    place.lock = DaemonLock(place.state.lock)
    capsys.readouterr()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not look")
def test_what_may_not_be_read_is_a_sentence(place: Place) -> None:
    """For another user than the service's: who to ask as, and no traceback."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from colvi_edge.watch.service.retry import retry\n"
        "from colvi_edge.watch.service.status import gather_status\n"
        "from colvi_edge.errors import OutputError\n"
        "from colvi_edge.watch import state_folder\n"
        "state_folder.SERVICE_STATE = Path(sys.argv[2])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for command in (gather_status, retry):\n"
        "    try:\n"
        "        command(Path(sys.argv[1]))\n"
        "    except OutputError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, str(place.root), str(place.state.path.parents[1])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.count("Permission denied; ask as root, or as the user of the service") == 2


def test_a_folder_that_is_not_there(place: Place, tmp_path: Path) -> None:
    """Is not called one that nobody watches; one that was watched is away, and has its status."""
    wrong = tmp_path / "scpoe"
    asks: tuple[Callable[[], int], ...] = (
        lambda: tell_status(wrong, as_json=False),
        lambda: tell_retry(wrong),
    )
    for ask in asks:
        with pytest.raises(UsageError, match=r"scpoe does not exist, and nothing .*; check the name"):
            ask()

    assert not place.root.exists()
    assert tell_status(place.root, as_json=False) == 0


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"end": "finished", "judged": 9}, 0, "finished at 2026-11-21 09:00:00 UTC, judged 9 files\n"),
        ({"end": "finished", "judged": 1}, 0, "finished at 2026-11-21 09:00:00 UTC, judged 1 file\n"),
        ({"end": "finished", "judged": 2, "errors": 1}, 0, "09:00:00 UTC, judged 2 files, 1 error\n"),
        ({"end": "finished", "errors": 2}, 0, "09:00:00 UTC, 2 errors\n"),
        ({"end": "finished"}, 0, "finished at 2026-11-21 09:00:00 UTC, nothing was to be judged\n"),
        ({"end": "finished", "judged": 2, "pending": 1}, 7, "09:00:00 UTC, judged 2 files, 1 left\n"),
        ({"end": "finished", "states": [Condition("share away", "gone", "")]}, 7, "share away"),
        (
            {"end": "finished", "looked": False},
            7,
            "ended without having looked at the folder at 2026-11-21 09:00:00 UTC\n",
        ),
        ({"end": "stopped"}, 7, "--once was interrupted; it was stopped at 2026-11-21 09:00:00 UTC\n"),
        ({}, 7, "--once was interrupted; its last word was at 2026-11-21 09:00:00 UTC\n"),
        ({"once": False, "end": "stopped"}, 7, "the daemon is not running; it was stopped at 2026-11-21"),
    ],
)
def test_what_runs_no_more(
    shown: Callable[[], tuple[int, str, dict[str, Any]]],
    place: Place,
    said: dict[str, Any],
    code: int,
    words: str,
) -> None:
    """What was to end and did is well; what ended before, or with something wrong, is not."""
    place.say(**{"once": True, "pending": 0, "settling": 0, **said})
    place.lock.close()
    found, text, plain = shown()
    place.lock = DaemonLock(place.state.lock)

    assert found == code
    assert words in text
    assert (plain["running"], plain["end"]) == (False, said.get("end", ""))


def test_a_start_that_failed(shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place) -> None:
    """Its sentence is told with what was before, also while the next start is under way; code 7."""
    finished: dict[str, Any] = {"once": True, "pending": 0, "settling": 0, "end": "finished", "judged": 2}
    why = "found no bundle at /nob\x1b[2J; check the path"
    place.say(**finished)
    said = read_status(place.state.status)
    assert said
    note_refusal(place.state.status, said, why)
    place.lock.close()
    code, text, plain = shown()
    place.lock = DaemonLock(place.state.lock)
    assert code == 7
    at = plain["refused"]["at"][:19].replace("T", " ")
    assert text.startswith(
        f"{place.root}: could not start at {at} UTC: found no bundle at /nob\\x1b[2J; check the path\n"
        "before that: finished at 2026-11-21 09:00:00 UTC, judged 2 files\n"
    )
    assert "model: demo on openvino fp32" in text

    assert place.lock.take()
    place.say(ready=False, refused=RefusedStart("no bundle", "2026-11-21T07:59:00+00:00"))
    code, text, _ = shown()
    assert code == 7
    assert "starting since" in text
    assert "could not start at 2026-11-21 07:59:00 UTC: no bundle\n" in text


def test_no_files_yet(tmp_path: Path, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """In place of five zeros."""
    empty = Place(tmp_path / "empty")
    for part in empty.state.path.glob("ledger*"):
        part.unlink()
    Ledger(empty.state.ledger).close()
    empty.say(pending=0, settling=0, waiting=[], last=None)

    assert tell_status(empty.root, as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[1] == "no files yet"
    empty.lock.close()


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"done": 0, "failed": 0, "pending": 0}, "no files yet"),
        (
            {"done": 12_345, "failed": 1, "quarantined": 1, "pending": 0},
            "12,345 done, 1 error, 1 quarantined",
        ),
        ({"done": 0, "failed": 2, "pending": 3}, "2 errors, 3 pending"),
    ],
)
def test_counts_in_words(counts: dict[str, int], words: str) -> None:
    """Without what there is none of, and with the right plural."""
    assert count_words(counts) == words


MINE = STATUS.model.judge if STATUS.model else UNKNOWN
OLD = Model("demo", "0.9", "cd" * 32)
SAME_NAME = Model("demo", "", "ef" * 32)


def roll_out(place: Place, results: dict[Model | None, int], wanted: bool = False) -> None:
    """Let so many results be of which model, in a ledger made anew."""
    for part in place.state.path.glob("ledger*"):
        part.unlink()
    with contextlib.closing(Ledger(place.state.ledger)) as ledger:
        for number, model in enumerate(Counter(results).elements()):
            ledger.begin(f"{number}.tif", SIGNATURE)
            ledger.finish(f"{number}.tif", "done", model=model)
        if wanted:
            ledger.want(Replace.STALE, MINE.sha256)


def test_results_are_counted_by_model(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """What judges now is first, though it has fewer; the others stay, and a line of its own says the way."""
    roll_out(place, {MINE: 1, OLD: 3, None: 2})
    code, text, plain = shown()

    assert code == 0
    assert (
        "1 result of demo (current)\n3 results of demo 0.9\n2 results of a model that is not known\n" in text
    )
    assert (
        f"what demo did not judge stays; to have it judged, too:\n    colvi-edge retry {place.root} --stale\n"
        in text
    )
    assert plain["models"] == [
        {"name": "demo", "version": "", "sha256": "ab" * 32, "results": 1, "current": True},
        {"name": "demo", "version": "0.9", "sha256": "cd" * 32, "results": 3, "current": False},
        {"name": "", "version": "", "sha256": "", "results": 2, "current": False},
    ]
    assert plain["again"] == 0


def test_the_progress_of_a_roll_out(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """How many are left; models of one name are told apart by their hash. One alone is not worth a line."""
    roll_out(place, {SAME_NAME: 2}, wanted=True)
    _, text, plain = shown()

    assert "0 results of demo (abababab) (current)\n2 results of demo (efefefef)\n" in text
    assert "2 results still to be judged again\n" in text
    assert "--stale" not in text
    assert plain["again"] == 2
    roll_out(place, {MINE: 4})
    assert "results of" not in shown()[1]


def test_retry_leaves_word(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """For a daemon that runs, and for one that will; it says how many files it is about."""
    assert tell_retry(place.root) == 0
    assert capsys.readouterr().out == "1 error and 1 quarantined file: diagnosed again now\n"
    assert place.state.wanted_again() is Replace.OWN
    place.lock.close()
    tell_retry(place.root)
    assert capsys.readouterr().out == (
        "1 error and 1 quarantined file: diagnosed again when the daemon runs again\n"
    )
    place.lock = DaemonLock(place.state.lock)


def test_retry_of_results(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Which are meant is said; a request that was not taken up yet is not weakened by the next."""
    roll_out(place, {MINE: 1, OLD: 3})
    tell_retry(place.root, Replace.STALE)
    assert capsys.readouterr().out == "3 results of demo 0.9: diagnosed again now\n"
    assert place.state.wanted_again() is Replace.STALE
    tell_retry(place.root, Replace.ALL)
    assert capsys.readouterr().out == "3 results of demo 0.9 and 1 result of demo: diagnosed again now\n"
    tell_retry(place.root, Replace.STALE)
    assert place.state.wanted_again() is Replace.ALL
    assert place.state.retry.stat().st_mode & 0o777 == 0o644
    capsys.readouterr()
    place.lock.close()
    tell_retry(place.root, Replace.STALE)
    assert capsys.readouterr().out == (
        "the results of other models: diagnosed again when the daemon runs again\n"
    )
    place.lock = DaemonLock(place.state.lock)


def test_a_request_that_waits_is_told(
    place: Place,
    shown: Callable[[], tuple[int, str, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Until a daemon takes it up, in place of the command that made it; with nothing stale it is no news."""
    roll_out(place, {MINE: 1, OLD: 3})
    place.lock.close()
    tell_retry(place.root, Replace.STALE)
    capsys.readouterr()
    _, text, _ = shown()
    assert "3 results are to be judged again when the daemon runs\n" in text
    assert "--stale" not in text
    tell_retry(place.root, Replace.ALL)
    capsys.readouterr()
    assert "4 results are to be judged again when the daemon runs\n" in shown()[1]

    place.state.retry.unlink()
    roll_out(place, {MINE: 1})
    tell_retry(place.root, Replace.STALE)
    assert capsys.readouterr().out == (
        "nothing is of another model than demo; with another bundle all is diagnosed again when the daemon "
        "runs again\n"
    )
    assert place.state.wanted_again() is Replace.STALE
    assert "again" not in shown()[1]
    place.lock = DaemonLock(place.state.lock)


def test_retry_of_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Is said, and leaves no word; what only waits is tried at once."""
    roll_out(place, {MINE: 1})
    place.say(waiting=[])
    for anew, words in (
        (Replace.OWN, "nothing failed; nothing is diagnosed again\n"),
        (Replace.STALE, "nothing failed, and nothing is of another model; nothing is diagnosed again\n"),
    ):
        assert tell_retry(place.root, anew) == 0
        assert capsys.readouterr().out == words
        assert not place.state.retry.exists()
    place.say()
    tell_retry(place.root)
    assert capsys.readouterr().out == "nothing failed; what waits is tried at once\n"
    assert place.state.retry.exists()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (b"", Replace.OWN),
        (b"stale\n", Replace.STALE),
        (b"all\n", Replace.ALL),
        (b"ALL", Replace.OWN),
        (b"\xff\x00", Replace.OWN),
    ],
)
def test_whatever_stands_in_a_request(place: Place, words: bytes, wanted: Replace) -> None:
    """An empty one is of an earlier version; what is none of ours asks for the least."""
    place.state.retry.write_bytes(words)
    assert place.state.wanted_again() is wanted


def test_a_flood_of_a_request(place: Place) -> None:
    """Is not read."""
    place.state.retry.write_bytes(b"all" * 1000)
    with pytest.raises(OSError, match="expected at most 16"):
        place.state.wanted_again()


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Until its process ends, however that ends; who asks does not take it."""
    path = tmp_path / "lock"
    first, second = DaemonLock(path), DaemonLock(path)
    assert first.take()
    assert is_held(path)
    assert not second.take()
    assert second.holder() == str(os.getpid())
    first.close()
    assert not is_held(path)
    assert second.take()
    second.close()
    with pytest.raises(OutputError, match="cannot be opened"):
        DaemonLock(tmp_path / "missing" / "lock")


def test_state_folders_differ_as_their_roots_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two roots of one name have two; each is one folder with a harmless name, whatever the root's is."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    names = [
        "/a/scope",
        "/b/scope",
        "/a/M\u00fcller & S\u00f6hne",
        "/a/" + "x" * 255,
        "/",
        "/a/..caf\udce9\n",
        "/a/$(id)",
    ]
    folders = [StateFolder.of(Path(name)).path for name in names]

    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == tmp_path / "watch"
        assert folder.name.isascii()
        assert all(c.isalnum() or c in "._-" for c in folder.name)
        assert len(folder.name) < 60
    assert StateFolder.of(Path("/a/b/../scope/")).path == folders[0]
    monkeypatch.chdir("/")
    assert StateFolder.of(Path("a/scope")).path == folders[0]
