"""What the daemon asks of the kernel while good and hostile files arrive: P1 and P5, by strace.

    python -m tests.soak.trace

P1: no raw file is opened for writing, renamed, removed, locked, mapped or changed. P5: nothing outside the
watched folder, the state directory and the installed programs is opened, whatever a file's name or content
says; no pipe, device or link is opened; no socket is listened on.
"""

import argparse
import re
import shutil
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import colvi_edge
from tests.soak import corpus, images
from tests.soak.daemon import ROLES, Daemon, recorded, say, verdict, wait_for, workplace

CALLS = (
    "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,"
    "truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,setxattr,fsetxattr,"
    "flock,fcntl,mmap,listen,bind,connect"
)
RECORD_S = 60.0
SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/urandom",
)


@dataclass(frozen=True)
class Call:
    """A system call, as strace wrote it.

    Attributes:
        name: of the call.
        words: its arguments.
        result: what it returned; with the path, if that is a descriptor.
    """

    name: str
    words: str
    result: str

    @property
    def paths(self) -> list[str]:
        """Every path of a descriptor in it."""
        return re.findall(r"\d<(/[^>]*)>", f"{self.words} {self.result}")

    @property
    def opened(self) -> str:
        """The path that it opened; "" if it opened none."""
        found = re.match(r"\d+<(/.*)>$", self.result)
        return found[1] if found else ""


def main() -> None:
    """Trace a short run, and look at every call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="to work in")
    parser.add_argument("--keep", type=Path, help="put the traces here")
    arguments = parser.parse_args()
    if not shutil.which("strace"):
        say("trace: SKIPPED, strace is not installed; apt-get install strace")
        raise SystemExit(77)
    with workplace(arguments.folder) as place:
        place = place.resolve()
        root, traces = place / "root", place / "traces"
        root.mkdir()
        traces.mkdir()
        listening = run(place, root, traces)
        calls = [call for path in sorted(traces.iterdir()) for call in read(path)]
        faults = [*judge(calls, place), *listening]
        if arguments.keep:
            shutil.copytree(traces, arguments.keep, dirs_exist_ok=True)
    verdict("trace", faults)


def run(place: Path, root: Path, traces: Path) -> list[str]:
    """Let files of all kinds arrive at a traced daemon; return the faults that /proc/net shows."""
    outside = place / "outside" / "secret.tif"
    outside.parent.mkdir()
    images.write(outside, images.image(99))
    prefix = ("strace", "-ff", "-y", "-qq", "--seccomp-bpf", "-s", "4096", "-e", f"trace={CALLS}")
    with Daemon(root, place / "state", prefix=(*prefix, "-o", str(traces / "call"))) as daemon:
        special = root / "special"
        special.mkdir()
        for name, make in corpus.special(outside).items():
            make(special / name)
        (special / "folder_outside").symlink_to(outside.parent)
        for number in range(5):
            images.write(root / f"good_{number}.tif", images.image(number))
        for name, data in corpus.hostile(outside).items():
            images.write(root / name, data)
        images.write(root / "last.tif", images.image(5))
        wait_for(lambda: recorded(root / "last.tif"), RECORD_S, "for the last good file")
        wait_for(lambda: recorded(special / "pipe.tif"), RECORD_S, "for the pipe")
        faults = [
            f"{role} has a listening socket: {socket}"
            for role in ROLES
            for socket in listening_sockets(daemon.pid(role))
        ]
    return faults


def listening_sockets(process: int | None) -> list[str]:
    """Return the sockets of a process that wait for somebody to connect, as /proc tells."""
    place = Path(f"/proc/{process}")
    links = []
    for descriptor in (place / "fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            links.append(str(descriptor.readlink()))
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links}
    found = []
    inet, unix = (3, 9, "0A"), (3, 6, "00010000")
    for family, (state, inode, listens) in {"tcp": inet, "tcp6": inet, "unix": unix}.items():
        for line in (place / "net" / family).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[inode] in own and fields[state] == listens:
                found.append(f"{family} {line}")
    return found


def read(path: Path) -> Iterator[Call]:
    """Yield the calls in a trace of one thread."""
    for line in path.read_text(errors="replace").splitlines():
        if found := re.match(r"(\w+)\((.*)\)\s+= (.*)$", line):
            yield Call(*found.groups())


def judge(calls: list[Call], place: Path) -> list[str]:
    """Print what was counted, and return every call that breaks a promise."""
    root = f"{place}/root"
    trees = Counter(tree(call.opened, place) for call in calls if call.opened)
    opened = ", ".join(f"{where} {count}" for where, count in trees.most_common())
    say(f"{len(calls)} calls; opened: {opened}")
    faults = [f"P5 opened {call.opened}" for call in calls if call.opened and not tree(call.opened, place)]
    seen: Counter[str] = Counter()
    for call in calls:
        inside = [path for path in call.paths if path == root or path.startswith(f"{root}/")]
        names = re.findall(r'"((?:[^"\\]|\\.)*)"', call.words)
        if f"{place}/outside" in f"{call.words}{call.result}":
            faults.append(f"P5 {call}")
        if call.name in ("listen", "bind") or (call.name == "connect" and "AF_INET" in call.words):
            faults.append(f"P5 {call}")
        if not inside and not any(name.startswith(root) for name in names):
            continue
        seen[call.name] += 1
        if is_breach(call, names, inside[-1] if inside else ""):
            faults.append(f"P1 {call}")
    say("on the watched folder: " + ", ".join(f"{name} {count}" for name, count in seen.most_common()))
    if not seen["openat"] or not seen["renameat"] + seen["rename"] + seen["renameat2"]:
        faults.append("the trace shows no work at all")
    return faults


def is_breach(call: Call, names: list[str], path: str) -> bool:
    """Return whether a call on the watched folder does something to what is not ours."""
    ours = [is_ours(name) for name in names]
    if call.name.startswith("open"):
        writes = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", call.words)
        special = is_special(call.opened) and "O_PATH" not in call.words
        return bool(special or (writes and not all(ours)))
    if call.name.startswith(("rename", "unlink")):
        return not ours or not all(ours)
    if call.name == "fcntl":
        return "LK" in call.words and not is_ours(path)
    if call.name == "connect":
        return True
    return not is_ours(path)  # locked, mapped, cut, given other rights or times


def is_ours(name: str) -> bool:
    """Return whether a name is of the daemon's own files."""
    base = name.rpartition("/")[2]
    return ".colvi." in base or base == ".colvi-edge.lock" or bool(re.fullmatch(r"\.colvi-.*\.tmp", base))


def is_special(path: str) -> bool:
    """Return whether a path is one of the things that are no file and no folder of files."""
    return "/special/" in path and ".colvi" not in path


def tree(path: str, place: Path) -> str:
    """Return of which permitted tree a path is; "" if of none."""
    trees = {
        "root": f"{place}/root",
        "state": f"{place}/state",
        "package": str(Path(colvi_edge.__file__).resolve().parents[1]),
        "python": sys.prefix,
        "python's base": sys.base_prefix,
        "standard library": sysconfig.get_path("stdlib"),
        **{system: system for system in SYSTEM},
    }
    if path == "/":  # listed by `python -m`, which looks for modules in the working directory
        return path
    return next((name for name, top in trees.items() if path == top or path.startswith(f"{top}/")), "")


if __name__ == "__main__":
    main()
