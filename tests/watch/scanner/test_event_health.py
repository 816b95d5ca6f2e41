"""What is thought of file events when they fail, on a made-up clock."""

from colvi_edge.watch.scanner.event_health import EventHealth
from colvi_edge.watch.timings import Timings


def test_one_overflow_is_no_fault() -> None:
    """A scan makes up for it; so do two, and many that are far apart."""
    health = EventHealth(Timings())
    for number in range(20):
        health.overflowed(number * 5.1)

    assert health.listens
    assert not health.fault


def test_many_overflows_end_the_listening() -> None:
    """For a minute, then twice as long each time; once it goes well for a minute, all is forgotten."""
    health = EventHealth(Timings())
    now = 1000.0
    for rest_s in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        for _ in range(3):
            health.overflowed(now)
        assert not health.listens
        assert "max_queued_events" in health.fault
        listens = []
        for at in (now + rest_s - 0.1, now + rest_s):
            health.review(at)
            listens.append(health.listens)
        assert listens == [False, True]
        assert health.fault
        now += rest_s + 1
    health.review(now + 60)
    assert not health.fault
    health.failed(now + 61, "fault")
    health.review(now + 61 + 60)
    assert health.listens


def test_missed_files_ask_for_a_new_stream_now_and_then() -> None:
    """At once, but not again and again; meanwhile that is told, and after a good while no longer."""
    health = EventHealth(Timings())
    renewals = []
    for number in range(600):
        now = 1000.0 + 5 * number
        if health.missed(now):
            renewals.append(now - 1000)
        health.review(now + 1)
        assert "--poll" in health.fault
        assert health.listens

    assert renewals == [0, 60, 180, 420, 900, 1860]
    health.review(now + 3600)
    assert not health.fault
