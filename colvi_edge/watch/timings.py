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
        scanner_alive_s: between two signs of life of the scanner, if no server holds it up.
        worker_alive_s: the same of a worker that has no work.
        claim_check_s: between two looks whether both folders are there, and ours.
        local_scan_s: between two scans of a local disk; what events miss is found and told within 30 s.
        share_scan_s: the same where other machines write, or events fail.
        settling_told_s: between two messages of how many files settle, at least.
        early_look_s: between the two looks of the fast path.
        quiet_after_close_s: how long a file of a local disk stays unchanged after a close or rename.
        quiet_local_s: the same without such an event.
        quiet_share_s: the same on a share, whose writers send no events.
        leftover_s: how long a temporary file stays as it is before it is removed. A worker is given 30 s for
            a file; the clock of a share says nothing about ours, and a process number in the name nothing
            about another machine.
        events_start_s: for the watches on all folders, after which scans no longer wait for them.
        overflows_within_s: in which three overflows of the kernel's queue may be watchdog's endless loop.
        events_rest_s: without events after a failure; doubled at each further one.
        longest_events_rest_s: the longest of these rests.
        stuck_after_s: without ending, once killed, after which a child is said to hang.
        scanner_start_s: to the scanner's first message; it touches no share before it, but a slow machine
            loads it slowly.
        scanner_silent_s: after which the folder counts as not answering. Soft mounts answer with an error
            before that: CIFS after 10 s, NFS after 15.
        scanner_silence_s: after which the scanner is ended; sooner would help nobody, as the next one would
            wait for the same server.
        worker_start_s: to a worker's first message; an engine may have to be built first.
        work_limit_s: of a worker with work, from its last answer, or the begin of its first work, to the
            next answer.
        worker_silence_s: of a worker without work.
        worker_end_s: of a worker that was told to finish, to its end.
        keep_again_s: after a worker that could keep no copy of the bundle, until another one tries.
        publisher_limit_s: for one page of the report; each new picture takes 40 ms.
        publisher_pause_s: between two pages, at least.
        publisher_refresh_s: between two pages also without news; an older page says so itself.
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
    once_look_s: float = 0.25
    once_rescan_s: float = 1.0
    scanner_alive_s: float = 1.0
    worker_alive_s: float = 2.0
    claim_check_s: float = 2.0
    local_scan_s: float = 15.0
    share_scan_s: float = 5.0
    settling_told_s: float = 0.5
    early_look_s: float = 0.020
    quiet_after_close_s: float = 2.0
    quiet_local_s: float = 5.0
    quiet_share_s: float = 10.0
    leftover_s: float = 30.0
    events_start_s: float = 30.0
    overflows_within_s: float = 10.0
    events_rest_s: float = 60.0
    longest_events_rest_s: float = 3600.0
    stuck_after_s: float = 2.0
    scanner_start_s: float = 60.0
    scanner_silent_s: float = 20.0
    scanner_silence_s: float = 60.0
    worker_start_s: float = 1800.0
    work_limit_s: float = 30.0
    worker_silence_s: float = 20.0
    worker_end_s: float = 10.0
    keep_again_s: float = 600.0
    publisher_limit_s: float = 120.0
    publisher_pause_s: float = 3.0
    publisher_refresh_s: float = 600.0
