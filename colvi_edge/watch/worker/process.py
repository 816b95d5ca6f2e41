"""The worker: diagnoses the files that the supervisor assigns, and replies what became of each.

    python -m colvi_edge.watch.worker DESCRIPTOR SUPERVISOR_PID

Everything below the watched root is reached through descriptors that were opened without following a
link, and nothing is written that is not true any more: before each rename the raw file must be in the
state that was read, the root on its mount, and the supervisor alive.
"""

import errno
import gc
import os
import select
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from colvi_edge.acquisition import Limits
from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.bundle.task import Segment
from colvi_edge.choices import Replace
from colvi_edge.engines import Engine, blank_planes, open_engine
from colvi_edge.errors import (
    AcquisitionError,
    BlockedOutputError,
    BlockedRecordError,
    BundleError,
    ColviEdgeError,
    EngineLostError,
    IncompleteFileError,
    OutputError,
)
from colvi_edge.outputs.names import slot_of
from colvi_edge.outputs.sidecar import Index, Sidecar
from colvi_edge.pipeline import Kept, Outcome, process
from colvi_edge.pipeline.cascade import diagnosers_of
from colvi_edge.pipeline.standing import keeps, kept_result
from colvi_edge.pipeline.writing import write_error
from colvi_edge.watch.folder.folders import Folders, ShareAwayError
from colvi_edge.watch.ipc.channel import as_words
from colvi_edge.watch.ipc.child import SupervisorLink, join_supervisor
from colvi_edge.watch.ipc.messages import (
    Alive,
    Finish,
    Labels,
    RecordFailure,
    StartRefused,
    Work,
    WorkDone,
    WorkerReady,
)
from colvi_edge.watch.ipc.model import Model
from colvi_edge.watch.ipc.settings import WorkerSettings
from colvi_edge.watch.words import NOT_WRITABLE, Trouble, WorkOutcome
from colvi_edge.watch.worker.kept_bundles import kept_bundle
from colvi_edge.watch.worker.watched_file import (
    GONE,
    MAY_BE_HELD,
    PERMANENT,
    ChangedFileError,
    QuarantinedError,
    WatchedFile,
    error_number,
)
from colvi_edge.watch.worker.whose import NOTHING, Whose

REPLACED = "the result before it is now .colvi.prev.json"
NOTHING_JUDGED = "nothing_judged"
"""Kind of error of a container none of whose images could be judged."""

_GIVES_WAY = 5
"""Niceness of a further bundle's worker. On two busy cores the first's result of a 1024 px image came after
0.8 s so, as alone; after 1.5 s without."""

_LENDER = "-"
"""In the place of a slot: of the bundle whose regions are judged; its results another process writes."""

_FULL_OR_CLOSED: dict[int, Trouble] = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk full",
    errno.EROFS: "read-only",
}


class Worker:
    """Takes work from the channel, and replies to each piece of it once."""

    def __init__(self, supervisor: SupervisorLink, settings: WorkerSettings) -> None:
        """Remember what to do and with whom; nothing is opened yet."""
        self._channel = supervisor.channel
        self._may_write = supervisor.is_alive
        self._settings = settings
        self._begun: dict[int, WatchedFile] = {}
        self._model = ""  # SHA-256 of what judges
        self._slot = settings.judging.slot
        # What an image failed for whose earlier result stands.
        self._failed_images: dict[int, ColviEdgeError] = {}

    def run(self) -> None:
        """Work until told to finish, or the supervisor ends."""
        folders, judging = Folders(self._settings.folders), self._settings.judging
        try:
            bundle, not_kept = kept_bundle(judging.bundle, self._settings.keep)
            _refuse_other_name(bundle, self._slot)
            self._model = bundle.sha256
            bundles = {self._slot: bundle}
            if judging.lender:
                bundles[_LENDER] = open_bundle(judging.lender)
            engines = {
                slot: open_engine(one, judging.engine, judging.precision) for slot, one in bundles.items()
            }
            engine = engines[self._slot]
            diagnoser, *_ = diagnosers_of(
                bundles,
                engines,
                channels=judging.channels,
                limits=Limits.named(judging.limits),
                overlay=judging.overlay,
                replace=Replace.ALL,
                pixel_size_um=judging.pixel_size_um,
            )
            # So that the first real image is not the slow one.
            engine.field(blank_planes(bundle.config))
        except ColviEdgeError as error:
            self._channel.send(StartRefused(error.exit_code, error.kind, as_words(error)))
            return
        if isinstance(bundle.config.task, Segment):
            self._channel.send(Labels())
        self._channel.send(_ready(bundle, engine, not_kept))
        if self._slot:
            _give_way()
        gc.freeze()  # see `pipeline.process`; this process has no other task
        try:
            for outcome in process(diagnoser, self._files(folders)):
                self._answer(outcome)
        except EngineLostError as error:
            # The engine's fault, not the files': their attempts must not count against them.
            for number in list(self._begun):
                self._reply(number, "again", words=str(error), kind=error.kind)
            raise
        for opened in engines.values():
            opened.close()

    def _files(self, folders: Folders) -> Iterator[WatchedFile]:
        for work in self._assigned():
            file = self._begun[work.number] = WatchedFile(work, folders, self._may_write)
            if isinstance(work, RecordFailure):
                self._record_failure(file, work)
            elif result := self._kept_result(file, work.force):
                self._reply(work.number, "same", result)
            else:
                yield file

    def _assigned(self) -> Iterator[Work | RecordFailure]:
        while True:
            if not select.select([self._channel], [], [], self._settings.timings.worker_alive_s)[0]:
                self._channel.send(Alive())
                continue
            messages = self._channel.receive()
            if messages is None:
                return
            for message in messages:
                if isinstance(message, Finish):
                    return
                if isinstance(message, Work | RecordFailure):
                    yield message

    def _kept_result(self, file: WatchedFile, replace: Replace) -> Sidecar | Index | None:
        """Return the intact result of exactly this content: nothing is judged twice that need not be."""
        if replace is Replace.ALL:
            return None
        is_kept = keeps(replace, self._model) if replace is Replace.STALE else _any_model
        return kept_result(file, is_kept, failed_too=True, slot=self._slot)

    def _record_failure(self, file: WatchedFile, work: RecordFailure) -> None:
        try:
            write_error(QuarantinedError(work.message), file, slot=self._slot)
        except ColviEdgeError as trouble:
            self._answer(Outcome(file, trouble))
        else:
            self._reply(work.number, "error", words=work.message, kind=QuarantinedError.kind)

    def _answer(self, outcome: Outcome[WatchedFile]) -> None:
        file, result = outcome.file, outcome.result
        number = file.work.number
        if outcome.replaced:
            file.note(REPLACED)
        if outcome.image_key:  # the file's own answer follows
            if outcome.stands is not None and isinstance(result, ColviEdgeError):
                self._failed_images[number] = result
            return
        failed_image, stands = self._failed_images.pop(number, None), outcome.stands
        if failed_image is not None and isinstance(result, Index):
            stands = result
            result = failed_image
        if isinstance(result, Sidecar | Index):
            kind = NOTHING_JUDGED if result.status == "error" else ""
            self._reply(number, result.status, result, kind=kind)
            return
        if isinstance(result, Kept):
            self._reply(number, "same", result.sidecar)
            return
        code = error_number(result)
        if isinstance(result, ChangedFileError) or (_is_of_file(result) and code in GONE):
            self._reply(number, "changed", words=str(result), kind=result.kind)
        elif isinstance(result, BlockedOutputError):
            neither = isinstance(result, BlockedRecordError)
            self._reply(number, "again" if neither else "error", None, str(result), result.kind, stands)
        elif isinstance(result, OutputError):
            done: WorkOutcome = "error" if code in PERMANENT else "again"
            self._reply(number, done, None, str(result), output_kind(result), stands)
        elif file.is_final(result):
            self._reply(number, "error", None, str(result), result.kind, stands)
        else:
            kind = IncompleteFileError.kind if code in MAY_BE_HELD else result.kind
            self._reply(number, "again", words=str(result), kind=kind)

    def _reply(
        self,
        number: int,
        outcome: WorkOutcome,
        result: Sidecar | Index | None = None,
        words: str = "",
        kind: str = "",
        stands: Sidecar | Index | None = None,
    ) -> None:
        file = self._begun.pop(number)
        took_ms = round(1000 * (time.monotonic() - file.began), 1)
        sha256, revision = "", 0
        if result is not None:
            sha256 = result.image.sha256 or ""
            words = ", ".join([summary(result), *dict.fromkeys(file.notes)])
        if isinstance(result, Sidecar):
            revision = result.revision
        model, files = self._standing(file, result or stands)
        self._channel.send(
            WorkDone(number, outcome, sha256, revision, as_words(words), kind, took_ms, model, files)
        )

    def _standing(self, file: WatchedFile, result: Sidecar | Index | None) -> Whose:
        """Return whose result stands beside a raw file, whether it was just written or kept."""
        if not isinstance(result, Index):
            return Whose.of(result) if result else NOTHING
        try:
            with file.results() as folder:
                return Whose.of_index(result, folder, file.name, self._model)
        except ColviEdgeError:  # the folder went away since
            return NOTHING


def _give_way() -> None:
    """Let the first bundle's worker go before this one, with each of its threads: the engine has its own."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            thread = int(task.name)
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _GIVES_WAY)


def _ready(bundle: Bundle, engine: Engine, not_kept: str) -> WorkerReady:
    info = engine.info
    return WorkerReady(
        bundle=str(bundle.path),
        model=bundle.name,
        model_sha256=bundle.sha256,
        runtime=info.label,
        precision=info.precision,
        device=info.device,
        reason=info.reason,
        not_kept=not_kept,
        model_version=Model.of(bundle.name, bundle.version, bundle.sha256).version,
    )


def _refuse_other_name(bundle: Bundle, slot: str) -> None:
    """Refuse a bundle whose results would bear another name than those of the one before it."""
    if slot and (found := slot_of(bundle.name)) != slot:
        raise BundleError(
            f"found a bundle whose results are called X.tif.{found}.colvi.*, expected one of the name of the "
            f"one before it, for X.tif.{slot}.colvi.*; start the daemon again to judge with it"
        )


def output_kind(error: OutputError) -> str:
    """Return the kind of an error of writing: what suffers from it, if more than the one file does."""
    cause = error.__cause__
    # A rename is also refused where somebody has the older result open.
    if isinstance(cause, PermissionError) and cause.filename2 is None:
        return NOT_WRITABLE
    return _FULL_OR_CLOSED.get(error_number(error) or 0, error.kind)


def _any_model(_: Sidecar) -> bool:
    """Return True: what was judged once is not judged again, whichever model it was."""
    return True


def _is_of_file(error: ColviEdgeError) -> bool:
    """Return whether an error is about the raw file itself, and not about the folder that it lies in."""
    return isinstance(error, AcquisitionError) and not isinstance(error, ShareAwayError)


def summary(result: Sidecar | Index) -> str:
    """Return the few words about a result that a log has room for."""
    if isinstance(result, Index):
        counts = Counter(entry.status for entry in result.images)
        words = [f"{counts[status]} {status}" for status in ("ok", "rejected", "error") if counts[status]]
        return f"images: {', '.join(words)}"
    if result.status == "rejected":
        return "rejected"
    if result.objects is not None:
        return ", ".join(f"{count:,} {name}" for name, count in result.objects.by_class.items())
    if result.regions is not None:
        return ", ".join(f"{region.name} {100 * region.share:.1f} %" for region in result.regions)
    return "measured" if result.diagnosis is None else f"{result.diagnosis}, score {result.score:.1f}"


def main() -> None:
    """Run a worker on the channel whose descriptor the command line names."""
    supervisor = join_supervisor()
    settings = supervisor.channel.first()
    if not isinstance(settings, WorkerSettings):
        raise TypeError(f"the first message to a worker is its settings, not {settings}")
    try:
        Worker(supervisor, settings).run()
    except BaseException:  # noqa: BLE001 - printed, and the end
        if supervisor.is_alive():
            sys.excepthook(*sys.exc_info())
        os._exit(1)  # the reading thread waits for work, and an ordinary exit would wait for it
