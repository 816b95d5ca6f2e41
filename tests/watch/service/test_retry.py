"""`colvi-edge retry`: what an operator asks for, with and without a daemon."""

from collections.abc import Callable
from typing import Any

import pytest

from colvi_edge.choices import Replace
from colvi_edge.watch.state_folder import DaemonLock
from tests.tools.asking import tell_retry
from tests.tools.watched_folder import MINE, OLD, Place, roll_out


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
