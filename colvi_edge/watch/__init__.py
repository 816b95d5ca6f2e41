"""The daemon beside the microscope: some processes, so that a hung share or a bad file stops little.

    supervisor   holds ledger, timers, limits and systemd's watchdog. Opens nothing under the watched
                 root and imports no image library, so that it always answers.
    scanner      looks: events are hints, the scan is the truth; says when a file is finished.
    worker       reads, judges and writes, with the `pipeline` of every other command.
    publisher    makes the report's page, if one is asked for, when there is time.

The others are children of the supervisor on a socket pair each (`ipc.messages`). They end with it: by the
kernel's parent-death signal, by the end of the socket, and a worker asks once more before each rename.
What is done is decided by the ledger, and by content: a file that is offered twice is hashed, found to
have its result, and left alone.
"""
