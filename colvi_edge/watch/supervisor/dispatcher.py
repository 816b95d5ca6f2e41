"""Where work is assigned and answers come in: what each means for the ledger and the queue.

An attempt is in the ledger before the work is given, so that it counts also if the whole machine goes down;
where the ledger cannot be written, work goes on, and attempts are known as long as this process lives.
An answer sets the count back to 0, whatever it is; the death of a worker does not.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePath

from colvi_edge.choices import Replace
from colvi_edge.printable import counted, printable_name
from colvi_edge.watch.folder.mounts import Mount
from colvi_edge.watch.ipc.messages import FileReady, RecordFailure, Work, WorkDone
from colvi_edge.watch.ipc.model import UNKNOWN, Model
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.rollout import again_words, others_of, stay_words
from colvi_edge.watch.status_file import WAITING_SHOWN, Waiting
from colvi_edge.watch.supervisor.answers import Answers, is_known, kept_kind
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.queue import OUTAGES, QueuedFile, WorkQueue
from colvi_edge.watch.supervisor.snapshot import WorkSnapshot
from colvi_edge.watch.supervisor.telling.journal import LOGGER
from colvi_edge.watch.supervisor.telling.metrics import Counted
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings

QUARANTINE_AFTER = 3
UNSEEN_DEATHS = 6
"""Attempts that ended with the whole daemon, after which a file is quarantined. More, since power cuts and
updates do that, too."""

log = logging.getLogger(LOGGER)


class Dispatcher:
    """Takes what the scanner found, assigns it to a worker, and keeps what came of it."""

    def __init__(
        self,
        ledger: TolerantLedger,
        metrics: Counted,
        conditions: Conditions,
        timings: Timings,
        now: float,
        force: Replace = Replace.OWN,
        slot: str = "",
    ) -> None:
        """Take up what the previous daemon left unchecked, or was to judge again and did not.

        Args:
            ledger: what is known of each file.
            metrics: where is counted.
            conditions: where it is raised what goes wrong.
            timings: how long an incomplete file is waited for, and others that have to wait.
            now: of the monotonic clock.
            force: results that everything is judged in spite of.
            slot: name that the results bear.
        """
        self._slot = slot
        self._ledger = ledger
        self._conditions = conditions
        self._timings = timings
        self._force = force
        self._queue = WorkQueue(timings)
        self._answers = Answers(metrics, conditions, ledger.ledger.newest(), slot)
        self._model = UNKNOWN  # what judges; none before the first worker has started
        self._other_models = ""
        self._changes = 0
        for entry in ledger.ledger.to_recheck():
            self._queue.recheck(_found(entry, now, entry.recheck_s or 0.0), attempts=entry.attempts)
        for entry in ledger.ledger.wanted():
            self._offer_known(_found(entry, now), entry, now)

    @property
    def awaits_model(self) -> bool:
        """Whether it is not known yet what judges, and so which results are of other models."""
        return self._model is UNKNOWN

    @property
    def assigned(self) -> int:
        """How many files the worker was given and has not answered."""
        return len(self._queue.assigned)

    @property
    def longest_assigned_bytes(self) -> int:
        """Length of the longest of these files; 0 if there are none."""
        return max((file.signature.bytes for file in self._queue.assigned.values()), default=0)

    @property
    def answers(self) -> int:
        """How many final answers there were since the start."""
        return self._answers.total

    def files(self) -> Iterator[QueuedFile]:
        """Yield every file that waits or is assigned."""
        return iter(self._queue)

    def snapshot(self) -> WorkSnapshot:
        """Return how work stands now; of 10^5 files in the queue it took 12 ms."""
        queue, answers = self._queue, self._answers
        tried = (Waiting(file.path, file.kind, file.words) for file in queue if file.failures)
        return WorkSnapshot(
            pending=queue.pending,
            repeated=queue.repeated,
            assigned=self.assigned,
            fewest_failures=queue.fewest_failures,
            waiting=list(islice(tried, WAITING_SHOWN)),
            awaits_model=self.awaits_model,
            other_models=self._other_models,
            changes=self._changes,
            last=answers.last,
            answers=answers.total,
            judged=answers.judged,
            errors=answers.errors,
        )

    def wake_at(self, now: float) -> float | None:
        """Return when the next of the files that wait for their time will be due; None if none does."""
        return self._queue.wake_at(now)

    def raise_troubles(self, *, outage_is_told: bool, beside: "Sequence[Dispatcher]" = ()) -> None:
        """Raise what stops all files of the folder, or of folders in it, and clear what is over.

        Args:
            outage_is_told: it is known already that the folder is not there, or does not answer.
            beside: those of other bundles, which meet the same.
        """
        queues = [self._queue, *(other._queue for other in beside)]
        trouble = next(filter(None, (queue.trouble for queue in queues)), None)
        if trouble and not (trouble.name in OUTAGES and outage_is_told):
            self._conditions.raise_("folder", trouble.name, trouble.words, of_files=True)
        else:
            self._conditions.clear("folder")
        barred = dict.fromkeys(folder for queue in queues for folder in queue.barred)
        self._conditions.raise_barred("folder not writable", barred)

    def judge_with(
        self, model: Model, root: Path, now: float, asked: Callable[[], Replace] = lambda: Replace.OWN
    ) -> None:
        """Take which model judges from now on; log once how many results are of other models.

        Args:
            model: of the worker that is given work.
            root: the watched folder.
            now: of the monotonic clock.
            asked: tells what the operator asked to be judged again, which is taken up next.
        """
        if model == self._model:
            return
        self._model = model
        with self._ledger.reading() as ledger:
            others = others_of(ledger.models(), model)
            if others:
                again = {self._force, asked()} != {Replace.OWN}
                words = again_words(others, model) if again else stay_words(others, model, root)
                self._other_models = words
                log.info("%s", words, extra={"COLVI_EVENT": "other models"})
        if self._force is not Replace.OWN:
            with self._ledger.writing():
                self._want(self._force, now)

    def offer(self, ready: FileReady, now: float) -> None:
        """Take a file that the scanner found ready."""
        self._changes += 1
        entry: Entry | None = None
        with self._ledger.reading() as ledger:
            entry = ledger.entry(ready.path)
        if entry is None or entry.signature != ready.signature:
            answered = entry is not None and entry.state != "pending"
            self._queue.offer(ready, now, force=self._force, answered=answered)
        else:
            self._offer_known(ready, entry, now)

    def _offer_known(self, ready: FileReady, entry: Entry, now: float) -> None:
        """Offer a file that the ledger knows in this very state."""
        if entry.state == "quarantined":
            self._queue.offer(ready, now, quarantine_message=entry.words, answered=True)
        elif entry.attempts >= UNSEEN_DEATHS:
            message = self._quarantine(entry.path, entry.attempts, "the whole daemon ended")
            self._queue.offer(ready, now, quarantine_message=message, answered=True)
        else:
            force = Replace(entry.wanted) if entry.wanted and self._force is not Replace.ALL else self._force
            answered = entry.state != "pending"
            self._queue.offer(ready, now, attempts=entry.attempts, force=force, answered=answered)

    def _want(self, force: Replace, now: float) -> int:
        """Let files be judged though a result of them stands; return how many."""
        entries = self._ledger.ledger.want(force, self._model.sha256)
        for entry in entries:
            self._offer_known(_found(entry, now), entry, now)
        return len(entries)

    def retry(self, now: float, force: Replace = Replace.OWN) -> None:
        """Take up all failed and quarantined files again, and let all that back off try at once.

        Args:
            now: of the monotonic clock.
            force: results that are to be judged again, too.

        Raises:
            sqlite3.Error: the ledger cannot be written.
        """
        entries = self._ledger.ledger.retry()
        for entry in entries:
            self._queue.offer(_found(entry, now), now, force=Replace.ALL)
        count = len(entries)
        if force is not Replace.OWN:
            count = self._want(force, now)
        self._queue.retry_now(now)
        words = counted(count, "file is", "files are")
        whose = f" of {self._slot}" if self._slot else ""
        log.info("retry%s: %s offered again", whose, words, extra={"COLVI_EVENT": "retry"})

    def retry_now(self, now: float) -> None:
        """Let all files that back off be tried at once: what they wait for may have ended."""
        self._queue.retry_now(now)

    def assign(
        self, mount: Mount, now: float, results_mount: Mount | None = None
    ) -> Work | RecordFailure | None:
        """Return what a worker is to be given now; None if there is nothing, or it has enough.

        Args:
            mount: of the root.
            now: of the monotonic clock.
            results_mount: of the folder of the results, where that is another one.
        """
        file = self._queue.assign(now)
        if file is None:
            return None
        if file.quarantine_message:
            return RecordFailure(file.number, file.path, mount, file.quarantine_message, results_mount)
        attempts = file.attempts + 1  # where the ledger cannot be written, the count lasts as long as this
        with self._ledger.writing() as ledger:
            attempts = ledger.begin(file.path, file.signature)
        file.attempts = attempts
        if file.answered:  # an answer for an earlier state of it was forgotten just now
            with self._ledger.reading() as ledger:
                entry = ledger.entry(file.path)
                file.answered = entry is not None and entry.state != "pending"
        return Work(
            file.number,
            file.path,
            file.signature,
            mount,
            file.is_last_try(now, self._timings.incomplete_s),
            file.force,
            file.kind,
            results_mount,
        )

    def finished(self, answer: WorkDone, now: float) -> None:
        """Take an answer of the worker."""
        file = self._queue.assigned.get(answer.number)
        if file is None:  # of a worker that was given up
            return
        prefix = f"{printable_name(PurePath(file.path).name)}: "
        self._answers.note_blocked(file.path, answer)
        words = printable_name(answer.words).removeprefix(prefix)  # SQLite takes no undecodable bytes
        if answer.outcome == "error" and answer.model:
            words += f"; the result of {answer.model} stays"
        if answer.outcome == "again":
            self._retry_later(file, answer.kind, words, now)
        elif answer.outcome == "changed":
            if not file.quarantine_message:
                with self._ledger.writing() as ledger:
                    ledger.forget(file.path)
            self._changes += 1
            self._queue.drop(file, now)
            self._answers.changed()
        else:
            self._final(file, answer, words, now)

    def worker_died(self, why: str, now: float) -> None:
        """Count the death of the worker against its files; quarantine one that it had alone too often."""
        assigned = list(self._queue.assigned.values())
        for file in assigned:
            if file.quarantine_message:  # it was not read
                self._queue.retry_later(file, now, "killed", why)
            elif file.attempts >= QUARANTINE_AFTER and len(assigned) == 1:
                self._queue.quarantine(file, now, self._quarantine(file.path, file.attempts, why))
            else:
                self._queue.requeue_alone(file, now)

    def refund_attempts(self) -> None:
        """Do not count the attempts on what is assigned: a share hangs, or the service stops."""
        for file in self._queue.assigned.values():
            if not file.quarantine_message:
                with self._ledger.writing() as ledger:
                    ledger.refund_attempt(file.path)
                file.attempts -= 1

    def wait_for_share(self, why: str, now: float) -> None:
        """Take back the files of a worker that the share had blocked; `refund_attempts` came before."""
        for file in list(self._queue.assigned.values()):
            self._queue.retry_later(file, now, "stuck", why, attempts=file.attempts)

    def _retry_later(self, file: QueuedFile, kind: str, words: str, now: float) -> None:
        if not file.quarantine_message:
            with self._ledger.writing() as ledger:
                ledger.reset_attempts(file.path)
        self._answers.retried_later(file, kind, words)
        self._queue.retry_later(file, now, kind, words)

    def _final(self, file: QueuedFile, answer: WorkDone, words: str, now: float) -> None:
        self._changes += 1
        latency_s = now - file.closed_at
        # A quarantine is in the ledger already: nothing is written, and nothing learnt of its disk.
        if file.quarantine_message or self._keep(file, answer, words):
            self._answers.final(file, answer, words, latency_s)
        self._queue.done(file, now, wrote=answer.outcome != "same")

    def _keep(self, file: QueuedFile, answer: WorkDone, words: str) -> bool:
        """Write a final answer into the ledger; return whether it says anything that is not there yet."""
        with self._ledger.writing() as ledger:
            if file.recheck and is_known(ledger.entry(file.path), answer, words):
                ledger.rechecked(file.path)
                return False
            ledger.finish(
                file.path,
                "failed" if answer.outcome == "error" else "done",
                kind=kept_kind(answer),
                words=words,
                sha256=answer.sha256,
                revision=answer.revision,
                recheck_s=file.quiet_s if file.early and not file.recheck else None,
                model=answer.model,
                files=answer.files,
            )
        return True

    def _quarantine(self, path: str, attempts: int, why: str) -> str:
        """Keep that a file must not be read again; return what its error record says."""
        message = self._answers.quarantined(path, attempts, why)
        with self._ledger.writing() as ledger:
            ledger.finish(path, "quarantined", kind="killed", words=message)
        return message


def _found(entry: Entry, now: float, quiet_s: float = 0.0) -> FileReady:
    """Return a file of the ledger as the scanner announces one."""
    return FileReady(entry.path, entry.signature, now, False, quiet_s)
