"""`colvi-edge status`: what an operator reads, with and without a daemon."""

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.errors import OutputError
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.state_folder import DaemonLock
from colvi_edge.watch.status_file import (
    Condition,
    Last,
    RefusedStart,
    note_refusal,
    read_status,
)
from tests.tools.asking import tell_status
from tests.tools.watched_folder import MINE, OLD, SAME_NAME, Place, roll_out


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


def test_what_waits_for_a_marker_is_counted(
    shown: Callable[[], tuple[int, str, dict[str, Any]]], place: Place
) -> None:
    """A marker that never comes is seen here; where none is missing, nothing is said of them."""
    place.say(pending=0, settling=0, unmarked=2)
    _, text, plain = shown()

    assert "1 done, 1 error, 1 quarantined, 2 waiting for a marker\n" in text
    assert plain["files"]["unmarked"] == 2
    assert "unmarked" not in plain


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
