"""What another user may: tried by root, for a real user, with real files."""

import os
import re
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colvi_edge.bundle import demo_path
from colvi_edge.watch.service.as_user import closed_to, may, run_as
from colvi_edge.watch.service.user import missing_rights

USER = "nobody"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT CHECKED: only root can try what others may")

CHECK = """
import sys
from pathlib import Path
from colvi_edge.errors import UsageError
from colvi_edge.watch.service.checks import check_readable
try:
    check_readable("nobody", Path(sys.argv[1]), sys.argv[2])
except UsageError as error:
    print(error)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that everybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_nothing_of_root_is_left() -> None:
    """No capability in any set that counts, nor a way to one; the user's own groups."""
    status = run_as(USER, ["cat", "/proc/self/status"]).stdout
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    for held in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(lines[held], 16) == 0, held
    assert lines["NoNewPrivs"] == "1"
    assert set(lines["Uid"].split()) == {"65534"}
    assert set(lines["Gid"].split()) == {"65534"}
    assert "0" not in lines["Groups"].split()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="NOT CHECKED: setpriv is not installed")
def test_nothing_is_kept_by_securebits(place: Path) -> None:
    """A process that keeps its capabilities over a change of user, as in some containers, loses them."""
    (place / "closed").mkdir(0o700)
    shutil.copy("/bin/true", place / "closed" / "true")
    code = (
        "import sys\n"
        "from colvi_edge.watch.service.as_user import run_as\n"
        "print(open('/proc/self/status').read().count('CapEff:\\t0000000000000000'))\n"
        "try:\n"
        "    run_as('nobody', [sys.argv[1]])\n"
        "except PermissionError:\n"
        "    print('closed')\n"
    )
    keeping = ("setpriv", "--securebits=+no_setuid_fixup")
    done = subprocess.run(
        [*keeping, sys.executable, "-c", code, place / "closed" / "true"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "closed"]


def test_a_user_that_is_still_to_be_made_owns_nothing(place: Path) -> None:
    """Has the rights of all others, with a number and a group that nobody has."""
    shared, private = place / "shared", place / "private"
    shared.mkdir(0o755)
    private.mkdir(0o700)

    numbers = [run_as("no-such-user", ["id", option]).stdout.strip() for option in ("-u", "-g", "-G")]

    assert len(set(numbers)) == 1
    for table in ("passwd", "group"):
        assert subprocess.run(["getent", table, numbers[0]], check=False).returncode == 2
    assert [may("no-such-user", "x", folder) for folder in (shared, private)] == [True, False]
    assert not may("no-such-user", "w", shared)


def test_a_program_in_a_closed_folder_is_not_started(place: Path) -> None:
    """Already its place is looked up as the user."""
    shutil.copy("/bin/true", place / "true")
    assert run_as(USER, [str(place / "true")]).returncode == 0

    place.chmod(0o700)
    with pytest.raises(PermissionError):
        run_as(USER, [str(place / "true")])
    assert closed_to(USER, [place / "true"]) == place


def acl(user: int) -> bytes:
    """Return an access list, as the kernel keeps it, that lets one user more read and enter a folder."""
    nobody = 0xFFFFFFFF
    entries = ((1, 7, nobody), (2, 5, user), (4, 0, nobody), (16, 5, nobody), (32, 0, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_groups_and_access_lists_count(place: Path) -> None:
    """A folder that neither its owner nor all others are to share may be the user's all the same."""
    folder = place / "folder"
    folder.mkdir(0o750)
    assert not may(USER, "r", folder)
    assert closed_to(USER, [folder]) == folder
    os.chown(folder, -1, 65534)
    assert [may(USER, right, folder) for right in "rwx"] == [True, False, True]

    listed = place / "listed"
    listed.mkdir(0o700)
    assert closed_to(USER, [listed]) == listed
    try:
        os.setxattr(listed, "system.posix_acl_access", acl(65534))
    except OSError:
        pytest.skip("NOT CHECKED: this file system keeps no access lists")
    assert closed_to(USER, [listed]) is None
    assert not may(USER, "w", listed)


@pytest.mark.skipif(not shutil.which("unshare"), reason="NOT CHECKED: unshare is not installed")
def test_a_second_group_counts(place: Path) -> None:
    """As systemd gives it to the service: all groups of the user."""
    folder = place / "folder"
    folder.mkdir(0o750)
    os.chown(folder, -1, 54321)
    groups = place / "group"
    groups.write_text(Path("/etc/group").read_text() + "laboratory:x:54321:nobody\n")
    code = (
        "import sys; from pathlib import Path; from colvi_edge.watch.service.as_user import may\n"
        "print(may('nobody', 'r', Path(sys.argv[1])))"
    )
    mounted = 'mount --bind "$1" /etc/group && shift && exec "$@"'
    answers = [
        subprocess.check_output([*before, sys.executable, "-c", code, folder], text=True).strip()
        for before in ((), ("unshare", "--mount", "bash", "-c", mounted, "-", groups))
    ]
    assert answers == ["False", "True"]


def test_a_folder_that_the_service_cannot_enter(place: Path) -> None:
    """The operator is told which one is in the way, and how to open it."""
    folder = place / "lab" / "scope"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert missing_rights(folder, USER, "rwx") == []

    folder.chmod(0o755)
    lines = missing_rights(folder, USER, "rwx")
    assert "has not the rights rwx" in lines[0]
    assert missing_rights(folder, USER, "rx") == []

    folder.chmod(0o777)
    (place / "lab").chmod(0o700)
    lines = missing_rights(folder, USER, "rx")
    assert f"    sudo setfacl --modify u:{USER}:x {place / 'lab'}" in lines


def test_a_place_to_write_to_that_is_missing_is_made_first(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By commands that work one after another: make it, install setfacl where it is not, give the rights."""
    programs = place / "programs"
    programs.mkdir()
    for name in ("setfacl", "test"):
        (programs / name).symlink_to(shutil.which(name) or "/bin/true")
    folder = place / "lab" / "my pages"

    monkeypatch.setenv("PATH", str(programs))
    missing = missing_rights(folder, USER, "rwx")
    folder.mkdir(parents=True)
    closed = missing_rights(folder, USER, "rwx")
    (programs / "setfacl").unlink()
    without = missing_rights(folder, USER, "rwx")

    assert missing[0].startswith(f"{folder}: no such folder, ")
    assert shlex.split(missing[1]) == ["sudo", "mkdir", "--parents", str(folder)]
    assert missing[2:] == closed[1:]
    assert shlex.split(closed[1])[:2] == ["sudo", "setfacl"]
    assert closed[0].startswith(f"{USER} has not the rights rwx in {folder}")
    assert without == [
        closed[0],
        "    sudo apt install acl    # brings setfacl, which is not installed",
        *closed[1:],
    ]
    (place / "lab").chmod(0o700)
    folder.rmdir()
    assert f"    sudo setfacl --modify u:{USER}:x {place / 'lab'}" in missing_rights(folder, USER, "rwx")


class Installation:
    """An interpreter, an environment and a program of their own, which root closes step by step."""

    def __init__(self, place: Path) -> None:
        """Copy the interpreter with its library; the packages are those of this environment."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.base, self.environment = place / "base", place / "home" / "env"
        library = Path(sysconfig.get_path("stdlib"))
        unneeded = shutil.ignore_patterns(
            "site-packages", "test", "idlelib", "tkinter", "config-*", "__pycache__"
        )
        shutil.copytree(library, self.base / "lib" / version, ignore=unneeded, symlinks=True)
        (self.base / "bin").mkdir()
        interpreter = self.base / "bin" / version
        shutil.copy(Path(sys.executable).resolve(), interpreter)
        subprocess.run([interpreter, "-I", "-m", "venv", "--without-pip", self.environment], check=True)
        self.python = self.environment / "bin" / "python"
        site = self.environment / "lib" / version / "site-packages"
        self.package = site / "colvi_edge"
        source = Path(__file__).parents[3]
        compiled = shutil.ignore_patterns("__pycache__")  # which is loaded even if its source cannot be read
        shutil.copytree(source / "colvi_edge", self.package, ignore=compiled)
        others = [path for path in sys.path if path.endswith("site-packages")]
        (site / "others.pth").write_text("\n".join(others))
        self.command = self.environment / "bin" / "colvi-edge"
        self.command.write_text(f"#!{self.python}\nfrom colvi_edge.cli import main\nmain()\n")
        for path in (place, *place.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        self.command.chmod(0o755)
        if closed := closed_to(USER, map(Path, others)):
            pytest.skip(f"NOT CHECKED: the packages of this environment lie in {closed}, closed to {USER}")

    def refusal(self, bundle: str = "demo") -> str:
        """Return why `install-service` would refuse it; "" if it would not."""
        done = subprocess.run(
            [self.python, "-I", "-B", "-c", CHECK, self.command, bundle],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """Return an installation that everybody may use."""
    if os.geteuid() != 0:
        pytest.skip("NOT CHECKED: only root can try what others may")
    with tempfile.TemporaryDirectory() as name:
        yield Installation(Path(name))


@pytest.fixture
def closing(installation: Installation) -> Iterator[Callable[[Path, int], None]]:
    """Return a function that changes the mode of a file or folder, until the test ends."""
    before: list[tuple[Path, int]] = []

    def close(path: Path, mode: int) -> None:
        before.append((path, stat.S_IMODE(path.stat().st_mode)))
        path.chmod(mode)

    yield close
    for path, mode in reversed(before):
        path.chmod(mode)


def test_an_installation_for_everybody_is_taken(installation: Installation) -> None:
    """Interpreter, library, packages and bundle were loaded by that user."""
    assert installation.refusal() == ""


@pytest.mark.parametrize("part", ["home", "base", "package"])
def test_an_installation_in_a_home_is_found_out(
    installation: Installation, closing: Callable[[Path, int], None], part: str
) -> None:
    """An environment, an interpreter that environments link to, and a package in root's home."""
    closed = {
        "home": installation.environment.parent,
        "base": installation.base,
        "package": installation.package,
    }[part]
    closing(closed, 0o700)

    refusal = installation.refusal()

    why = "; install colvi-edge where every user may read it, such as an environment in /opt/colvi-edge"
    if part == "base":
        why = (
            f", and its Python leads there, to {installation.python.resolve()}; make its environment with a "
            "Python that every user may run, such as /usr/bin/python3"
        )
    assert refusal == f"nobody cannot run {installation.command}: {closed} is closed to it{why}"


def test_a_module_that_cannot_be_read_is_found_out(
    installation: Installation, closing: Callable[[Path, int], None]
) -> None:
    """Also one that only a child of the daemon loads."""
    module = installation.package / "watch" / "publisher" / "process.py"
    closing(module, 0o600)

    assert re.search(rf"nobody cannot run .*Permission denied: '{module}'", installation.refusal())


def test_a_bundle_that_cannot_be_read_is_found_out(
    installation: Installation, closing: Callable[[Path, int], None], place: Path
) -> None:
    """It as a whole, a folder above it, or one file in it."""
    bundle = place / "lab" / "model.colvi"
    shutil.copytree(demo_path(), bundle)
    for path in (place / "lab", *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert installation.refusal(str(bundle)) == ""

    for closed in (place / "lab", bundle, bundle / "bioimageio.yaml"):
        mode = stat.S_IMODE(closed.stat().st_mode)
        closed.chmod(0o600)
        refusal = installation.refusal(str(bundle))
        if closed == place / "lab":
            closed.chmod(mode)
        remedy = "put it where every user may read it, such as /srv"
        if closed != place / "lab":  # it lies well, and only its own files are closed
            remedy = f"let every user read it: sudo chmod --recursive a+rX {bundle}"
        assert refusal == f"nobody cannot read {bundle}: {closed} is closed to it; {remedy}"
        if closed != place / "lab":
            subprocess.run(shlex.split(remedy)[-4:], check=True)
            assert installation.refusal(str(bundle)) == ""
