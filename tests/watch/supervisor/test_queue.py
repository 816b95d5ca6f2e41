"""Order, patience and blame, on a clock that the tests set."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady
from colvi_edge.watch.ipc.words import FOLDER_WIDE, NOT_WRITABLE
from colvi_edge.watch.supervisor.backoff import backoff_s, patience_s
from colvi_edge.watch.supervisor.queue import BARRED_TOLD, Piece, Schedule


def ready(path: str, version: int = 0, closed_at: float = 0.0, early: bool = False) -> FileReady:
    """Return a file that a scanner found; early ones have a quiet time of 2 s."""
    return FileReady(path, Signature(1, 1, version, version), closed_at, early, 2.0)


def take(schedule: Schedule, now: float) -> list[str]:
    """Return the paths that are given now."""
    taken = []
    while piece := schedule.next(now):
        taken.append(piece.path)
    return taken


def given_piece(schedule: Schedule, path: str) -> Piece:
    """Return the piece of a path that was given."""
    return next(piece for piece in schedule.given.values() if piece.path == path)


def suffers(schedule: Schedule) -> bool:
    """Return whether a trouble is known."""
    return schedule.trouble is not None


@pytest.fixture
def schedule() -> Schedule:
    """Return an empty schedule."""
    return Schedule()


def test_two_at_a_time_first_come_first(schedule: Schedule) -> None:
    """The next is read while this one is judged, and no more than that is held in memory."""
    for name in "abcd":
        schedule.offer(ready(name), 0.0)

    assert take(schedule, 0.0) == ["a", "b"]
    schedule.done(given_piece(schedule, "a"), 1.0, wrote=True)
    assert take(schedule, 1.0) == ["c"]


def test_what_an_event_announced_goes_before_what_a_scan_found(schedule: Schedule) -> None:
    """A new projection does not wait for the backlog of the first start."""
    for name in ("old1", "old2", "old3"):
        schedule.offer(ready(name), 0.0)
    schedule.offer(ready("new", closed_at=1.0, early=True), 1.0)

    assert take(schedule, 1.0) == ["new", "old1"]


def test_a_file_that_is_known_in_this_state_is_not_doubled(schedule: Schedule) -> None:
    """A scanner may say a thing twice, also about what the worker has just now."""
    schedule.offer(ready("a"), 0.0)
    schedule.offer(ready("a"), 0.0)
    assert take(schedule, 0.0) == ["a"]
    schedule.offer(ready("a"), 0.1)
    schedule.done(given_piece(schedule, "a"), 1.0, wrote=True)

    assert take(schedule, 99.0) == []
    assert list(schedule) == []


@pytest.mark.parametrize("answer", ["done", "drop", "again", "suspect", "condemn"])
def test_a_file_that_changed_while_it_was_judged_is_judged_again(schedule: Schedule, answer: str) -> None:
    """Whatever came of the state before, the newer one is given, without its faults."""
    schedule.offer(ready("a", 1, early=True), 0.0)
    take(schedule, 0.0)
    schedule.offer(ready("a", 2), 0.5)
    piece = given_piece(schedule, "a")
    answers: dict[str, Callable[[], None]] = {
        "done": lambda: schedule.done(piece, 1.0, wrote=True),
        "drop": lambda: schedule.drop(piece, 1.0),
        "again": lambda: schedule.again(piece, 1.0, "disk full", ""),
        "suspect": lambda: schedule.suspect(piece, 1.0),
        "condemn": lambda: schedule.condemn(piece, 1.0, "no"),
    }
    answers[answer]()

    assert [p.signature.mtime_ns for p in schedule] == [2]
    while (newer := schedule.next(100.0)) is None:
        pass
    assert (newer.signature.mtime_ns, newer.check, newer.sentence, newer.attempts) == (2, False, "", 0)


def test_an_early_one_is_checked_once_after_its_quiet_time(schedule: Schedule) -> None:
    """A writer that maps memory changes pixels after its close; nothing tells but another look."""
    schedule.offer(ready("a", closed_at=10.0, early=True), 10.0)
    take(schedule, 10.1)
    piece = given_piece(schedule, "a")
    piece.attempts = 1
    schedule.done(piece, 10.2, wrote=True)

    assert schedule.pending == 0
    assert take(schedule, 11.9) == []
    assert schedule.wake_at(11.9) == 12.0
    check = schedule.next(12.0)
    assert check is not None
    assert (check.path, check.check, check.alone) == ("a", True, False)
    schedule.done(check, 12.1, wrote=False)
    assert list(schedule) == []


def test_one_that_was_read_after_its_quiet_time_needs_no_check(schedule: Schedule) -> None:
    """In a backlog the early ones are not early any more."""
    schedule.offer(ready("a", closed_at=10.0, early=True), 10.0)
    take(schedule, 12.0)
    schedule.done(given_piece(schedule, "a"), 12.1, wrote=True)

    assert list(schedule) == []


def test_new_files_go_before_checks(schedule: Schedule) -> None:
    """A check is a second look; a new file has had none."""
    schedule.check(ready("checked"))
    schedule.offer(ready("new"), 5.0)

    assert take(schedule, 5.0) == ["new", "checked"]


def test_backoff_doubles_to_a_minute() -> None:
    """1, 2, 4 ... 60 s, a fifth more or less, however often."""
    for failures in range(1, 2000):
        expected = min(2 ** (failures - 1), 60)
        assert 0.8 * expected <= backoff_s(failures) <= 1.2 * expected
    assert len({backoff_s(5) for _ in range(20)}) > 1


def test_what_has_to_wait_is_never_given_up(schedule: Schedule) -> None:
    """EIO for a week: a try a minute, and then it is judged."""
    schedule.offer(ready("a"), 0.0)
    now, tries = 0.0, 0
    while now < 7 * 86400:
        piece = schedule.next(now)
        assert piece is not None
        schedule.again(piece, now, "output", "I/O error")
        due = schedule.wake_at(now)
        assert due is not None
        assert due - now <= 72
        now, tries = due, tries + 1
    piece = schedule.next(now)

    assert piece is not None
    assert tries > 7 * 1440 / 1.2


def test_an_incomplete_file_is_waited_for_an_hour(schedule: Schedule) -> None:
    """Since its last change; only then is it given for the last time."""
    schedule.offer(ready("a", closed_at=100.0), 100.0)
    piece = schedule.next(100.0)
    assert piece is not None
    assert not piece.is_last(99_999.0)  # it was never seen to be incomplete
    schedule.again(piece, 101.0, "incomplete", "cut off")
    piece = next(iter(schedule))

    assert not piece.is_last(3699.0)
    assert piece.is_last(3700.0)


@pytest.mark.parametrize("kind", FOLDER_WIDE)
def test_one_at_a_time_tries_whether_a_trouble_has_ended(schedule: Schedule, kind: str) -> None:
    """With a full disk, 100 files are not judged for nothing each minute."""
    for number in range(100):
        schedule.offer(ready(f"{number}"), 0.0)
    take(schedule, 0.0)
    for piece in list(schedule.given.values()):
        schedule.again(piece, 0.0, kind, "")

    assert suffers(schedule)
    assert take(schedule, 0.5) == []
    wake = schedule.wake_at(0.5)
    assert wake is not None
    tries = []
    for _ in range(5):
        tried = take(schedule, wake)
        assert len(tried) == 1
        tries += tried
        schedule.again(given_piece(schedule, tried[0]), wake, kind, "")
        assert take(schedule, wake + 0.5) == []
        later = schedule.wake_at(wake)
        assert later is not None
        assert later > wake
        wake = later
    assert set(tries) <= {"0", "1"}
    (last,) = take(schedule, wake)
    schedule.done(given_piece(schedule, last), wake, wrote=True)
    assert not suffers(schedule)
    assert len(take(schedule, wake)) == 2


def test_a_full_disk_is_not_over_because_nothing_had_to_be_written(schedule: Schedule) -> None:
    """That nothing is new tells nothing about the disk, so the next one that suffers tries."""
    for name in "abc":
        schedule.offer(ready(name), 0.0)
    take(schedule, 0.0)
    for name in "ab":
        schedule.again(given_piece(schedule, name), 0.0, "disk full", "")
    take(schedule, 10.0)
    schedule.done(given_piece(schedule, "a"), 10.0, wrote=False)

    assert suffers(schedule)
    assert take(schedule, 10.0) == ["b"]
    schedule.drop(given_piece(schedule, "b"), 10.0)
    assert not suffers(schedule)
    assert take(schedule, 10.0) == ["c"]


@pytest.mark.parametrize(("kind", "over"), [("share away", True), ("stuck", True), ("disk full", False)])
def test_a_share_that_is_back_ends_what_was_suffered_from_it(
    schedule: Schedule, kind: str, over: bool
) -> None:
    """All go on at once; whether a disk is full is still tried by one."""
    for name in "abcd":
        schedule.offer(ready(name), 0.0)
    take(schedule, 0.0)
    for name in "ab":
        schedule.again(given_piece(schedule, name), 0.0, kind, "")
    schedule.hurry(0.1)

    assert suffers(schedule) is not over
    assert len(take(schedule, 0.1)) == (2 if over else 1)


def close_folder(schedule: Schedule, *paths: str, now: float = 0.0) -> None:
    """Let the results of pieces that were given be refused by their folder."""
    for path in paths:
        schedule.again(given_piece(schedule, path), now, NOT_WRITABLE, "Permission denied")


def test_one_at_a_time_tries_whether_a_closed_folder_is_open(schedule: Schedule) -> None:
    """Its other files are not judged for nothing, and those of other folders go on meanwhile."""
    for number in range(50):
        schedule.offer(ready(f"closed/{number}"), 0.0)
    assert take(schedule, 0.0) == ["closed/0", "closed/1"]
    close_folder(schedule, "closed/0", "closed/1")
    schedule.offer(ready("open/a"), 0.1)
    schedule.offer(ready("closed/sub/b"), 0.1)
    assert schedule.barred == ["closed"]
    assert take(schedule, 0.1) == ["open/a", "closed/sub/b"]
    for path in ("open/a", "closed/sub/b"):
        schedule.done(given_piece(schedule, path), 0.2, wrote=True)
    now = 0.2
    tries: list[str] = []
    while len(tries) < 6:
        later = schedule.wake_at(now)
        assert later is not None
        assert later - now <= 72
        now = later
        tried = take(schedule, now)
        close_folder(schedule, *tried, now=now)
        tries += tried
    assert tries == ["closed/0"] * 6
    assert schedule.pending == 50

    now += 100
    take(schedule, now)
    schedule.done(given_piece(schedule, "closed/0"), now, wrote=True)
    assert schedule.barred == []
    done = 1
    while piece := schedule.next(now):
        schedule.done(piece, now, wrote=True)
        done += 1
    assert done == 50


def test_a_closed_folder_is_not_open_because_nothing_had_to_be_written(schedule: Schedule) -> None:
    """The next of its files tries; with the last of them the folder is nobody's trouble any more."""
    for name in ("f/a", "f/b", "f/c"):
        schedule.offer(ready(name), 0.0)
    take(schedule, 0.0)
    close_folder(schedule, "f/a", "f/b")
    assert take(schedule, 100.0) == ["f/a"]
    schedule.done(given_piece(schedule, "f/a"), 100.0, wrote=False)
    assert schedule.barred == ["f"]
    assert take(schedule, 100.0) == ["f/b"]
    schedule.drop(given_piece(schedule, "f/b"), 100.0)
    assert schedule.barred == ["f"]
    assert take(schedule, 100.0) == ["f/c"]
    schedule.again(given_piece(schedule, "f/c"), 100.0, "incomplete", "cut off")

    assert schedule.barred == []
    assert take(schedule, 200.0) == ["f/c"]


def test_some_closed_folders_are_named(schedule: Schedule) -> None:
    """There may be thousands; a status has room for some."""
    for number in range(100):
        schedule.offer(ready(f"{number}/a"), 0.0)
        take(schedule, 0.0)
        close_folder(schedule, f"{number}/a")

    assert schedule.barred == [f"{number}" for number in range(BARRED_TOLD)]


def test_patience_grows_to_an_end() -> None:
    """Twice as long after each time; a process that hangs is ended in the end."""
    assert [patience_s(60.0, failures) for failures in range(7)] == [60, 120, 240, 480, 960, 960, 960]


def test_hurry_tries_what_backs_off_at_once(schedule: Schedule) -> None:
    """The share is back: nobody waits out the minute."""
    schedule.offer(ready("a"), 0.0)
    schedule.offer(ready("b", early=True, closed_at=0.0), 0.0)
    take(schedule, 0.0)
    schedule.done(given_piece(schedule, "b"), 0.0, wrote=True)
    schedule.again(given_piece(schedule, "a"), 0.0, "share away", "")
    schedule.hurry(0.1)

    assert take(schedule, 0.1) == ["a"]  # and the check of b still waits for its quiet time


def test_blame_is_taken_one_at_a_time(schedule: Schedule) -> None:
    """Of two that a worker died with, each is given alone, and after all that is above suspicion."""
    for name in "abcd":
        schedule.offer(ready(name), 0.0)
    take(schedule, 0.0)
    for piece in list(schedule.given.values()):
        piece.attempts = 1
        schedule.suspect(piece, 1.0)

    assert take(schedule, 1.0) == ["c", "d"]
    schedule.done(given_piece(schedule, "c"), 2.0, wrote=True)
    assert take(schedule, 2.0) == []
    schedule.done(given_piece(schedule, "d"), 2.0, wrote=True)
    assert take(schedule, 2.0) == ["a"]
    schedule.offer(ready("new"), 2.5)
    assert take(schedule, 2.5) == []
    schedule.done(given_piece(schedule, "a"), 3.0, wrote=True)
    assert take(schedule, 3.0) == ["new"]


def test_an_answer_ends_suspicion(schedule: Schedule) -> None:
    """Also one that is not final; but what a share held up keeps the attempts that it had."""
    schedule.offer(ready("a"), 0.0, attempts=2)
    take(schedule, 0.0)
    schedule.again(given_piece(schedule, "a"), 0.0, "stuck", "", attempts=2)
    take(schedule, 10.0)
    assert given_piece(schedule, "a").alone
    schedule.again(given_piece(schedule, "a"), 10.0, "output", "")
    take(schedule, 20.0)

    assert not given_piece(schedule, "a").alone


def test_what_is_condemned_is_given_for_its_sentence(schedule: Schedule) -> None:
    """Once, beside others, and never again in this state."""
    schedule.offer(ready("a", early=True), 0.0, attempts=2)
    take(schedule, 0.0)
    schedule.condemn(given_piece(schedule, "a"), 0.5, "left alone")
    schedule.offer(ready("b"), 0.5)
    assert take(schedule, 0.5) == ["a", "b"]
    piece = given_piece(schedule, "a")
    assert (piece.sentence, piece.alone) == ("left alone", False)
    schedule.done(piece, 0.6, wrote=True)

    assert [p.path for p in schedule] == ["b"]


def test_a_retry_is_judged_anew(schedule: Schedule) -> None:
    """Although the file is known in this very state, backs off, or is condemned."""
    schedule.offer(ready("a"), 0.0, sentence="left alone")
    schedule.offer(ready("a"), 1.0, anew=Replace.ALL)
    piece = schedule.next(1.0)

    assert piece is not None
    assert (piece.anew, piece.sentence) == (Replace.ALL, "")


class Folder:
    """An imagined lab: files that change, a worker that dies of some, and a disk that is full for a while."""

    def __init__(self, deadly: set[str]) -> None:
        self.schedule = Schedule()
        self.deadly = deadly
        self.version: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, int]] = Counter()
        self.judged: dict[str, int] = {}
        self.condemned: set[str] = set()
        self.full = False
        self.closed: set[str] = set()
        self.now = 0.0

    def step(self) -> None:
        """Give what is to be given, and let the worker answer or die."""
        while piece := self.schedule.next(self.now):
            version = piece.signature.mtime_ns
            self.attempts[piece.path, version] += 1
            piece.attempts = self.attempts[piece.path, version]
        given = list(self.schedule.given.values())
        assert len(given) <= 2
        assert len(given) < 2 or all(piece.attempts == 1 or piece.sentence for piece in given)
        assert len({piece.path for piece in given}) == len(given)
        dead = [piece for piece in given if piece.path in self.deadly and not piece.sentence]
        for piece in given:
            version = piece.signature.mtime_ns
            if dead and piece.attempts >= 3:
                self.schedule.condemn(piece, self.now, "left alone")
            elif dead:
                self.schedule.suspect(piece, self.now)
            elif version != self.version[piece.path]:
                self.schedule.drop(piece, self.now)
            elif self.full:
                self.attempts[piece.path, version] = 0
                self.schedule.again(piece, self.now, "disk full", "")
            elif piece.path.partition("/")[0] in self.closed:
                self.attempts[piece.path, version] = 0
                self.schedule.again(piece, self.now, NOT_WRITABLE, "")
            else:
                self.attempts[piece.path, version] = 0
                self.judged[piece.path] = version
                self.condemned |= {piece.path} if piece.sentence else set()
                self.schedule.done(piece, self.now, wrote=not piece.check)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["offer", "change", "wait", "full", "empty", "close", "open"]),
            st.sampled_from(["a.tif", "b.tif", "f/c.tif", "f/d.tif", "f/bomb1.tif", "bomb2.tif"]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_each_file_is_judged_or_condemned_in_its_last_state(steps: list[tuple[str, str, bool]]) -> None:
    """Whatever happens in whatever order; and only what kills the worker is condemned, after three times."""
    folder = Folder({"f/bomb1.tif", "bomb2.tif"})
    for what, path, early in steps:
        if what in ("offer", "change"):
            folder.version[path] += what == "change" or not folder.version[path]
            folder.schedule.offer(ready(path, folder.version[path], folder.now, early), folder.now)
        elif what == "wait":
            folder.now += 0.3
            folder.step()
        elif what in ("close", "open"):
            folder.closed = {"f"} if what == "close" else set()
        else:
            folder.full = what == "full"
    folder.full = False
    folder.closed = set()
    for _ in range(300):
        folder.now += 1.0
        folder.step()

    assert list(folder.schedule) == []
    assert folder.schedule.barred == []
    assert folder.judged == dict(folder.version)
    assert folder.condemned == set(folder.version) & folder.deadly


def test_many_files_cost_little(schedule: Schedule) -> None:
    """A folder with 20,000 files is worked off in steps that do not grow with it."""
    for number in range(20_000):
        schedule.offer(ready(f"{number}"), 0.0)
    taken = 0
    while piece := schedule.next(0.0):
        taken += 1
        schedule.done(piece, 0.0, wrote=True)

    assert taken == 20_000
