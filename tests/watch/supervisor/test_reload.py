"""Bundles that come while the daemon runs: good ones, bad ones, two at once, and copies that are damaged."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.watching import wait_until
from tests.watch.fakes.daemon import HERE, SCANNED, Daemon


def test_a_reload_takes_the_new_bundle(daemon: Daemon) -> None:
    """When the old worker has answered what it has; nothing is lost, and systemd is told when it is over."""
    names = ("later1.tif", "later2.tif", "ok.tif")
    daemon.ready(*names)
    wait_until(lambda: daemon.given("later1.tif"))
    (old,) = daemon.children("worker")
    daemon.bundle.write_text("second")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: [note["say"] for note in daemon.log("worker")].count("start") == 2)
    daemon.rounds()
    (daemon.here / "go").touch()
    wait_until(lambda: daemon.heard().count("READY=1") == 2)
    wait_until(lambda: daemon.in_state(*names))

    assert [note["pid"] == old for note in daemon.given(*names)] == [1, 1, 0]
    answered = [
        note for note in daemon.log("worker") if (note["say"], note.get("path")) == ("done", "later2.tif")
    ]
    assert answered[0]["at"] < daemon.given("ok.tif")[0]["at"]
    heard = [text.partition("\nMONOTONIC_USEC=")[0] for text in daemon.heard()]
    told = [text for text in heard if text in ("READY=1", "RELOADING=1")]
    assert told == ["READY=1", "RELOADING=1", "READY=1"]
    assert "Rescan" in [note["say"] for note in daemon.log("scanner")]
    wait_until(lambda: daemon.status()["model"]["model"] == "second")
    wait_until(lambda: old not in daemon.children("worker"))


@pytest.mark.parametrize(("bundle", "why"), [("bad", "SHA256SUMS is missing"), ("crash", "SIGSEGV")])
def test_a_bad_bundle_keeps_the_old_one(daemon: Daemon, bundle: str, why: str) -> None:
    """It is shown until a good one comes; the old worker never stops."""
    (old,) = daemon.children("worker")
    daemon.bundle.write_text(bundle)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload failed" in daemon.ails())
    assert why in daemon.status()["states"][0]["why"]
    wait_until(lambda: daemon.heard().count("READY=1") == 2)
    daemon.ready("ok.tif")
    wait_until(lambda: daemon.in_state("ok.tif"))
    assert daemon.given("ok.tif")[0]["pid"] == old
    assert daemon.status()["model"]["model"] == "first"
    daemon.bundle.write_text("third")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.ails() == [] and daemon.status()["model"]["model"] == "third")


def test_a_kept_copy_that_is_damaged_is_not_the_end(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """The next worker opens what the operator named, as a daemon does that starts."""
    (tmp_path / "bundle").write_text("copied")
    (tmp_path / "copy").write_text("bad")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.ready("crash.tif", then="")
    wait_until(lambda: len([note for note in daemon.log("worker") if note["say"] == "start"]) >= 3)
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    opened = [Path(note["bundle"]).name for note in daemon.log("worker") if note["say"] == "start"]
    assert opened[:3] == ["bundle", "copy", "bundle"]
    wait_until(lambda: daemon.ails() == [])


def test_a_damaged_copy_does_not_bring_a_refused_bundle_into_use(
    start: Callable[..., Daemon], tmp_path: Path
) -> None:
    """After a reload that was refused, workers go on with the copy."""
    (tmp_path / "bundle").write_text("copied")
    (tmp_path / "copy").write_text("first")
    daemon = start()
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    daemon.bundle.write_text("bad")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.ails() == ["reload failed"])
    daemon.ready("crash.tif", "a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))

    opened = [Path(note["bundle"]).name for note in daemon.log("worker") if note["say"] == "start"]
    assert opened[:3] == ["bundle", "bundle", "copy"]
    assert "bundle" not in opened[3:]


def test_that_no_copy_is_kept_is_said_and_tried_again(start: Callable[..., Daemon], tmp_path: Path) -> None:
    """It works on; the next worker that can keep one ends the state."""
    (tmp_path / "bundle").write_text("unkept")
    daemon = start(timings={"keep_again_s": 0.3})
    daemon.scanner(HERE, SCANNED)
    wait_until(daemon.is_ready)
    wait_until(lambda: [s["why"] for s in daemon.status()["states"]] == ["no room for a copy"])
    daemon.ready("a.tif")
    wait_until(lambda: daemon.in_state("a.tif"))
    daemon.bundle.write_text("first")
    wait_until(lambda: daemon.ails() == [])
    count = len(daemon.log("worker"))
    daemon.rounds(8)  # twice the time after which another would try
    assert len(daemon.log("worker")) == count, "workers are replaced for no reason"


def test_two_reloads_end_with_the_last_bundle(daemon: Daemon) -> None:
    """The first one's worker is given up, whatever it was doing."""
    daemon.bundle.write_text("slow")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(daemon.children("worker")) == 2)
    daemon.bundle.write_text("third")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.status()["model"]["model"] == "third")
    wait_until(lambda: len(daemon.children("worker")) == 1)

    assert daemon.ails() == []
