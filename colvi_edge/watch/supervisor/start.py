"""`colvi-edge watch`: takes the state folder, runs the supervisor, begins anew when the folder is lost."""

import faulthandler
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime

from colvi_edge.errors import ColviEdgeError, OutputError
from colvi_edge.system.atomic import is_temporary_name
from colvi_edge.system.whole_folder import remove_all
from colvi_edge.watch.ipc.child import leave_no_core
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.settings import WatchSettings
from colvi_edge.watch.status_file import Status, note_refusal, read_status
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.held_state import HeldState
from colvi_edge.watch.supervisor.loop import Supervisor
from colvi_edge.watch.supervisor.signals import Signals
from colvi_edge.watch.supervisor.telling import journal
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.timings import Timings

COMMANDS: Mapping[str, Sequence[str]] = {
    role: (sys.executable, "-m", f"colvi_edge.watch.{role}") for role in ("scanner", "worker", "publisher")
}


def watch(
    settings: WatchSettings,
    commands: Mapping[str, Sequence[str]] = COMMANDS,
    timings: Timings | None = None,
) -> int:
    """Diagnose each raw file of a folder as soon as it is finished, until a signal ends that.

    Args:
        settings: of the operator.
        commands: that start "scanner", "worker" and "publisher".
        timings: how long the supervisor waits for what; None takes the product's.

    Returns:
        The exit code: 0; 1 after `once`, if a file failed or was left; 75 if systemd is to start the service
        again, so that it may write into a folder that was not there before.

    Raises:
        ColviEdgeError: the worker cannot start, or the state folder cannot be used.
    """
    faulthandler.enable(2)  # where systemd's watchdog ends this process, it says what it was doing
    leave_no_core()
    journal.set_up(settings.log_names)
    settings, timings = settings.absolute().validated(), timings or Timings()
    with Signals() as signals, closing(HeldState(settings, signals, timings)) as state:
        lost = ""
        while state.begin(lost):
            before = _said_before(state)
            refused = before.refused if before else None
            _remove_leftovers(state, [judging.slot for judging in settings.judgings])
            conditions, metrics = _conditions(state), _metrics(settings, state)
            supervisor = Supervisor(settings, state, signals, commands, timings, conditions, metrics, refused)
            with closing(supervisor):
                try:
                    exit_code = supervisor.run()
                except ColviEdgeError as error:
                    _note_refusal(state, before, str(error))
                    raise
            if not supervisor.lost:
                return exit_code
            lost = supervisor.lost
        return 0


def _said_before(state: HeldState) -> Status | None:
    """Return what the daemon before this one said last; None if that cannot be read."""
    with suppress(OutputError):  # it will be written anew
        return read_status(state.folder.status)
    return None


def _note_refusal(state: HeldState, before: Status | None, why: str) -> None:
    """Say in the status why this daemon could not start, and else what the one before had said."""
    if before := before or read_status(state.folder.status):
        note_refusal(state.folder.status, before, why)


def _conditions(state: HeldState) -> Conditions:
    """Return the conditions of a daemon that begins: what of its state folder was lost."""
    conditions, ledger = Conditions(), state.ledger
    if ledger.set_aside:
        why = f"the ledger was damaged, is now {ledger.set_aside}, and is made anew from what is found"
        conditions.raise_("rebuilding", "degraded", why)
    elif ledger.dropped:
        why = f"{ledger.dropped} entries of the ledger were damaged, and are made anew from what is found"
        conditions.raise_("rebuilding", "degraded", why)
    if state.lost:
        conditions.raise_("state", "degraded", f"{state.lost}; all is made anew from what is found")
    return conditions


def _metrics(settings: WatchSettings, state: HeldState) -> Metrics:
    """Return the numbers of a daemon that begins."""
    metrics = Metrics(str(settings.folders.root), _last_done_s(state.ledger))
    for other in settings.further:
        metrics.of(other.slot, _last_done_s(state.ledger.of(other.slot)))
    return metrics


def _last_done_s(ledger: Ledger) -> float:
    at = ledger.last_done_at()
    return datetime.fromisoformat(at).timestamp() if at else 0.0


def _remove_leftovers(state: HeldState, slots: Sequence[str]) -> None:
    """Remove what a killed daemon had begun to write, and copies of bundles that are given no more."""
    with suppress(OSError):  # who deletes the whole folder now need not hurry
        for copies in state.folder.other_bundles(slots):
            remove_all(copies)
        for leftover in filter(lambda path: is_temporary_name(path.name), state.folder.path.iterdir()):
            leftover.unlink()
