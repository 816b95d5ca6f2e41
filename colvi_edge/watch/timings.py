"""How long the daemon's processes wait: for each other, for a disk or a share, and between two looks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """Waiting times in seconds. The product takes them as they are; tests pass shorter ones.

    Attributes:
        idle_round_s: one round of the supervisor while no worker has work.
        busy_round_s: the same while one has; a memory bomb grows by some hundred MB within that.
        paused_after_s: between two rounds, after which the machine or the supervisor had stood still.
        stop_limit_s: for work outstanding when the daemon stops; the unit gives 15 s for all.
        end_limit_s: for children that were killed; what hangs on a share is left to the kernel.
        state_every_s: between two looks at the state folder.
        loss_told_s: how long it is said that the state folder was lost and begun anew.
        same_loss_s: after the begin, within which another loss is taken for the same again.
        heartbeat_s: between two looks for news to tell.
        status_every_s: between two status files, also without news; older than 30 s is taken for silence.
        longest_backoff_s: between two tries of what fails again and again.
        incomplete_s: how long an incomplete file may stay as it is before it gets its error record.
        once_patience_s: `--once` with files that keep changing; the longest quiet time is 60 s.
        once_look_s: between two looks of `--once` at a queue that is being worked off.
        once_rescan_s: between two scans that `--once` asks for, at least.
    """

    idle_round_s: float = 1.0
    busy_round_s: float = 0.2
    paused_after_s: float = 5.0
    stop_limit_s: float = 10.0
    end_limit_s: float = 1.0
    state_every_s: float = 2.0
    loss_told_s: float = 60.0
    same_loss_s: float = 600.0
    heartbeat_s: float = 2.0
    status_every_s: float = 10.0
    longest_backoff_s: float = 60.0
    incomplete_s: float = 3600.0
    once_patience_s: float = 120.0
    once_look_s: float = 0.1
    once_rescan_s: float = 1.0
