"""When a file counts as finished: the rules, and writers of many habits on a made-up clock."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady
from colvi_edge.watch.scanner.settling import Settling
from colvi_edge.watch.timings import Timings


def state(number: int, size: int = 1000) -> Signature:
    """Return a signature that differs for each number."""
    return Signature(7, size, number, number)


class Still:
    """A file that does not change, and notes when it is looked at."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def look(self, now: float) -> Signature:
        """Return its state."""
        self.looks.append(now)
        return state(1)


def run(
    settling: Settling, look: Callable[[float], Signature | None], until: float = 100.0
) -> list[tuple[float, FileReady]]:
    """Look whenever a look is due; return what became ready, and when."""
    ready = []
    now = 0.0
    while (now := max(now, settling.wake_at())) <= until:
        candidate = settling.due(now)
        if candidate and (done := settling.looked(candidate, look(now), now)):
            ready.append((now, done))
    return ready


def test_a_closed_file_is_taken_early() -> None:
    """Two looks 20 ms apart, and the time of the event is kept."""
    settling = Settling(Timings(), share=False)
    settling.closed("a.tif", 3.0)

    assert run(settling, lambda now: state(1)) == [(3.02, FileReady("a.tif", state(1), 3.0, True, 2.0))]
    assert len(settling) == 0


@pytest.mark.parametrize("changes_at", [3.01, 3.0199])
def test_a_closed_file_that_changes_waits(changes_at: float) -> None:
    """A state that lasted less than 20 ms is not taken; the quiet time begins with the new one."""
    settling = Settling(Timings(), share=False)
    settling.closed("a.tif", 3.0)
    (when, ready), *rest = run(settling, lambda now: state(1 + (now > changes_at)))

    assert not rest
    assert ready == FileReady("a.tif", state(2), 3.02, False, 2.0)
    assert when == 5.02


def test_an_empty_file_waits() -> None:
    """It may have been closed only to be there; after its quiet time the worker will say that it is empty."""
    settling = Settling(Timings(), share=False)
    settling.closed("a.tif", 0.0)

    assert run(settling, lambda now: state(1, 0)) == [(2.0, FileReady("a.tif", state(1, 0), 0.0, False, 2.0))]


def test_a_file_that_only_appeared_waits_longer() -> None:
    """A copied tree, a hard link, a rename from elsewhere: no close event will come."""
    settling = Settling(Timings(), share=False)
    settling.created("a.tif", 0.0)

    assert run(settling, lambda now: state(1)) == [(5.0, FileReady("a.tif", state(1), 0.0, False, 5.0))]


def test_a_found_file_has_been_looked_at_once() -> None:
    """The scan's own look counts, but not alone."""
    settling = Settling(Timings(), share=False)
    settling.found("a.tif", state(1), 1.0)

    assert run(settling, lambda now: state(1)) == [(6.0, FileReady("a.tif", state(1), 1.0, False, 5.0))]


def test_a_share_is_looked_at_three_times_over_ten_seconds() -> None:
    """Writers are not heard there, and one of the looks may be an old answer of a cache."""
    file = Still()
    settling = Settling(Timings(), share=True)
    settling.found("a.tif", state(1), 0.0)

    assert run(settling, file.look) == [(10.0, FileReady("a.tif", state(1), 0.0, False, 10.0))]
    assert file.looks == [5.0, 10.0]


@pytest.mark.parametrize("share", [False, True])
def test_a_file_that_its_writer_holds(share: bool) -> None:
    """While it cannot be opened it is written; the quiet time begins when it can."""
    settling = Settling(Timings(), share=share)
    settling.found("a.tif", state(1), 0.0)
    ((when, ready),) = run(settling, lambda now: None if now < 30 else state(1))

    assert 30 <= ready.closed_at <= 35
    assert when >= ready.closed_at + ready.quiet_s
    assert ready.quiet_s == (10 if share else 5)


def test_a_marker_ends_the_wait_on_a_share_too() -> None:
    """It stands for the close event; the content is checked after the share's own quiet time."""
    settling = Settling(Timings(), share=True)
    settling.closed("a.tif", 0.0)

    assert run(settling, lambda now: state(1)) == [(0.02, FileReady("a.tif", state(1), 0.0, True, 10.0))]


def test_a_file_that_is_opened_again_for_each_plane_is_taken_early_once() -> None:
    """Its first close may be its last; after that it must be quiet."""
    settling = Settling(Timings(), share=False)
    closes = [0.5 * number for number in range(20)]
    taken: list[tuple[float, FileReady]] = []
    for number, at in enumerate(closes):
        settling.closed("a.tif", at)
        following = closes[number + 1] if number + 1 < len(closes) else math.inf
        taken += run(settling, lambda now, number=number: state(number), min(following - 0.01, 99))  # type: ignore[misc]

    assert [(when, ready.early) for when, ready in taken] == [(0.02, True), (11.5, False)]
    settling.closed("a.tif", 20.0)
    assert run(settling, lambda now: state(99))[0][1].early


def test_an_event_makes_a_found_file_quick() -> None:
    """A close is heard of a file that a scan had found while it grew."""
    settling = Settling(Timings(), share=False)
    settling.found("a.tif", state(1), 0.0, announced=False)
    settling.closed("a.tif", 1.0)

    assert run(settling, lambda now: state(2)) == [(1.02, FileReady("a.tif", state(2), 1.0, True, 2.0))]


def test_what_is_announced_late_is_announced() -> None:
    """The scan may be quicker than the event; that is no fault of the events."""
    settling = Settling(Timings(), share=False)
    settling.found("a.tif", state(1), 0.0, announced=False)
    settling.created("a.tif", 0.1)
    candidate = settling.due(5.0)

    assert candidate
    assert candidate.announced
    assert candidate.looks == 1


def test_a_scan_does_not_disturb_what_settles() -> None:
    """Its look may be an old answer, and would start the time again for ever."""
    settling = Settling(Timings(), share=True)
    settling.found("a.tif", state(1), 0.0)
    settling.found("a.tif", state(2), 4.0)

    assert run(settling, lambda now: state(1))[0][0] == 10.0


def test_what_is_gone_is_forgotten() -> None:
    """And takes no part in the agenda any more."""
    settling = Settling(Timings(), share=False)
    settling.created("a.tif", 0.0)
    candidate = settling.due(0.0)
    assert candidate
    settling.drop(candidate)

    assert settling.due(100.0) is None
    assert settling.wake_at() == math.inf
    assert "a.tif" not in settling


def test_many_files_cost_little_each() -> None:
    """A burst of files must not make each step as long as the burst: steps are counted, not timed."""
    settling = Settling(Timings(), share=False)
    for number in range(20_000):
        settling.closed(f"{number}.tif", number * 1e-5)
    file = Still()
    ready = run(settling, file.look)

    assert len(ready) == 20_000
    assert len(file.looks) == 40_000


# --- Writers, each a list of what happens to a file and when; the last change makes it whole.


@dataclass
class Writer:
    """A file's life: (second, state), sorted; events: (second, "closed" or "created")."""

    states: list[tuple[float, Signature | None]]
    events: list[tuple[float, str]] = field(default_factory=list)

    def at(self, now: float) -> Signature | None:
        """Return the state at a time; before the first there is no file."""
        return [value for when, value in self.states if when <= now][-1]


def play(writer: Writer, *, share: bool, interval_s: float) -> list[tuple[float, FileReady]]:
    """Let a scanner live beside a writer for 200 s."""
    settling = Settling(Timings(), share=share)
    happenings = [] if share else [(when, what) for when, what in writer.events]
    happenings += [(number * interval_s + 0.001, "scan") for number in range(int(200 / interval_s))]
    known: Signature | None = None
    taken: list[tuple[float, FileReady]] = []
    for number, (now, what) in enumerate(sorted(happenings)):
        if what == "closed":
            settling.closed("a.tif", now)
        elif what == "created":
            settling.created("a.tif", now)
        elif now >= writer.states[0][0]:
            found = writer.at(now) or state(-1)
            if found != known:
                settling.found("a.tif", found, now)
        following = sorted(happenings)[number + 1][0] if number + 1 < len(happenings) else 400.0
        new = run(settling, writer.at, math.nextafter(following, 0))
        taken += new
        known = new[-1][1].signature if new else known
    return taken


pauses = st.lists(st.floats(0.05, 1.9), min_size=1, max_size=12)


def times_of(gaps: list[float]) -> list[float]:
    """Return when things happen that have these gaps between them."""
    return list(accumulate(gaps, initial=1.0))


def grows(gaps: list[float]) -> Writer:
    """Chunk by chunk, one close at the end."""
    times = times_of(gaps)
    states = [(when, state(number, 100 * number)) for number, when in enumerate(times)]
    return Writer(list(states), [(times[0], "created"), (times[-1], "closed")])


def preallocates(gaps: list[float]) -> Writer:
    """Full length from the beginning, filled bit by bit."""
    times = times_of(gaps)
    states = [(when, state(number)) for number, when in enumerate(times)]
    return Writer(list(states), [(times[0], "created"), (times[-1], "closed")])


def cuts_at_the_end(gaps: list[float]) -> Writer:
    """Longer than needed until the close, as Micro-Manager does."""
    times = times_of(gaps)
    states = [(when, state(number, 5000)) for number, when in enumerate(times[:-1])]
    return Writer([*states, (times[-1], state(99, 3000))], [(times[0], "created"), (times[-1], "closed")])


def copies_a_tree(gaps: list[float]) -> Writer:
    """Into a folder so new that its closes are not heard."""
    return Writer(grows(gaps).states, [(times_of(gaps)[0], "created")])


def renames_in(gaps: list[float]) -> Writer:
    """Whole at once."""
    when = times_of(gaps)[-1]
    return Writer([(when, state(1))], [(when, "closed")])


def links_in(gaps: list[float]) -> Writer:
    """Whole at once; no close will come."""
    when = times_of(gaps)[-1]
    return Writer([(when, state(1))], [(when, "created")])


def holds(gaps: list[float]) -> Writer:
    """Nobody else may open it before it is closed."""
    times = times_of(gaps)
    return Writer([(times[0], None), (times[-1], state(1))], [(times[0], "created"), (times[-1], "closed")])


WRITERS = [grows, preallocates, cuts_at_the_end, copies_a_tree, renames_in, links_in, holds]


@settings(deadline=None)
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("write", WRITERS)
@given(gaps=pauses)
def test_no_writer_is_interrupted(
    write: Callable[[list[float]], Writer], share: bool, gaps: list[float]
) -> None:
    """Whatever is ready is the whole file, once, within the quiet time and the scan's interval."""
    writer = write(gaps)
    ended = writer.states[-1][0]
    ((when, ready),) = play(writer, share=share, interval_s=5.0 if share else 60.0)

    assert ready.signature == writer.states[-1][1]
    assert ended <= when
    if share:
        assert when >= ended + 5.0
        assert when <= ended + 5.0 + 10.0 + 5.0 + 0.1
    elif writer.events[-1][1] == "closed":
        assert ready.early
        assert when <= ended + 0.021
    else:
        assert ended + 3.0 <= when <= ended + 10.1


@settings(deadline=None)
@given(gaps=pauses)
def test_a_writer_that_maps_memory_is_announced_again(gaps: list[float]) -> None:
    """Closed before its pixels are there, it is taken too early, but a later scan sees the new state."""
    times = times_of(gaps)
    states: list[tuple[float, Signature | None]] = [
        (when, state(number)) for number, when in enumerate(times)
    ]
    writer = Writer(states, [(1.0, "created"), (1.0, "closed")])
    taken = play(writer, share=False, interval_s=60.0)

    assert taken[0][1].early
    assert taken[-1][1].signature == states[-1][1]
    assert not taken[-1][1].early


def test_those_that_are_known_are_counted() -> None:
    """By their paths, whatever state they were known in."""
    settling = Settling(Timings(), share=False)
    for path in ("a.tif", "b.tif", "c.tif"):
        settling.created(path, 0.0)

    assert settling.among({"b.tif": 1, "d.tif": 1}) == 1
