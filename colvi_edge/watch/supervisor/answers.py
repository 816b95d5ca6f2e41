"""What became of each file, as the operator learns of it: counted, logged, and the last answer kept."""

import logging
import time
from datetime import datetime

from colvi_edge.errors import BlockedRecordError
from colvi_edge.watch.ipc.messages import WorkDone
from colvi_edge.watch.ledger.entries import Entry
from colvi_edge.watch.status_file import Last
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.queue import QueuedFile
from colvi_edge.watch.supervisor.telling.journal import LOGGER, shown, told
from colvi_edge.watch.supervisor.telling.metrics import Counted
from colvi_edge.watch.words import WorkOutcome

log = logging.getLogger(LOGGER)


class Answers:
    """Counts and logs what became of files.

    Attributes:
        last: the last final answer, maybe of an earlier daemon; None before the first.
        total: final answers since the start.
        judged: how many of them were results that were written.
        errors: how many of them were errors.
    """

    def __init__(
        self, metrics: Counted, conditions: Conditions, newest: Entry | None, slot: str = ""
    ) -> None:
        """Begin to count.

        Args:
            metrics: where outcomes are counted, too.
            conditions: where it is raised that files have neither result nor error record.
            newest: the last final answer in the ledger.
            slot: name that the results bear.
        """
        self._by = f" by {slot}" if slot else ""
        self._bundle = {"COLVI_BUNDLE": slot} if slot else {}
        self.last = _last(newest)
        self.total = self.judged = self.errors = 0
        self._metrics = metrics
        self._conditions = conditions
        self._blocked: set[str] = set()  # files with neither result nor error record

    def note_blocked(self, path: str, answer: WorkDone) -> None:
        """Keep whether folders have the names of a file's result and of its error record."""
        is_blocked = answer.outcome == "again" and answer.kind == BlockedRecordError.kind
        (self._blocked.add if is_blocked else self._blocked.discard)(path)
        count = len(self._blocked)
        if count:
            files = f"{count} files have" if count > 1 else "1 file has"
            why = f"{files} neither result nor error record: folders have their names; rename or remove these"
            self._conditions.raise_("blocked", "blocked output", why)
        else:
            self._conditions.clear("blocked")

    def changed(self) -> None:
        """Count a file that was not any more what was announced."""
        self._metrics.count("changed")

    def retried_later(self, file: QueuedFile, kind: str, words: str) -> None:
        """Count that a file has to wait; logged once, not with each try."""
        if kind != file.kind:
            log.warning(
                "%s%s has to wait: %s: %s",
                shown(file.path),
                self._by,
                kind,
                told(words),
                extra={
                    "COLVI_EVENT": "again",
                    "COLVI_FILE": shown(file.path),
                    "COLVI_KIND": kind,
                    **self._bundle,
                },
            )
        self._metrics.count("again")

    def quarantined(self, path: str, attempts: int, why: str) -> str:
        """Count and log that a file is not read any more; return what its error record says."""
        message = (
            f"{attempts} attempts to read it ended the process that did, the last time because {why}; "
            "it is left alone until it changes, or you say: colvi-edge retry"
        )
        self._metrics.count("quarantined")
        log.error(
            "%s%s is quarantined: %s",
            shown(path),
            self._by,
            message,
            extra={"COLVI_EVENT": "quarantined", "COLVI_FILE": shown(path), **self._bundle},
        )
        return message

    def final(self, file: QueuedFile, answer: WorkDone, words: str, latency_s: float) -> None:
        """Count, log and keep a final answer; its words are without the file's name."""
        wrote_result = answer.outcome in ("ok", "rejected")
        failed = answer.outcome == "error"
        self.total += 1
        self.judged += wrote_result
        self.errors += failed
        latency_ms = round(1000 * latency_s, 1)
        heard = file.heard and not file.recheck
        self.last = Last(
            file.path, answer.outcome, words, answer.took_ms, latency_ms, time.time(), heard=heard
        )
        if not file.quarantine_message:
            self._metrics.count(answer.outcome)
        if wrote_result and not file.recheck:
            self._metrics.succeeded(latency_s, time.time())
        log.log(
            logging.WARNING if failed else logging.INFO,
            "%s%s: %s (%s)",
            shown(file.path),
            self._by,
            told(words) if failed else words,
            answer.kind or answer.outcome,
            extra={
                "COLVI_EVENT": "finished",
                "COLVI_FILE": shown(file.path),
                "COLVI_OUTCOME": answer.outcome,
                "COLVI_KIND": answer.kind,
                "COLVI_REVISION": answer.revision,
                "COLVI_TOOK_MS": answer.took_ms,
                "COLVI_LATENCY_MS": latency_ms,
                **self._bundle,
            },
        )


def kept_kind(answer: WorkDone) -> str:
    """Return what the ledger keeps as kind of a final answer: of an error its kind, else the outcome."""
    return answer.kind or ("" if answer.outcome == "ok" else answer.outcome)


def is_known(entry: Entry | None, answer: WorkDone, words: str) -> bool:
    """Return whether a recheck found what was found before; an error record has no content to compare."""
    if answer.outcome == "same":
        return True
    return entry is not None and (entry.state, entry.kind, entry.words) == ("failed", answer.kind, words)


def _last(entry: Entry | None) -> Last | None:
    """Return the last final answer, as far as the ledger has it."""
    if entry is None:
        return None
    outcome: WorkOutcome = "error"
    if entry.state == "done":
        outcome = "rejected" if entry.kind == "rejected" else "same" if entry.kind == "same" else "ok"
    at = datetime.fromisoformat(entry.at).timestamp()
    return Last(entry.path, outcome, entry.words, None, None, at)
