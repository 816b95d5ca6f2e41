"""Where work is handed out and answers come in: what each means for ledger, schedule, log and numbers.

An attempt is in the ledger before the work is given, so that it counts also if the whole machine goes down;
where the ledger cannot be written, work goes on, and attempts are known as long as this process lives.
An answer sets the count back to 0, whatever it is; the death of a worker does not.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePath

from colvi_edge.choices import Replace
from colvi_edge.errors import BlockedRecordError
from colvi_edge.printable import counted, printable_name
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import FileReady, RecordFailure, Work, WorkDone
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.rollout import again_words, others_of, stay_words
from colvi_edge.watch.status_file import Last
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.queue import Piece, Schedule
from colvi_edge.watch.supervisor.telling.journal import LOGGER, shown, told
from colvi_edge.watch.supervisor.telling.metrics import Metrics

QUARANTINE_AFTER = 3
UNSEEN_DEATHS = 6
"""Attempts that ended with the whole daemon, after which a file is quarantined. More, since power cuts and
updates do that, too."""

log = logging.getLogger(LOGGER)


class Desk:
    """Takes what the scanner found, gives it to a worker, and keeps what came of it.

    Attributes:
        schedule: what waits, and what is given.
        last: the last final answer, maybe of an earlier daemon; None before the first.
        answers: final answers since the start.
        judged, errors: how many of them were results that were written, and errors.
        damage: what SQLite said of a ledger that is not sound any more; "" of one that is.
        other_models: what was said of results that are of other models.
        moves: counts whatever is new: a file that was found, or a final answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        metrics: Metrics,
        conditions: Conditions,
        now: float,
        anew: Replace = Replace.OWN,
    ) -> None:
        """Take up what the previous daemon left unchecked, or was to judge again and did not.

        Args:
            ledger: what is known of each file.
            metrics: where is counted.
            conditions: where it is raised what goes wrong.
            now: of the monotonic clock.
            anew: results that everything is judged in spite of.
        """
        self.schedule = Schedule()
        self.last = _last(ledger.newest())
        self.answers = self.judged = self.errors = self.moves = 0
        self.damage = self.other_models = ""
        self._blocked: set[str] = set()  # files with neither result nor error record
        self._is_unwritten = False  # the ledger could not be written, or read, and was not written since
        self._ledger = ledger
        self._metrics = metrics
        self._conditions = conditions
        self._anew = anew
        self._model = UNKNOWN  # what judges; none before the first worker has started
        for entry in ledger.unchecked():
            ready = FileReady(entry.path, entry.signature, now, False, entry.recheck_s or 0.0)
            self.schedule.check(ready, attempts=entry.attempts)
        for entry in ledger.wanted():
            self._offer_known(FileReady(entry.path, entry.signature, now, False, 0.0), entry, now)

    @property
    def awaits_model(self) -> bool:
        """Whether it is not known yet what judges, and so which results are of other models."""
        return self._model is UNKNOWN

    def judge_with(
        self, model: Model, root: Path, now: float, asked: Callable[[], Replace] = lambda: Replace.OWN
    ) -> None:
        """Take which model judges from now on; say once of how many results it is not the one.

        Args:
            model: of the worker that is given work.
            root: the watched folder.
            now: of the monotonic clock.
            asked: tells what the operator asked to be judged again, which is taken up next.
        """
        if model == self._model:
            return
        self._model = model
        with self._reading():
            others = others_of(self._ledger.models(), model)
            if others:
                again = {self._anew, asked()} != {Replace.OWN}
                words = again_words(others, model) if again else stay_words(others, model, root)
                self.other_models = words
                log.info("%s", words, extra={"COLVI_EVENT": "other models"})
        if self._anew is not Replace.OWN:
            with self._writing():
                self._want(self._anew, now)

    def standing(self) -> str:
        """Return how many files have a final answer, in words; "" if none has, or that cannot be told."""
        counts: dict[str, int] = {}
        with self._reading():
            counts = self._ledger.counts()
        done, errors = counts.get("done", 0), counts.get("failed", 0) + counts.get("quarantined", 0)
        return ", ".join(
            [*([f"{done:,} done"] if done else []), *([counted(errors, "error")] if errors else [])]
        )

    def offer(self, ready: FileReady, now: float) -> None:
        """Take a file that the scanner found ready."""
        self.moves += 1
        entry: Entry | None = None
        with self._reading():
            entry = self._ledger.entry(ready.path)
        if entry is None or entry.signature != ready.signature:
            answered = entry is not None and entry.state != "pending"
            self.schedule.offer(ready, now, anew=self._anew, answered=answered)
        else:
            self._offer_known(ready, entry, now)

    def _offer_known(self, ready: FileReady, entry: Entry, now: float) -> None:
        """Offer a file that the ledger knows in this very state."""
        if entry.state == "quarantined":
            self.schedule.offer(ready, now, sentence=entry.words, answered=True)
        elif entry.attempts >= UNSEEN_DEATHS:
            sentence = self._quarantine(entry.path, entry.attempts, "the whole daemon ended")
            self.schedule.offer(ready, now, sentence=sentence, answered=True)
        else:
            anew = Replace(entry.wanted) if entry.wanted and self._anew is not Replace.ALL else self._anew
            answered = entry.state != "pending"
            self.schedule.offer(ready, now, attempts=entry.attempts, anew=anew, answered=answered)

    def _want(self, anew: Replace, now: float) -> int:
        """Let files be judged though a result of them stands; return how many."""
        entries = self._ledger.want(anew, self._model.sha256)
        for entry in entries:
            self._offer_known(FileReady(entry.path, entry.signature, now, False, 0.0), entry, now)
        return len(entries)

    def remember(self, mount: Mount, output_dir: str | None = None, results: Mount | None = None) -> None:
        """Keep where the root is mounted, and where the folder of the results is, if that is another one."""
        with self._reading():
            if mount != self._ledger.mount:
                with self._writing():
                    self._ledger.mount = mount
            if output_dir and results and results != self._ledger.results_mount(output_dir):
                with self._writing():
                    self._ledger.note_results_mount(output_dir, results)

    def retry(self, now: float, anew: Replace = Replace.OWN) -> None:
        """Take up all failed and quarantined files again, and let all that back off try at once.

        Args:
            now: of the monotonic clock.
            anew: results that are to be judged again, too.

        Raises:
            sqlite3.Error: the ledger cannot be written.
        """
        entries = self._ledger.retry()
        for entry in entries:
            self.schedule.offer(
                FileReady(entry.path, entry.signature, now, False, 0.0), now, anew=Replace.ALL
            )
        count = len(entries)
        if anew is not Replace.OWN:
            count = self._want(anew, now)
        self.schedule.hurry(now)
        words = counted(count, "file is", "files are")
        log.info("retry: %s offered again", words, extra={"COLVI_EVENT": "retry"})

    def take(
        self, mount: Mount, now: float, results_mount: Mount | None = None
    ) -> Work | RecordFailure | None:
        """Return what a worker is to be given now; None if there is nothing, or it has enough.

        Args:
            mount: of the root.
            now: of the monotonic clock.
            results_mount: of the folder of the results, where that is another one.
        """
        piece = self.schedule.next(now)
        if piece is None:
            return None
        if piece.sentence:
            return RecordFailure(piece.number, piece.path, mount, piece.sentence, results_mount)
        attempts = piece.attempts + 1  # where the ledger cannot be written, the count lasts as long as this
        with self._writing():
            attempts = self._ledger.begin(piece.path, piece.signature)
        piece.attempts = attempts
        if piece.answered:  # of a state of it that is no more it was forgotten just now
            with self._reading():
                entry = self._ledger.entry(piece.path)
                piece.answered = entry is not None and entry.state != "pending"
        return Work(
            piece.number,
            piece.path,
            piece.signature,
            mount,
            piece.is_last(now),
            piece.anew.value,
            piece.kind,
            results_mount,
        )

    def finished(self, answer: WorkDone, now: float) -> None:
        """Take an answer."""
        piece = self.schedule.given.get(answer.number)
        if piece is None:  # of a worker that was given up
            return
        prefix = f"{printable_name(PurePath(piece.path).name)}: "
        is_blocked = answer.outcome == "again" and answer.kind == BlockedRecordError.kind
        (self._blocked.add if is_blocked else self._blocked.discard)(piece.path)
        self._tell_blocked()
        words = printable_name(answer.words).removeprefix(prefix)  # SQLite takes no undecodable bytes
        if answer.outcome == "error" and answer.model:
            words += f"; the result of {answer.model} stays"
        if answer.outcome == "again":
            self._again(piece, answer.kind, words, now)
        elif answer.outcome == "changed":
            if not piece.sentence:
                with self._writing():
                    self._ledger.forget(piece.path)
            self.moves += 1
            self.schedule.drop(piece, now)
            self._metrics.count("changed")
        else:
            self._final(piece, answer, words, now)

    def worker_died(self, why: str, now: float) -> None:
        """Blame what was given to a worker that ended, in whatever way."""
        given = list(self.schedule.given.values())
        for piece in given:
            if piece.sentence:  # it was not read
                self.schedule.again(piece, now, "killed", why)
            elif piece.attempts >= QUARANTINE_AFTER and len(given) == 1:
                self.schedule.condemn(piece, now, self._quarantine(piece.path, piece.attempts, why))
            else:
                self.schedule.suspect(piece, now)

    def absolve(self) -> None:
        """Take back the attempts on what is given: that a share hangs, or the service stops, is no blame."""
        for piece in self.schedule.given.values():
            if not piece.sentence:
                with self._writing():
                    self._ledger.hand_back(piece.path)
                piece.attempts -= 1

    def wait_for_share(self, why: str, now: float) -> None:
        """Take back what was given to a worker that a share had held up; `absolve` came before."""
        for piece in list(self.schedule.given.values()):
            self.schedule.again(piece, now, "stuck", why, attempts=piece.attempts)

    def try_to_write(self) -> None:
        """Find out whether a ledger that could not be written can be written again."""
        if self._is_unwritten:
            with self._writing():
                self._ledger.touch()

    def note(self, error: sqlite3.Error) -> None:
        """Take what SQLite said against reading or writing the ledger."""
        self._is_unwritten = True
        if type(error) is sqlite3.DatabaseError:  # "malformed", "not a database"; what may end is of others
            self.damage = f"the ledger is damaged: {error}"
        self._conditions.raise_("ledger", "ledger", _ledger_words(error))

    def _again(self, piece: Piece, kind: str, words: str, now: float) -> None:
        if not piece.sentence:
            with self._writing():
                self._ledger.answered(piece.path)
        if kind != piece.kind:  # said once, not with each try
            log.warning(
                "%s has to wait: %s: %s",
                shown(piece.path),
                kind,
                told(words),
                extra={"COLVI_EVENT": "again", "COLVI_FILE": shown(piece.path), "COLVI_KIND": kind},
            )
        self.schedule.again(piece, now, kind, words)
        self._metrics.count("again")

    def _final(self, piece: Piece, answer: WorkDone, words: str, now: float) -> None:
        self.moves += 1
        latency_s = now - piece.closed_at
        news = True
        with self._writing():
            if piece.check and self._is_known(piece.path, answer, words):
                news = False
                self._ledger.checked(piece.path)
            elif not piece.sentence:
                self._ledger.finish(
                    piece.path,
                    "failed" if answer.outcome == "error" else "done",
                    kind=answer.kind,
                    words=words,
                    sha256=answer.sha256,
                    revision=answer.revision,
                    recheck_s=piece.quiet_s if piece.early and not piece.check else None,
                    model=answer.model,
                    files=answer.files,
                )
        if news:
            self._tell(piece, answer, words, latency_s)
        self.schedule.done(piece, now, wrote=answer.outcome != "same")

    def _tell_blocked(self) -> None:
        count = len(self._blocked)
        if count:
            files = f"{count} files have" if count > 1 else "1 file has"
            why = f"{files} neither result nor error record: folders have their names; rename or remove these"
            self._conditions.raise_("blocked", "blocked output", why)
        else:
            self._conditions.clear("blocked")

    def _is_known(self, path: str, answer: WorkDone, words: str) -> bool:
        """Return whether a check found what was found before; an error record has no content to compare."""
        if answer.outcome == "same":
            return True
        entry = self._ledger.entry(path)
        return entry is not None and (entry.state, entry.kind, entry.words) == ("failed", answer.kind, words)

    def _tell(self, piece: Piece, answer: WorkDone, words: str, latency_s: float) -> None:
        self.answers += 1
        self.judged += answer.outcome in ("ok", "rejected")
        self.errors += answer.outcome == "error"
        self.last = Last(
            piece.path,
            answer.outcome,
            words,
            answer.took_ms,
            round(1000 * latency_s, 1),
            time.time(),
            heard=piece.heard and not piece.check,
        )
        if not piece.sentence:
            self._metrics.count(answer.outcome)
        if answer.outcome in ("ok", "rejected") and not piece.check:
            self._metrics.succeeded(latency_s, time.time())
        log.log(
            logging.WARNING if answer.outcome == "error" else logging.INFO,
            "%s: %s (%s)",
            shown(piece.path),
            told(words) if answer.outcome == "error" else words,
            answer.kind or answer.outcome,
            extra={
                "COLVI_EVENT": "finished",
                "COLVI_FILE": shown(piece.path),
                "COLVI_OUTCOME": answer.outcome,
                "COLVI_KIND": answer.kind,
                "COLVI_REVISION": answer.revision,
                "COLVI_TOOK_MS": answer.took_ms,
                "COLVI_LATENCY_MS": round(1000 * latency_s, 1),
            },
        )

    def _quarantine(self, path: str, attempts: int, why: str) -> str:
        """Note that a file must not be read again; return the sentence of its error record."""
        sentence = (
            f"{attempts} attempts to read it ended the process that did, the last time because {why}; "
            "it is left alone until it changes, or you say: colvi-edge retry"
        )
        with self._writing():
            self._ledger.finish(path, "quarantined", kind="killed", words=sentence)
        self._metrics.count("quarantined")
        log.error(
            "%s is quarantined: %s",
            shown(path),
            sentence,
            extra={"COLVI_EVENT": "quarantined", "COLVI_FILE": shown(path)},
        )
        return sentence

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Go on where the ledger cannot be written: what it does not know is found again by content."""
        try:
            yield
        except sqlite3.Error as error:
            self.note(error)
        else:
            self._is_unwritten = False
            self._conditions.clear("ledger")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Go on where the ledger cannot be read; that it can be read is no news of a full disk."""
        try:
            yield
        except sqlite3.Error as error:
            self.note(error)


def _last(entry: Entry | None) -> Last | None:
    """Return the last final answer, as far as the ledger has it."""
    if entry is None:
        return None
    done = "rejected" if entry.words.startswith("rejected") else "ok"
    outcome = done if entry.state == "done" else "error"
    at = datetime.fromisoformat(entry.at).timestamp()
    return Last(entry.path, outcome, entry.words, None, None, at)


def _ledger_words(error: sqlite3.Error) -> str:
    return f"the state folder cannot be written: {error}; make room there or check its permissions"
