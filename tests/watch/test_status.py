"""`colvi-edge status` and `retry`: what an operator reads and does, with and without a daemon."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.watch import state_folder
from colvi_edge.watch.desk import Last
from colvi_edge.watch.ledger import Ledger
from colvi_edge.watch.messages import Signature, Started
from colvi_edge.watch.retry import retry
from colvi_edge.watch.state_folder import Lock, StateFolder, is_held
from colvi_edge.watch.states import State
from colvi_edge.watch.status import Status, Waiting, read_status, show_status, write_status

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
    last=Last("a.tif", "ok", "control, score 90.0", 41.5, 62.0, 1.7e9),
    model=Started("/copy", "demo", "ab" * 32, "openvino", "fp32", "CPU", "as asked"),
)


class Place:
    """A watched folder with what its daemon left, and a lock as if it ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = StateFolder.of(root)
        self.lock = Lock(self.state.lock)
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
        code = show_status(place.root, as_json=False)
        text = capsys.readouterr().out
        assert show_status(place.root, as_json=True) == code
        return code, text, json.loads(capsys.readouterr().out)

    return show


def test_a_daemon_that_is_well(shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place) -> None:
    """Counts, what failed and why, what waits and why, the last result; exit code 0."""
    code, text, plain = shown()

    assert code == 0
    assert f"{place.root}: watching since 2026-11-21 08:00:00 UTC" in text
    assert "1 done, 1 failed, 1 quarantined, 3 pending, 1 settling" in text
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
    """Each state with its reason and since when; exit code 1, for scripts."""
    place.say(states=[State("share away", "//pc/scope is not mounted", "2026-11-21T08:30:00+00:00")])
    code, text, plain = shown()

    assert code == 1
    assert "share away since 2026-11-21 08:30:00 UTC: //pc/scope is not mounted" in text
    assert plain["states"][0]["name"] == "share away"


def test_a_folder_that_a_state_is_about_is_shown(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """By its path, which the words of the state do not have; and as it can be printed."""
    since = "2026-11-21T08:30:00+00:00"
    words = "folder 3f2a is closed to the user of this daemon"
    place.say(states=[State("folder not readable", words, since, "day\x1b[2J 1")])
    code, text, plain = shown()

    assert code == 1
    assert f"folder not readable since 2026-11-21 08:30:00 UTC: {words}" in text
    assert rf"{place.root}/day\x1b[2J 1" in text
    assert plain["states"][0]["folder"] == "day\x1b[2J 1"


def test_a_daemon_that_does_not_run(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """The lock is free, whatever status.json says; its last word is dated."""
    place.lock.close()
    place.lock = Lock(place.state.lock)
    code, text, plain = shown()

    assert code == 1
    assert "the daemon is not running; its last word was at 2026-11-21 09:00:00 UTC" in text
    assert plain["running"] is False


@pytest.mark.parametrize(("age_s", "silent"), [(25, False), (35, True)])
def test_a_daemon_that_says_nothing(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place, age_s: float, silent: bool
) -> None:
    """A word older than 30 s is no status."""
    place.say(age_s=age_s)
    code, text, plain = shown()

    assert code == silent
    assert ("has said nothing for 35 s" in text) == silent
    assert plain["silent_s"] == pytest.approx(age_s, abs=2)


def test_a_status_of_another_version_is_none(place: Place, shown: Callable[[], Any]) -> None:
    """After an update, before the daemon was started again, or after a power cut."""
    for text in ("", "{}", '{"states": []}', "null", "[]", '{"states": [], "waiting": [], "news": 1}'):
        place.state.status.write_text(text)
        assert read_status(place.state.status) is None

    assert shown()[0] == 1


def test_a_status_is_read_as_it_was_written(place: Place) -> None:
    """Also with names that are not UTF-8."""
    status = replace(STATUS, waiting=[Waiting("caf\udce9", "output", "no")], last=None, model=None)
    write_status(place.state.status, status)

    assert read_status(place.state.status) == status


def test_a_folder_that_was_never_watched(place: Place, tmp_path: Path) -> None:
    """The sentence says where a state was expected, and how one begins."""
    with pytest.raises(
        UsageError, match=r"other was never watched .*state or .*service; start with"
    ) as error:
        show_status(tmp_path / "other", as_json=False)

    assert str(error.value).count(str(tmp_path)) == 3


def test_the_state_of_the_service_is_found(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks has another state directory than the service; the one that runs counts."""
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "state")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "mine"))
    assert show_status(place.root, as_json=False) == 0
    StateFolder.of(place.root)
    mine = StateFolder.of(place.root)
    Lock(mine.lock).close()
    assert mine.path.is_relative_to(tmp_path / "mine")

    assert StateFolder.find(place.root).path == place.state.path
    place.lock.close()
    assert StateFolder.find(place.root).path == mine.path
    place.lock = Lock(place.state.lock)
    capsys.readouterr()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not look")
def test_what_may_not_be_read_is_a_sentence(place: Place) -> None:
    """For another user than the service's: who to ask as, and no traceback."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import colvi_edge.watch.status, colvi_edge.watch.retry, colvi_edge.terminal\n"
        "from colvi_edge.errors import OutputError\n"
        "from colvi_edge.watch import state_folder\n"
        "state_folder.SERVICE_STATE = Path(sys.argv[2])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for command in (lambda root: colvi_edge.watch.status.show_status(root, False), "
        "colvi_edge.watch.retry.retry):\n"
        "    try:\n"
        "        command(Path(sys.argv[1]))\n"
        "    except OutputError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, str(place.root), str(place.state.path.parents[1])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.count("Permission denied; ask as root, or as the user of the service") == 2


def test_retry_leaves_word(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """For a daemon that runs, and for one that will; it says how many files it is about."""
    assert retry(place.root) == 0
    assert capsys.readouterr().out == "1 failed and 1 quarantined files are diagnosed again\n"
    assert place.state.retry.exists()
    place.lock.close()
    retry(place.root)
    assert "will, when the daemon runs again, be diagnosed" in capsys.readouterr().out
    place.lock = Lock(place.state.lock)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Until its process ends, however that ends; who asks does not take it."""
    path = tmp_path / "lock"
    first, second = Lock(path), Lock(path)
    assert first.take()
    assert is_held(path)
    assert not second.take()
    assert second.holder() == str(os.getpid())
    first.close()
    assert not is_held(path)
    assert second.take()
    second.close()
    with pytest.raises(OutputError, match="cannot be opened"):
        Lock(tmp_path / "missing" / "lock")


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
