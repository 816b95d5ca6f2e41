"""Order, patience and blame, on a clock that the tests set."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady
from colvi_edge.watch.supervisor.backoff import backoff_s, patience_s
from colvi_edge.watch.supervisor.queue import QueuedFile, WorkQueue
from colvi_edge.watch.timings import Timings
from colvi_edge.watch.words import BARRED_TOLD, FOLDER_WIDE, NOT_WRITABLE


def ready(path: str, version: int = 0, closed_at: float = 0.0, early: bool = False) -> FileReady:
    """Return a file that a scanner found; early ones have a quiet time of 2 s."""
    return FileReady(path, Signature(1, 1, version, version), closed_at, early, 2.0)


def take(queue: WorkQueue, now: float) -> list[str]:
    """Return the paths that are given now."""
    taken = []
    while file := queue.assign(now):
        taken.append(file.path)
    return taken


def assigned_file(queue: WorkQueue, path: str) -> QueuedFile:
    """Return the file of a path that was given."""
    return next(file for file in queue.assigned.values() if file.path == path)


def suffers(queue: WorkQueue) -> bool:
    """Return whether a trouble is known."""
    return queue.trouble is not None


@pytest.fixture
def queue() -> WorkQueue:
    """Return an empty queue."""
    return WorkQueue(Timings())


def test_two_at_a_time_first_come_first(queue: WorkQueue) -> None:
    """The next is read while this one is judged, and no more than that is held in memory."""
    for name in "abcd":
        queue.offer(ready(name), 0.0)

    assert take(queue, 0.0) == ["a", "b"]
    queue.done(assigned_file(queue, "a"), 1.0, wrote=True)
    assert take(queue, 1.0) == ["c"]


def test_what_an_event_announced_goes_before_what_a_scan_found(queue: WorkQueue) -> None:
    """A new projection does not wait for the backlog of the first start."""
    for name in ("old1", "old2", "old3"):
        queue.offer(ready(name), 0.0)
    queue.offer(ready("new", closed_at=1.0, early=True), 1.0)

    assert take(queue, 1.0) == ["new", "old1"]


def test_a_file_that_is_known_in_this_state_is_not_doubled(queue: WorkQueue) -> None:
    """A scanner may say a thing twice, also about what the worker has just now."""
    queue.offer(ready("a"), 0.0)
    queue.offer(ready("a"), 0.0)
    assert take(queue, 0.0) == ["a"]
    queue.offer(ready("a"), 0.1)
    queue.done(assigned_file(queue, "a"), 1.0, wrote=True)

    assert take(queue, 99.0) == []
    assert list(queue) == []


@pytest.mark.parametrize("answer", ["done", "drop", "again", "suspect", "quarantine"])
def test_a_file_that_changed_while_it_was_judged_is_judged_again(queue: WorkQueue, answer: str) -> None:
    """Whatever came of the state before, the newer one is given, without its faults."""
    queue.offer(ready("a", 1, early=True), 0.0)
    take(queue, 0.0)
    queue.offer(ready("a", 2), 0.5)
    file = assigned_file(queue, "a")
    answers: dict[str, Callable[[], None]] = {
        "done": lambda: queue.done(file, 1.0, wrote=True),
        "drop": lambda: queue.drop(file, 1.0),
        "again": lambda: queue.retry_later(file, 1.0, "disk full", ""),
        "suspect": lambda: queue.requeue_alone(file, 1.0),
        "quarantine": lambda: queue.quarantine(file, 1.0, "no"),
    }
    answers[answer]()

    assert [p.signature.mtime_ns for p in queue] == [2]
    while (newer := queue.assign(100.0)) is None:
        pass
    assert (newer.signature.mtime_ns, newer.recheck, newer.quarantine_message, newer.attempts) == (
        2,
        False,
        "",
        0,
    )


def test_an_early_one_is_checked_once_after_its_quiet_time(queue: WorkQueue) -> None:
    """A writer that maps memory changes pixels after its close; nothing tells but another look."""
    queue.offer(ready("a", closed_at=10.0, early=True), 10.0)
    take(queue, 10.1)
    file = assigned_file(queue, "a")
    file.attempts = 1
    queue.done(file, 10.2, wrote=True)

    assert queue.pending == 0
    assert take(queue, 11.9) == []
    assert queue.wake_at(11.9) == 12.0
    check = queue.assign(12.0)
    assert check is not None
    assert (check.path, check.recheck, check.alone) == ("a", True, False)
    queue.done(check, 12.1, wrote=False)
    assert list(queue) == []


def test_one_that_was_read_after_its_quiet_time_needs_no_check(queue: WorkQueue) -> None:
    """In a backlog the early ones are not early any more."""
    queue.offer(ready("a", closed_at=10.0, early=True), 10.0)
    take(queue, 12.0)
    queue.done(assigned_file(queue, "a"), 12.1, wrote=True)

    assert list(queue) == []


def test_new_files_go_before_checks(queue: WorkQueue) -> None:
    """A check is a second look; a new file has had none."""
    queue.recheck(ready("checked"))
    queue.offer(ready("new"), 5.0)

    assert take(queue, 5.0) == ["new", "checked"]


def test_backoff_doubles_to_a_minute() -> None:
    """1, 2, 4 ... 60 s, a fifth more or less, however often."""
    for failures in range(1, 2000):
        expected = min(2 ** (failures - 1), 60)
        assert 0.8 * expected <= backoff_s(failures, 60.0) <= 1.2 * expected
    assert len({backoff_s(5, 60.0) for _ in range(20)}) > 1


def test_what_has_to_wait_is_never_given_up(queue: WorkQueue) -> None:
    """EIO for a week: a try a minute, and then it is judged."""
    queue.offer(ready("a"), 0.0)
    now, tries = 0.0, 0
    while now < 7 * 86400:
        file = queue.assign(now)
        assert file is not None
        queue.retry_later(file, now, "output", "I/O error")
        due = queue.wake_at(now)
        assert due is not None
        assert due - now <= 72
        now, tries = due, tries + 1
    file = queue.assign(now)

    assert file is not None
    assert tries > 7 * 1440 / 1.2


def test_an_incomplete_file_is_waited_for_an_hour(queue: WorkQueue) -> None:
    """Since its last change; only then is it given for the last time."""
    queue.offer(ready("a", closed_at=100.0), 100.0)
    file = queue.assign(100.0)
    assert file is not None
    assert not file.is_last_try(99_999.0, 3600.0)  # it was never seen to be incomplete
    queue.retry_later(file, 101.0, "incomplete", "cut off")
    file = next(iter(queue))

    assert not file.is_last_try(3699.0, 3600.0)
    assert file.is_last_try(3700.0, 3600.0)


@pytest.mark.parametrize("kind", FOLDER_WIDE)
def test_one_at_a_time_tries_whether_a_trouble_has_ended(queue: WorkQueue, kind: str) -> None:
    """With a full disk, 100 files are not judged for nothing each minute."""
    for number in range(100):
        queue.offer(ready(f"{number}"), 0.0)
    take(queue, 0.0)
    for file in list(queue.assigned.values()):
        queue.retry_later(file, 0.0, kind, "")

    assert suffers(queue)
    assert take(queue, 0.5) == []
    wake = queue.wake_at(0.5)
    assert wake is not None
    tries = []
    for _ in range(5):
        tried = take(queue, wake)
        assert len(tried) == 1
        tries += tried
        queue.retry_later(assigned_file(queue, tried[0]), wake, kind, "")
        assert take(queue, wake + 0.5) == []
        later = queue.wake_at(wake)
        assert later is not None
        assert later > wake
        wake = later
    assert set(tries) <= {"0", "1"}
    (last,) = take(queue, wake)
    queue.done(assigned_file(queue, last), wake, wrote=True)
    assert not suffers(queue)
    assert len(take(queue, wake)) == 2


def test_a_full_disk_is_not_over_because_nothing_had_to_be_written(queue: WorkQueue) -> None:
    """That nothing is new tells nothing about the disk, so the next one that suffers tries."""
    for name in "abc":
        queue.offer(ready(name), 0.0)
    take(queue, 0.0)
    for name in "ab":
        queue.retry_later(assigned_file(queue, name), 0.0, "disk full", "")
    take(queue, 10.0)
    queue.done(assigned_file(queue, "a"), 10.0, wrote=False)

    assert suffers(queue)
    assert take(queue, 10.0) == ["b"]
    queue.drop(assigned_file(queue, "b"), 10.0)
    assert not suffers(queue)
    assert take(queue, 10.0) == ["c"]


@pytest.mark.parametrize(("kind", "over"), [("share away", True), ("stuck", True), ("disk full", False)])
def test_a_share_that_is_back_ends_what_was_suffered_from_it(queue: WorkQueue, kind: str, over: bool) -> None:
    """All go on at once; whether a disk is full is still tried by one."""
    for name in "abcd":
        queue.offer(ready(name), 0.0)
    take(queue, 0.0)
    for name in "ab":
        queue.retry_later(assigned_file(queue, name), 0.0, kind, "")
    queue.retry_now(0.1)

    assert suffers(queue) is not over
    assert len(take(queue, 0.1)) == (2 if over else 1)


def close_folder(queue: WorkQueue, *paths: str, now: float = 0.0) -> None:
    """Let the results of files that were given be refused by their folder."""
    for path in paths:
        queue.retry_later(assigned_file(queue, path), now, NOT_WRITABLE, "Permission denied")


def test_one_at_a_time_tries_whether_a_closed_folder_is_open(queue: WorkQueue) -> None:
    """Its other files are not judged for nothing, and those of other folders go on meanwhile."""
    for number in range(50):
        queue.offer(ready(f"closed/{number}"), 0.0)
    assert take(queue, 0.0) == ["closed/0", "closed/1"]
    close_folder(queue, "closed/0", "closed/1")
    queue.offer(ready("open/a"), 0.1)
    queue.offer(ready("closed/sub/b"), 0.1)
    assert queue.barred == ["closed"]
    assert take(queue, 0.1) == ["open/a", "closed/sub/b"]
    for path in ("open/a", "closed/sub/b"):
        queue.done(assigned_file(queue, path), 0.2, wrote=True)
    now = 0.2
    tries: list[str] = []
    while len(tries) < 6:
        later = queue.wake_at(now)
        assert later is not None
        assert later - now <= 72
        now = later
        tried = take(queue, now)
        close_folder(queue, *tried, now=now)
        tries += tried
    assert tries == ["closed/0"] * 6
    assert queue.pending == 50

    now += 100
    take(queue, now)
    queue.done(assigned_file(queue, "closed/0"), now, wrote=True)
    assert queue.barred == []
    done = 1
    while file := queue.assign(now):
        queue.done(file, now, wrote=True)
        done += 1
    assert done == 50


def test_a_closed_folder_is_not_open_because_nothing_had_to_be_written(queue: WorkQueue) -> None:
    """The next of its files tries; with the last of them the folder is nobody's trouble any more."""
    for name in ("f/a", "f/b", "f/c"):
        queue.offer(ready(name), 0.0)
    take(queue, 0.0)
    close_folder(queue, "f/a", "f/b")
    assert take(queue, 100.0) == ["f/a"]
    queue.done(assigned_file(queue, "f/a"), 100.0, wrote=False)
    assert queue.barred == ["f"]
    assert take(queue, 100.0) == ["f/b"]
    queue.drop(assigned_file(queue, "f/b"), 100.0)
    assert queue.barred == ["f"]
    assert take(queue, 100.0) == ["f/c"]
    queue.retry_later(assigned_file(queue, "f/c"), 100.0, "incomplete", "cut off")

    assert queue.barred == []
    assert take(queue, 200.0) == ["f/c"]


def test_some_closed_folders_are_named(queue: WorkQueue) -> None:
    """There may be thousands; a status has room for some."""
    for number in range(100):
        queue.offer(ready(f"{number}/a"), 0.0)
        take(queue, 0.0)
        close_folder(queue, f"{number}/a")

    assert queue.barred == [f"{number}" for number in range(BARRED_TOLD)]


def test_patience_grows_to_an_end() -> None:
    """Twice as long after each time; a process that hangs is ended in the end."""
    assert [patience_s(60.0, failures) for failures in range(7)] == [60, 120, 240, 480, 960, 960, 960]


def test_hurry_tries_what_backs_off_at_once(queue: WorkQueue) -> None:
    """The share is back: nobody waits out the minute."""
    queue.offer(ready("a"), 0.0)
    queue.offer(ready("b", early=True, closed_at=0.0), 0.0)
    take(queue, 0.0)
    queue.done(assigned_file(queue, "b"), 0.0, wrote=True)
    queue.retry_later(assigned_file(queue, "a"), 0.0, "share away", "")
    queue.retry_now(0.1)

    assert take(queue, 0.1) == ["a"]  # and the check of b still waits for its quiet time


def test_blame_is_taken_one_at_a_time(queue: WorkQueue) -> None:
    """Of two that a worker died with, each is given alone, and after all that is above suspicion."""
    for name in "abcd":
        queue.offer(ready(name), 0.0)
    take(queue, 0.0)
    for file in list(queue.assigned.values()):
        file.attempts = 1
        queue.requeue_alone(file, 1.0)

    assert take(queue, 1.0) == ["c", "d"]
    queue.done(assigned_file(queue, "c"), 2.0, wrote=True)
    assert take(queue, 2.0) == []
    queue.done(assigned_file(queue, "d"), 2.0, wrote=True)
    assert take(queue, 2.0) == ["a"]
    queue.offer(ready("new"), 2.5)
    assert take(queue, 2.5) == []
    queue.done(assigned_file(queue, "a"), 3.0, wrote=True)
    assert take(queue, 3.0) == ["new"]


def test_an_answer_ends_suspicion(queue: WorkQueue) -> None:
    """Also one that is not final; but what a share held up keeps the attempts that it had."""
    queue.offer(ready("a"), 0.0, attempts=2)
    take(queue, 0.0)
    queue.retry_later(assigned_file(queue, "a"), 0.0, "stuck", "", attempts=2)
    take(queue, 10.0)
    assert assigned_file(queue, "a").alone
    queue.retry_later(assigned_file(queue, "a"), 10.0, "output", "")
    take(queue, 20.0)

    assert not assigned_file(queue, "a").alone


def test_what_is_quarantined_is_given_for_its_sentence(queue: WorkQueue) -> None:
    """Once, beside others, and never again in this state."""
    queue.offer(ready("a", early=True), 0.0, attempts=2)
    take(queue, 0.0)
    queue.quarantine(assigned_file(queue, "a"), 0.5, "left alone")
    queue.offer(ready("b"), 0.5)
    assert take(queue, 0.5) == ["a", "b"]
    file = assigned_file(queue, "a")
    assert (file.quarantine_message, file.alone) == ("left alone", False)
    queue.done(file, 0.6, wrote=True)

    assert [p.path for p in queue] == ["b"]


def test_a_retry_is_judged_anew(queue: WorkQueue) -> None:
    """Although the file is known in this very state, backs off, or is quarantined."""
    queue.offer(ready("a"), 0.0, quarantine_message="left alone")
    queue.offer(ready("a"), 1.0, force=Replace.ALL)
    file = queue.assign(1.0)

    assert file is not None
    assert (file.force, file.quarantine_message) == (Replace.ALL, "")


class Folder:
    """An imagined lab: files that change, a worker that dies of some, and a disk that is full for a while."""

    def __init__(self, deadly: set[str]) -> None:
        self.queue = WorkQueue(Timings())
        self.deadly = deadly
        self.version: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, int]] = Counter()
        self.judged: dict[str, int] = {}
        self.quarantined: set[str] = set()
        self.full = False
        self.closed: set[str] = set()
        self.now = 0.0

    def step(self) -> None:
        """Give what is to be given, and let the worker answer or die."""
        while file := self.queue.assign(self.now):
            version = file.signature.mtime_ns
            self.attempts[file.path, version] += 1
            file.attempts = self.attempts[file.path, version]
        given = list(self.queue.assigned.values())
        assert len(given) <= 2
        assert len(given) < 2 or all(file.attempts == 1 or file.quarantine_message for file in given)
        assert len({file.path for file in given}) == len(given)
        dead = [file for file in given if file.path in self.deadly and not file.quarantine_message]
        for file in given:
            version = file.signature.mtime_ns
            if dead and file.attempts >= 3:
                self.queue.quarantine(file, self.now, "left alone")
            elif dead:
                self.queue.requeue_alone(file, self.now)
            elif version != self.version[file.path]:
                self.queue.drop(file, self.now)
            elif self.full:
                self.attempts[file.path, version] = 0
                self.queue.retry_later(file, self.now, "disk full", "")
            elif file.path.partition("/")[0] in self.closed:
                self.attempts[file.path, version] = 0
                self.queue.retry_later(file, self.now, NOT_WRITABLE, "")
            else:
                self.attempts[file.path, version] = 0
                self.judged[file.path] = version
                self.quarantined |= {file.path} if file.quarantine_message else set()
                self.queue.done(file, self.now, wrote=not file.recheck)


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
def test_each_file_is_judged_or_quarantined_in_its_last_state(steps: list[tuple[str, str, bool]]) -> None:
    """Whatever happens in whatever order; only what kills the worker is quarantined, after three times."""
    folder = Folder({"f/bomb1.tif", "bomb2.tif"})
    for what, path, early in steps:
        if what in ("offer", "change"):
            folder.version[path] += what == "change" or not folder.version[path]
            folder.queue.offer(ready(path, folder.version[path], folder.now, early), folder.now)
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

    assert list(folder.queue) == []
    assert folder.queue.barred == []
    assert folder.judged == dict(folder.version)
    assert folder.quarantined == set(folder.version) & folder.deadly


def test_many_files_cost_little(queue: WorkQueue) -> None:
    """A folder with 20,000 files is worked off in steps that do not grow with it."""
    for number in range(20_000):
        queue.offer(ready(f"{number}"), 0.0)
    taken = 0
    while file := queue.assign(0.0):
        taken += 1
        queue.done(file, 0.0, wrote=True)

    assert taken == 20_000
