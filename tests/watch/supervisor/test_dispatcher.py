"""What an answer, or the lack of one, means for a file; another connection reads it from the ledger."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from colvi_edge.choices import Replace
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.folder.signature import Signature
from colvi_edge.watch.ipc.messages import FileReady, RecordFailure, Work, WorkDone
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.dispatcher import QUARANTINE_AFTER, UNSEEN_DEATHS, Dispatcher
from colvi_edge.watch.supervisor.snapshot import WorkSnapshot
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings
from colvi_edge.watch.words import WorkOutcome

MOUNT = Mount(point="/data", kind="ext4", source="/dev/sda1", inside="/")
QUIET_S = 2.0
OLD, NEW = Model("demo", "1.0", "ab" * 32), Model("my", "2.0", "cd" * 32)


class Office:
    """A dispatcher over a ledger that may be closed and opened again, as when the daemon is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.open()

    def open(self, force: Replace = Replace.OWN) -> None:
        """Begin as a daemon does."""
        self.conditions = Conditions()
        self.ledger = Ledger(self.path)
        self.metrics = Metrics("/data")
        self.tolerant = TolerantLedger(self.ledger, self.conditions)
        self.dispatcher = Dispatcher(self.tolerant, self.metrics, self.conditions, Timings(), self.now, force)

    @property
    def work(self) -> WorkSnapshot:
        """How work stands now."""
        return self.dispatcher.snapshot()

    def kill(self, force: Replace = Replace.OWN) -> None:
        """End without a word, and begin again."""
        self.ledger.close()
        self.open(force)

    def ready(self, path: str, version: int = 1, early: bool = False) -> None:
        """Let the scanner find a file."""
        self.dispatcher.offer(FileReady(path, signature(version), self.now, early, QUIET_S), self.now)

    def take(self) -> "list[Work | RecordFailure]":
        """Return all that a worker is given now."""
        taken = []
        while (work := self.dispatcher.assign(MOUNT, self.now)) is not None:
            taken.append(work)
        return taken

    def answer(
        self,
        work: "Work | RecordFailure",
        outcome: WorkOutcome,
        words: str = "",
        kind: str = "",
        model: Model | None = None,
    ) -> None:
        """Let the worker answer."""
        files = 5 if model else 0
        answer = WorkDone(work.number, outcome, "ab" * 32, 1, words, kind, 12.5, model, files)
        self.dispatcher.finished(answer, self.now)

    def judge(self, model: Model, *paths: str) -> None:
        """Have files judged with a model."""
        for path in paths:
            self.ready(path)
            (work,) = self.take()
            self.answer(work, "ok", "control, score 90.0", model=model)

    def judge_with(self, model: Model) -> None:
        """Let a worker begin that judges with a model."""
        self.dispatcher.judge_with(model, Path("/data/my scope"), self.now)

    def wanted(self) -> dict[str, str]:
        """Return what is given now, and which results it is judged in spite of; answered by no one."""
        given: dict[str, str] = {}
        while works := self.take():
            for work in works:
                assert isinstance(work, Work)
                given[work.path] = work.force
                self.answer(work, "again", kind="incomplete")
        return given

    def row(self, path: str) -> dict[str, object]:
        """Return the row of a path, as another program reads it."""
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM entries WHERE path = ?", (path.encode(),)).fetchone()
        connection.close()
        return dict(row) if row else {}


def signature(version: int) -> Signature:
    """Return a state of a file."""
    return Signature(7, 4_196_534, version, version)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Return a dispatcher over an empty ledger."""
    opened = Office(tmp_path / "ledger.sqlite")
    yield opened
    opened.ledger.close()


def test_an_attempt_is_written_before_the_work_is_given(office: Office) -> None:
    """Whatever the work does to the machine, the next daemon knows of it."""
    office.ready("a.tif")
    assert office.row("a.tif") == {}
    (work,) = office.take()

    assert office.row("a.tif")["attempts"] == 1
    assert work == Work(work.number, "a.tif", signature(1), MOUNT, last=False, force=Replace.OWN)


@pytest.mark.parametrize(
    ("outcome", "state"), [("ok", "done"), ("rejected", "done"), ("same", "done"), ("error", "failed")]
)
def test_a_final_answer_is_kept(office: Office, outcome: WorkOutcome, state: str) -> None:
    """With its words, and without the file's name in them, which the log must not show."""
    office.ready("folder/M\u00fcller.tif")
    (work,) = office.take()
    office.answer(work, outcome, "M\u00fcller.tif: the sentence", "axes" if outcome == "error" else "")

    row = office.row("folder/M\u00fcller.tif")
    assert (row["state"], row["attempts"], row["words"]) == (state, 0, "the sentence")
    assert office.work.last is not None
    assert office.work.last.words == "the sentence"
    assert (office.work.answers, office.work.errors) == (1, outcome == "error")


def test_quarantine_comes_with_the_third_death(office: Office) -> None:
    """Not with the second; then the file is given once more, for its error record only."""
    office.ready("bomb.tif")
    for death in range(1, QUARANTINE_AFTER + 1):
        (work,) = office.take()
        assert isinstance(work, Work)
        assert office.row("bomb.tif")["attempts"] == death
        office.dispatcher.worker_died("the memory limit of 4 GiB was passed", office.now)
    (quarantined,) = office.take()

    assert isinstance(quarantined, RecordFailure)
    assert quarantined.mount == MOUNT
    assert "3 attempts" in quarantined.message
    assert "memory limit of 4 GiB" in quarantined.message
    assert "colvi-edge retry" in quarantined.message
    assert office.row("bomb.tif")["state"] == "quarantined"
    office.answer(quarantined, "error", quarantined.message, "killed")
    assert office.row("bomb.tif")["state"] == "quarantined"
    assert office.take() == []


def test_the_neighbour_of_a_bomb_is_not_blamed(office: Office) -> None:
    """Two were with the worker when it died; alone, one of them is innocent."""
    office.ready("bomb.tif")
    office.ready("good.tif")
    assert len(office.take()) == 2
    office.dispatcher.worker_died("it died of SIGSEGV", office.now)
    quarantined = []
    for _ in range(4):
        works = office.take()
        for work in works:
            if isinstance(work, RecordFailure):
                quarantined.append(work.path)
            elif work.path == "good.tif":
                assert len(works) == 1
                office.answer(work, "ok")
            else:
                assert len(works) == 1
                office.dispatcher.worker_died("it died of SIGSEGV", office.now)

    assert quarantined == ["bomb.tif"]
    assert (office.row("good.tif")["state"], office.row("good.tif")["attempts"]) == ("done", 0)


def test_attempts_outlive_the_daemon(office: Office) -> None:
    """A file that was with two daemons when they were killed is a suspect for the third, and given alone."""
    for _ in range(2):
        office.ready("bomb.tif")
        assert len(office.take()) == 1
        office.kill()
    office.ready("bomb.tif")
    office.ready("good.tif")
    (good,) = office.take()
    assert good.path == "good.tif"
    office.answer(good, "ok")
    assert [work.path for work in office.take()] == ["bomb.tif"]
    office.dispatcher.worker_died("it died of SIGSEGV", office.now)

    assert office.row("bomb.tif")["state"] == "quarantined"


def test_a_file_that_ends_whole_daemons_is_quarantined_unread(office: Office) -> None:
    """Later than one that ends workers, as power cuts are not its fault."""
    for _ in range(UNSEEN_DEATHS):
        office.ready("bomb.tif")
        (work,) = office.take()
        assert isinstance(work, Work)
        office.kill()
    office.ready("bomb.tif")
    (quarantined,) = office.take()

    assert isinstance(quarantined, RecordFailure)


def test_a_quarantined_file_gets_its_error_record_again(office: Office) -> None:
    """Somebody removed it, or the daemon was killed before it was written; the file itself is not read."""
    office.ready("bomb.tif")
    for _ in range(QUARANTINE_AFTER):
        office.take()
        office.dispatcher.worker_died("it died of SIGSEGV", office.now)
    sentence = office.row("bomb.tif")["words"]
    office.kill()
    office.ready("bomb.tif")
    (quarantined,) = office.take()

    assert isinstance(quarantined, RecordFailure)
    assert quarantined.message == sentence


def test_a_quarantined_file_that_changed_is_read_again(office: Office) -> None:
    """It may have been repaired."""
    office.ready("bomb.tif")
    for _ in range(QUARANTINE_AFTER):
        office.take()
        office.dispatcher.worker_died("it died of SIGSEGV", office.now)
    office.ready("bomb.tif", version=2)
    (work,) = office.take()

    assert isinstance(work, Work)
    assert office.row("bomb.tif")["attempts"] == 1


def test_stop_and_share_are_no_blame(office: Office) -> None:
    """What was handed back, or held up by a share, was not tried; but earlier deaths count on."""
    office.ready("a.tif")
    office.take()
    office.dispatcher.worker_died("it died of SIGSEGV", office.now)
    for _ in range(10):
        office.now += 100
        assert len(office.take()) == 1
        office.dispatcher.refund_attempts()
        office.dispatcher.wait_for_share("the time limit of 30 s ran out", office.now)
        office.dispatcher.raise_troubles(outage_is_told=False)
        assert [condition.name for condition in office.conditions] == ["stuck"]
    assert office.row("a.tif")["attempts"] == 1

    office.now += 100
    office.take()
    assert office.row("a.tif")["attempts"] == 2


def test_any_answer_sets_attempts_back(office: Office) -> None:
    """A file on a bad share is tried for ever, and never quarantined for it."""
    office.ready("a.tif")
    for _ in range(10):
        office.now += 100
        (work,) = office.take()
        office.answer(work, "again", "Input/output error", "output")
        assert office.row("a.tif")["attempts"] == 0
        assert office.row("a.tif")["state"] == "pending"


def test_what_changed_is_forgotten(office: Office) -> None:
    """The scanner will find it again, or it is gone; a result that it had stays known."""
    office.ready("new.tif")
    (work,) = office.take()
    office.answer(work, "changed")
    assert office.row("new.tif") == {}

    office.ready("old.tif", early=True)
    (work,) = office.take()
    office.answer(work, "ok")
    office.now += QUIET_S
    (check,) = office.take()
    office.answer(check, "changed")
    assert office.row("old.tif")["state"] == "done"
    assert office.take() == []


def test_an_early_result_is_checked_after_the_quiet_time(office: Office) -> None:
    """The very same work is given again; that it is the same is not counted twice."""
    office.ready("a.tif", early=True)
    (work,) = office.take()
    office.answer(work, "ok", "control, score 90.0")
    assert office.row("a.tif")["recheck_s"] == QUIET_S
    office.now = QUIET_S - 0.01
    assert office.take() == []
    office.now = QUIET_S
    (check,) = office.take()
    assert isinstance(check, Work)
    assert (check.path, check.signature, check.force) == ("a.tif", signature(1), "own")
    office.answer(check, "same")

    assert office.row("a.tif")["recheck_s"] is None
    assert office.row("a.tif")["words"] == "control, score 90.0"
    assert office.work.answers == 1
    assert office.take() == []


def test_a_check_that_finds_other_pixels_is_a_result(office: Office) -> None:
    """And that one is checked no more."""
    office.ready("a.tif", early=True)
    (work,) = office.take()
    office.answer(work, "ok", "control, score 90.0")
    office.now = QUIET_S
    (check,) = office.take()
    office.answer(check, "ok", "patient, score 10.0")

    assert office.row("a.tif")["words"] == "patient, score 10.0"
    assert office.row("a.tif")["recheck_s"] is None
    assert office.work.answers == 2


def test_a_check_of_an_error_that_finds_it_again_is_no_news(office: Office) -> None:
    """It is neither counted nor told twice; another error is."""
    for first, second, answers in (("no axes", "no axes", 1), ("no axes", "no channel", 2)):
        office.ready(f"{second}.tif", early=True)
        (work,) = office.take()
        before = office.work.answers
        office.answer(work, "error", first, "axes")
        office.now += QUIET_S
        (check,) = office.take()
        office.answer(check, "error", second, "axes")

        assert office.work.answers - before == answers
        row = office.row(f"{second}.tif")
        assert (row["state"], row["words"], row["recheck_s"]) == ("failed", second, None)


def test_a_check_outlives_the_daemon(office: Office) -> None:
    """Killed between a result and its check, the next daemon checks."""
    office.ready("a.tif", early=True)
    (work,) = office.take()
    office.answer(work, "ok")
    office.now = 100.0
    office.kill()
    assert office.take() == []
    office.now += QUIET_S
    (check,) = office.take()

    assert check.path == "a.tif"


def test_retry_offers_what_failed(office: Office) -> None:
    """Failed and quarantined files are judged anew at once, and what backs off is tried."""
    for name in ("bad.tif", "slow.tif"):
        office.ready(name)
    bad, slow = office.take()
    office.answer(bad, "error", "no axes", "axes")
    office.answer(slow, "again", "cut off", "incomplete")
    assert office.take() == []
    office.dispatcher.retry(office.now)
    works = office.take()

    assert {work.path for work in works} == {"bad.tif", "slow.tif"}
    assert {work.path for work in works if isinstance(work, Work) and work.force == "all"} == {"bad.tif"}


def test_results_of_another_model_stay_and_are_told(
    office: Office, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each model that comes, with the command that would have them judged again."""
    monkeypatch.setattr(logging.getLogger(LOGGER), "propagate", True)
    caplog.set_level(logging.INFO, LOGGER)
    office.judge_with(OLD)
    office.judge(OLD, "a.tif", "b.tif")
    office.judge_with(OLD)
    assert "judges" not in caplog.text
    office.kill()
    for _ in range(3):
        office.judge_with(NEW)

    assert office.take() == []
    told = [record.getMessage() for record in caplog.records if "of demo" in record.getMessage()]
    retry = "colvi-edge retry '/data/my scope' --stale"
    assert told == [f"2 results are of demo 1.0 and stay; {retry} judges them with my 2.0"]
    assert office.row("a.tif")["model"] == OLD.sha256
    office.judge(NEW, "a.tif")
    caplog.clear()
    office.kill()
    office.judge_with(NEW)
    assert "1 result is of demo 1.0 and stays; " in caplog.text


def test_a_start_with_stale_offers_results_of_other_models(office: Office) -> None:
    """And what failed; not what this model judged: a later start finds nothing. It lasts until answered."""
    office.judge_with(OLD)
    office.judge(OLD, "a.tif", "b.tif", "gone.tif")
    office.judge(NEW, "new.tif")
    office.ready("bad.tif")
    (bad,) = office.take()
    office.answer(bad, "error", "no axes", "axes")
    office.kill(Replace.STALE)
    waits = office.dispatcher.awaits_model
    assert office.take() == []
    office.judge_with(NEW)
    assert (waits, office.dispatcher.awaits_model) == (True, False)
    assert office.wanted() == dict.fromkeys(("a.tif", "b.tif", "gone.tif", "bad.tif"), "stale")
    assert office.row("a.tif")["state"] == "done"

    office.kill()  # and begun without the option, while the roll-out was under way
    found = {}
    while works := office.take():
        for work in works:
            assert isinstance(work, Work)
            found[work.path] = work.force
            if work.path == "gone.tif":
                office.answer(work, "changed")
            elif work.path == "b.tif":
                office.answer(work, "error", "no axes", "axes", OLD)
            else:
                office.answer(work, "ok", model=NEW)
    assert found == dict.fromkeys(("a.tif", "b.tif", "gone.tif", "bad.tif"), "stale")
    assert office.row("gone.tif") == {}
    assert office.row("b.tif")["words"] == "no axes; the result of demo 1.0 stays"
    assert {str(found.model): found.results for found in office.ledger.models()} == {
        "my 2.0": 3,
        "demo 1.0": 1,
    }

    office.kill(Replace.STALE)
    office.judge_with(NEW)
    assert office.wanted() == {"b.tif": "stale"}


def test_again_offers_everything(office: Office) -> None:
    """What the ledger knows, and what it does not."""
    office.judge_with(NEW)
    office.judge(NEW, "a.tif")
    office.kill(Replace.ALL)
    office.judge_with(NEW)
    office.ready("unknown.tif")

    assert office.wanted() == {"a.tif": "all", "unknown.tif": "all"}


@pytest.mark.parametrize(
    ("force", "given"),
    [
        (Replace.OWN, {"bad.tif": "all"}),
        (Replace.STALE, {"bad.tif": "all", "old.tif": "stale"}),
        (Replace.ALL, {"bad.tif": "all", "old.tif": "all", "new.tif": "all"}),
    ],
)
def test_retry_of_results(office: Office, force: Replace, given: dict[str, str]) -> None:
    """As the operator says; a daemon that is killed before it was done knows of it, and it is done once."""
    office.judge_with(NEW)
    office.judge(OLD, "old.tif")
    office.judge(NEW, "new.tif")
    office.ready("bad.tif")
    (bad,) = office.take()
    office.answer(bad, "error", "no axes", "axes")
    office.dispatcher.retry(office.now, force)
    office.kill()
    for path in given:
        office.ready(path)
    works = []
    while taken := office.take():
        for work in taken:
            works.append(work)
            office.answer(work, "ok", model=NEW)

    assert {work.path: work.force for work in works if isinstance(work, Work)} == given
    office.kill()
    assert office.take() == []


def test_a_file_that_changed_is_not_wanted_any_more(office: Office) -> None:
    """New content is judged anyway, once."""
    office.judge_with(NEW)
    office.judge(OLD, "a.tif")
    office.dispatcher.retry(office.now, Replace.STALE)
    office.ready("a.tif", version=2)
    (work,) = office.take()
    assert isinstance(work, Work)
    assert (work.signature, work.force) == (signature(2), "own")
    office.kill()

    assert office.row("a.tif")["wanted"] == ""


def test_an_incomplete_file_gets_a_last_look(office: Office) -> None:
    """An hour after its last change the worker is told to take it as it is."""
    office.ready("cut.tif")
    lasts = []
    while office.now < 3700:
        for work in office.take():
            assert isinstance(work, Work)
            lasts.append((office.now, work.last))
            office.answer(work, "again", "cut off", "incomplete")
        office.now += 1

    assert [last for now, last in lasts if now < 3600] == [False] * len([1 for now, _ in lasts if now < 3600])
    assert lasts[-1][1]


def test_a_full_state_disk_is_told_and_stops_no_work(office: Office) -> None:
    """Results lie beside the raw files; what the ledger could not take is found again by content."""
    for number in range(50):
        office.ready(f"{number}.tif")
    works = office.take()
    (pages,) = office.ledger._connection.execute("PRAGMA page_count").fetchone()
    office.ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    told = set()
    while works:
        for work in works:
            office.answer(work, "ok", "words " * 100)
            told |= {(state.name, state.why) for state in office.conditions}
        works = office.take()
    assert office.work.answers == 50
    ((name, why),) = told
    assert name == "ledger"
    assert "disk is full; make room" in why


def test_a_ledger_that_is_read_only_is_told_until_it_is_written(office: Office) -> None:
    """That it can be read is no proof; that it can be written again is found out without any work."""
    office.ready("a.tif")
    office.ledger._connection.execute("PRAGMA query_only = ON")
    (work,) = office.take()
    office.answer(work, "ok")
    for _ in range(2):
        assert [state.name for state in office.conditions] == ["ledger"]
        office.ready("more.tif")
        office.tolerant.try_to_write()

    office.ledger._connection.execute("PRAGMA query_only = OFF")
    office.tolerant.try_to_write()
    assert list(office.conditions) == []
    assert office.tolerant.damage == ""


def test_attempts_count_where_the_ledger_cannot_be_written(office: Office) -> None:
    """As long as the process lives: a file that ends each worker is quarantined all the same."""
    office.ledger._connection.execute("PRAGMA query_only = ON")
    office.ready("a.tif")
    for attempt in range(1, QUARANTINE_AFTER + 1):
        (work,) = office.take()
        assert isinstance(work, Work)
        office.dispatcher.worker_died(f"attempt {attempt}", office.now)
    (sentence,) = office.take()

    assert isinstance(sentence, RecordFailure)
    assert sentence.message.startswith("3 attempts to read it")
    assert [state.name for state in office.conditions] == ["ledger"]


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 10**30])
def test_no_number_is_too_large_for_the_ledger(office: Office, number: int) -> None:
    """Should one come, whoever let it in: SQLite has 63 bits, and would raise what nobody expects."""
    office.ready("a.tif")
    (work,) = office.take()
    office.dispatcher.finished(WorkDone(work.number, "ok", "ab" * 32, number, "", "", 1.0), office.now)

    assert office.row("a.tif")["revision"] == 2**63 - 1


def fail(error: sqlite3.Error) -> None:
    """Raise what SQLite would."""
    raise error


def test_a_damaged_ledger_is_known_from_a_full_disk(office: Office) -> None:
    """Damage does not end by itself."""
    with office.tolerant.reading():
        fail(sqlite3.OperationalError("disk I/O error"))
    assert office.tolerant.damage == ""
    with office.tolerant.reading():
        fail(sqlite3.DatabaseError("database disk image is malformed"))
    assert "malformed" in office.tolerant.damage


def test_an_answer_of_a_worker_that_was_given_up_is_nothing(office: Office) -> None:
    """It has been given to another one."""
    office.ready("a.tif")
    (work,) = office.take()
    office.dispatcher.worker_died("the time limit of 30 s ran out", office.now)
    office.answer(work, "ok")

    assert office.row("a.tif")["state"] == "pending"
    assert len(office.take()) == 1


def test_the_last_answer_outlives_the_daemon(office: Office) -> None:
    """By its time, not its name; what an earlier daemon measured is not known any more."""
    answers: list[tuple[str, WorkOutcome]] = [("b.tif", "ok"), ("a.tif", "error")]
    for path, outcome in answers:
        office.ready(path)
        (work,) = office.take()
        office.answer(work, outcome, f"what became of {path}")
    said = office.work.last
    office.kill()
    assert said
    last = office.work.last
    assert last
    assert (last.path, last.outcome, last.words) == ("a.tif", "error", said.words)
    assert abs(last.at - said.at) < 1
    assert (last.took_ms, last.latency_ms, last.heard) == (None, None, False)
    assert office.tolerant.standing() == "1 done, 1 error"


@pytest.mark.parametrize("outcome", ["ok", "rejected", "same", "error"])
def test_the_last_outcome_outlives_the_daemon(office: Office, outcome: WorkOutcome) -> None:
    """As it was answered, whatever its words are."""
    office.ready("a.tif")
    (work,) = office.take()
    office.answer(work, outcome, "rejected ones have no score", "axes" if outcome == "error" else "")
    office.kill()

    assert office.work.last
    assert office.work.last.outcome == outcome


def test_what_was_asked_for_already_is_not_recommended(office: Office) -> None:
    """A request that waits is taken up next, so the log says that results are judged again."""
    office.judge(OLD, "a.tif")
    office.dispatcher.judge_with(NEW, Path("/data/scope"), office.now, lambda: Replace.STALE)

    assert "is judged again with" in office.work.other_models
    assert "retry" not in office.work.other_models


def test_only_a_file_that_was_heard_has_a_time_since_its_close(office: Office) -> None:
    """Found by a scan it may have lain there for days."""
    for path, early in (("a.tif", True), ("b.tif", False)):
        office.ready(path, early=early)
        (work,) = office.take()
        office.answer(work, "ok")
        assert office.work.last
        assert office.work.last.heard is early


def test_no_file_is_counted_twice(office: Office) -> None:
    """Whatever is done with it a second time: an answer that stands counts until the next one is there."""

    def counts() -> int:
        stands = {**office.ledger.counts(), "pending": 0}
        return sum(stands.values()) + office.work.pending - office.work.repeated

    office.judge(OLD, "a.tif", "b.tif")
    assert counts() == 2
    office.ready("a.tif", version=2)  # changed
    assert counts() == 2
    (work,) = office.take()
    assert counts() == 2
    assert office.ledger.counts()["done"] == 1
    office.ready("a.tif", version=3)  # and again, while it is judged
    office.answer(work, "ok", model=OLD)
    assert counts() == 2
    office.kill()  # with an answer for the second state, and word of the third
    office.ready("a.tif", version=3)
    (work,) = office.take()
    office.answer(work, "error")
    assert counts() == 2
    office.judge_with(NEW)
    office.dispatcher.retry(office.now, Replace.STALE)
    assert counts() == 2
    for work in office.take():
        assert counts() == 2
        office.answer(work, "ok", model=NEW)
    assert (counts(), office.work.pending) == (2, 0)
    office.dispatcher.retry(office.now, Replace.ALL)
    office.kill()  # what was wanted is taken up by the next one
    assert (counts(), office.work.pending) == (2, 2)
