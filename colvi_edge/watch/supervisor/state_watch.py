"""What reaches the daemon through its state folder: its loss, and what `colvi-edge retry` asks for."""

import sqlite3
from contextlib import suppress

from colvi_edge.choices import Replace
from colvi_edge.errors import OutputError
from colvi_edge.watch.supervisor.conditions import Conditions
from colvi_edge.watch.supervisor.held_state import HeldState
from colvi_edge.watch.supervisor.lanes.lanes import Lanes
from colvi_edge.watch.supervisor.tolerant_ledger import TolerantLedger
from colvi_edge.watch.timings import Timings


class StateWatch:
    """Looks at the state folder every few seconds, and for a retry in each round.

    Attributes:
        lost: what became of the folder, which was made again, so that all has to begin anew; "" as long as
            it is there.
        needs_systemd: the folder is lost, and only systemd can make it again.
    """

    def __init__(
        self,
        state: HeldState,
        ledger: TolerantLedger,
        lanes: Lanes,
        conditions: Conditions,
        timings: Timings,
        now: float,
    ) -> None:
        """Begin with a folder that is held.

        Args:
            state: the folder.
            ledger: in it.
            lanes: take up what is to be judged again.
            conditions: where it is raised what goes wrong.
            timings: how often is looked, and how long a loss is told.
            now: of the monotonic clock.
        """
        self.lost = ""
        self.needs_systemd = False
        self._state = state
        self._folder = state.folder
        self._ledger = ledger
        self._lanes = lanes
        self._conditions = conditions
        self._timings = timings
        self._look_at = 0.0
        self._loss_told_until = now + timings.loss_told_s
        self._request: tuple[int, int] | None = None  # for a retry: inode and time of the file
        self._taken_up: set[str] = set()  # by which bundles

    def tick(self, now: float) -> None:
        """Look whether the folder still is what is held, and whether somebody asked for a retry."""
        if now >= self._look_at:
            self._look_at = now + self._timings.state_every_s
            self._look(now)
        self._take_up_retry(now)

    def asked(self) -> Replace:
        """Return which results `colvi-edge retry` asks for, where that waits to be taken up."""
        with suppress(OSError):
            return self._folder.wanted_again()
        return Replace.OWN

    def _look(self, now: float) -> None:
        self._ledger.try_to_write()
        lost = self._state.loss() or self._ledger.damage
        if not lost:
            if now >= self._loss_told_until:  # who looks every half minute has seen it by then
                self._conditions.clear("state")
            return
        self._conditions.raise_("state", "ledger", lost)
        if now < self._state.renew_at:
            return
        try:
            self._state.renew()
        except OutputError as error:
            self._conditions.raise_("state", "ledger", f"{lost}, and cannot be made again: {error}")
            self.needs_systemd = self._state.is_for_systemd()
        else:
            self.lost = lost

    def _take_up_retry(self, now: float) -> None:
        try:
            if not self._folder.retry.is_file():
                return
            status = self._folder.retry.stat()
            if (request := (status.st_ino, status.st_mtime_ns)) != self._request:
                self._request, self._taken_up = request, set()
            wanted = self._folder.wanted_again()
            waits = [lane for lane in self._lanes if wanted is Replace.STALE and lane.dispatcher.awaits_model]
            for lane in self._lanes:
                if lane not in waits and lane.slot not in self._taken_up:
                    lane.dispatcher.retry(now, wanted)
                    self._taken_up.add(lane.slot)
            if not waits:
                self._folder.retry.unlink()
                self._request = None
        except (sqlite3.Error, OSError) as error:
            self._conditions.raise_("retry", "ledger", f"the state folder cannot be written: {error}")
        else:
            self._conditions.clear("retry")
