"""Takes away from this process, for good, what computing does not need: new files, network, programs, memory.

    Landlock    Linux 5.13 (network 6.7, signals 6.12)    files appear and change in one folder only
    seccomp     Linux 3.17, x86-64 and aarch64            no socket, no program, no other owner or mode
    limits      everywhere                                memory, processor time, size of a file, no core

Only system calls: neither root nor a library is needed. What the kernel does not offer is left out, and
`offered` says so. A thread that runs already would keep its rights under Landlock, so `confine` comes first
in a process, before any library that starts threads is imported.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MEMORY_BYTES = 2**33
"""That a confined process may take, beside what its imports took."""

PROCESSOR_S = 3600
"""Of each core: a backstop, where nothing else ends what goes on for ever."""

_FILE_BYTES = 2**30

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446  # on every processor
_LANDLOCK_VERSION, _LANDLOCK_PATH_BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = {1: 0x1FF2, 2: 1 << 13, 3: _TRUNCATE, 5: 1 << 15}
"""Rights to change files, by the version of Landlock that knows them: write, make and remove of every kind;
move between folders; truncate; control devices."""
_TCP, _SIGNALS_AND_ABSTRACT_SOCKETS = 0b11, 0b11

_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_TSYNC = 1, 2, 1
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x40000000
"""From here on calls of x86-64 have a second number."""


class _Processor(NamedTuple):
    audit: int
    seccomp: int
    refused: tuple[int, ...]
    """socket, execve, execveat, ptrace, process_vm_writev, io_uring_setup (which opens sockets, too).

    And what Landlock lets pass: chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat,
    setxattr, lsetxattr, fsetxattr. (chmod, chown and lchown are x86-64's alone.)
    """


_PROCESSORS = {
    "x86_64": _Processor(
        *(0xC000003E, 317),
        (41, 59, 322, 101, 311, 425, 90, 91, 268, 452, 92, 93, 94, 260, 188, 189, 190),
    ),
    "aarch64": _Processor(0xC00000B7, 277, (198, 221, 281, 117, 271, 425, 52, 53, 452, 55, 54, 5, 6, 7)),
}

_libc = ctypes.CDLL(None, use_errno=True)
_is_confined = False


class Offered(NamedTuple):
    """What this kernel offers.

    Attributes:
        landlock: its version; 0 for none.
        seccomp: whether there are filters of system calls that are known here.
    """

    landlock: int
    seccomp: bool


def offered() -> Offered:
    """Return what this kernel offers; nothing changes."""
    version = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    processor = _PROCESSORS.get(platform.machine())
    action = ctypes.c_uint32(_ERRNO)
    return Offered(
        landlock=max(version, 0),
        seccomp=processor is not None
        and _libc.syscall(processor.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0,
    )


def end_with_parent(parent: int) -> None:
    """End this process when its parent ends; at once, if it has.

    Args:
        parent: its process id.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit


def confine(folder: Path) -> None:
    """Confine this process for ever: files change in one folder only, without network and programs.

    Args:
        folder: the one.

    Raises:
        OSError: the kernel offers it and refuses it.
    """
    global _is_confined
    kernel = offered()
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if kernel.landlock:
        _restrict_files(kernel.landlock, folder)
    if kernel.seccomp:
        _filter_calls(_PROCESSORS[platform.machine()])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    _is_confined = True


def limit_memory(more_bytes: int = MEMORY_BYTES, processor_s: int = PROCESSOR_S) -> None:
    """Limit what this process may take from now on; to be called after its imports.

    Args:
        more_bytes: beside what it has: memory of its own that it may write to, not address space, of
            which libraries reserve what they never use.
        processor_s: of each core.
    """
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    most = int(fields["VmData"].split()[0]) * 1024 + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    seconds = processor_s * len(os.sched_getaffinity(0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """End this process if a block takes longer, wherever it is; only a confined one, whose parent tells."""
    if not _is_confined:
        yield
        return
    signal.alarm(seconds)  # without a handler: one of Python's would wait for a loop in C++ to end
    try:
        yield
    finally:
        signal.alarm(0)


def _restrict_files(version: int, folder: Path) -> None:
    changes = sum(rights for since, rights in _CHANGES.items() if since <= version)
    words = [
        changes,
        *([_TCP] if version >= 4 else []),
        *([_SIGNALS_AND_ABSTRACT_SOCKETS] if version >= 6 else []),
    ]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _check(_libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        writing = changes & (_WRITE_FILE | _TRUNCATE)
        for path, rights in ((folder, changes), (Path("/dev/null"), writing)):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", rights, opened)
                _check(_libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, rule, 0))
            finally:
                os.close(opened)
        _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _filter_calls(processor: _Processor) -> None:
    """Refuse some system calls with EPERM; one of another processor's kind ends the process."""
    refused = processor.refused
    refuse = _ERRNO | errno.EPERM
    lines = [
        (_LOAD_WORD, 0, 0, 4),  # which processor's calls
        (_JUMP_EQUAL, 1, 0, processor.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, 0),  # which call
        (_JUMP_GREATER, len(refused) + 1, 0, _X32),
        *((_JUMP_EQUAL, len(refused) - k, 0, call) for k, call in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    described = struct.pack("HP", len(lines), ctypes.addressof(program))
    _check(_libc.syscall(processor.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_TSYNC, described))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
