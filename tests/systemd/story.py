"""The story of a service, told inside the machine that boot.sh boots; test_real_systemd.py reports it.

Everything is the real thing: systemd, the unit as install-service writes it, the installed wheel, the demo
bundle, simulated projections. The tests run in this order, most of them on one service.
"""

import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.bundle import demo_path

COLVI_EDGE = "/opt/colvi-edge/bin/colvi-edge"
FOLDER = Path("/srv/scope 1-left")
BUNDLE = Path("/srv/model.colvi")
SLIP = f"COLVI_EDGE_{'INTERVALL'}"  # in two pieces, so that it is not taken for a variable
NOBODY = ("setpriv", "--reuid=nobody", "--clear-groups")
SECRET = "Huber_Anna"  # noqa: S105 # begins every raw file's name, and must not be in the journal


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def wait_for(what: Callable[[], Any], limit_s: float) -> Any:
    """Return what a function gives as soon as that is something."""
    end = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < end, f"waited {limit_s} s in vain"
        time.sleep(0.1)
    return found


class Service:
    """A folder's service, as an operator sees it.

    Attributes:
        folder: that is watched.
        unit: its name in systemd.
        told: what the operator was told by install-service.
        warned: what it warned of, the last time.
    """

    told: list[str]
    warned = ""

    def __init__(self, folder: Path) -> None:
        """Name a service, which need not be installed."""
        self.folder = folder
        escaped = run("systemd-escape", "--path", folder).stdout.strip()
        self.unit = f"colvi-edge@{escaped}.service"

    def install(self, *options: str, program: str = COLVI_EDGE) -> list[str]:
        """Install it and return what the operator is told."""
        command = run(program, "install-service", self.folder, "--bundle", BUNDLE, *options)
        self.warned = command.stderr
        return command.stdout.splitlines()

    def uninstall(self, *options: str) -> list[str]:
        """Take it away again and return what the operator is told."""
        return run(COLVI_EDGE, "uninstall-service", self.folder, *options).stdout.splitlines()

    def __getattr__(self, name: str) -> str:
        """Return a property of the unit, by systemd's name for it."""
        return run("systemctl", "show", "--value", "--property", name, self.unit).stdout.strip()

    def systemctl(self, verb: str) -> float:
        """Call systemctl and return how many seconds it took."""
        began = time.monotonic()
        run("systemctl", verb, self.unit)
        return time.monotonic() - began

    def children(self, role: str) -> list[int]:
        """Return the processes of the service that are a scanner or a worker."""
        found = run("pgrep", f"--parent={self.MainPID}", "--full", f"colvi_edge.watch.{role}", check=False)
        return [int(pid) for pid in found.stdout.split()]

    def drop(self, projection: Path, name: str) -> Path:
        """Save a projection as a microscope does, and return the raw file."""
        raw = self.folder / f"{SECRET}_{name}.tif"
        shutil.copyfile(projection, raw)
        return raw

    def journal(self, *options: str) -> list[dict[str, Any]]:
        """Return the entries of its unit."""
        text = run("journalctl", "--output=json", f"--unit={self.unit}", *options).stdout
        return [json.loads(line) for line in text.splitlines()]


def result(raw: Path, limit_s: float = 30) -> dict[str, Any]:
    """Wait for the sidecar of a raw file and return it."""
    sidecar = Path(f"{raw}.colvi.json")
    wait_for(sidecar.exists, limit_s)
    return dict(json.loads(sidecar.read_text()))


def share(folder: Path) -> None:
    """Let the service write to a folder, as a lab would."""
    shutil.chown(folder, group="colvi")
    folder.chmod(0o2775)


def reseal(bundle: Path) -> None:
    """Make another model of a bundle: other bytes, right hashes."""
    readme = bundle / "README.md"
    readme.write_text(readme.read_text() + "\nAnother.\n")
    sums = bundle / "SHA256SUMS"
    digest = hashlib.sha256(readme.read_bytes()).hexdigest()
    sums.write_text(re.sub(r"(?m)^\w+(?=  README\.md$)", digest, sums.read_text()))


def states(lines: list[str]) -> dict[str, str]:
    """Return what becomes of each file, and of the user, as install-service told."""
    told = (re.match(r"  (new|updated|unchanged|kept yours) +(\S.*)$", line) for line in lines)
    return {found[2]: found[1] for found in told if found}


def told(word: str, lines: list[str]) -> set[str]:
    """Return what uninstall-service told to be removed, or to stay."""
    return {line[14:] for line in lines if line.startswith(f"  {word} ")}


def files_of_the_machine() -> set[str]:
    """Return all that may be left by somebody, but for what the machine itself writes as it goes."""
    theirs = (
        "/var/log",
        "/var/cache",
        "/var/*tmp",
        "/var/lib/systemd",
        "/var/lib/postgresql",
        "*/__pycache__",
    )
    left_out = [word for place in theirs for word in ("-path", place, "-prune", "-o")]
    command = ("find", "/etc", "/usr", "/var", "/opt", "/home", "/srv", *left_out, "-print0")
    found = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.decode(errors="replace")
    return {*found.split("\0"), *map(str, Path("/").iterdir())}


@pytest.fixture(scope="session", autouse=True)
def everything() -> set[str]:
    """Return what was on the machine before any service was."""
    return files_of_the_machine()


@pytest.fixture(scope="session")
def projection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a simulated projection."""
    folder = tmp_path_factory.mktemp("simulated")
    run(COLVI_EDGE, "simulate", folder, "--images", "2")
    return next(folder.glob("patient/*.tif"))


@pytest.fixture(scope="session")
def installed() -> Service:
    """Return an installed service that does not run."""
    shutil.copytree(demo_path(), BUNDLE)
    FOLDER.mkdir()
    service = Service(FOLDER)
    service.told = service.install()
    share(FOLDER)
    # The watchdog bites in seconds, and must not do so in any of the tests but one.
    drop_in = Path(f"/etc/systemd/system/{service.unit}.d/watchdog.conf")
    drop_in.write_text("[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\n")
    run("systemctl", "daemon-reload")
    return service


@pytest.fixture
def service(installed: Service) -> Service:
    """Return the service, running."""
    installed.systemctl("start")
    return installed


def test_install_service_refuses_what_could_not_run(tmp_path: Path) -> None:
    """A fault is one sentence with its remedy now, instead of a service that fails at night."""
    good = Path("/srv/good")
    good.mkdir()
    private = Path("/srv/private")
    private.mkdir(0o700)

    def refused(*command: str | Path) -> str:
        done = run(*command, check=False)
        assert done.returncode == 2
        return done.stderr

    install = (COLVI_EDGE, "install-service")
    assert "only root" in refused(*NOBODY, *install, good, "--bundle", "demo")
    assert "sees nothing of /tmp" in refused(*install, tmp_path, "--bundle", "demo")
    shutil.copytree(demo_path(), private / "model.colvi")
    assert "colvi cannot read" in refused(*install, good, "--bundle", private / "model.colvi")
    Path("/opt/colvi-edge").chmod(0o700)
    said = refused(*install, good, "--bundle", "demo")
    Path("/opt/colvi-edge").chmod(0o755)
    assert "colvi cannot run /opt/colvi-edge/bin/colvi-edge: /opt/colvi-edge is closed to it" in said
    home = Path(sys.base_prefix)  # of the interpreter that the installation links to
    if not home.is_relative_to("/usr"):
        mode = home.stat().st_mode
        home.chmod(0o700)
        said = refused(*install, good, "--bundle", "demo")
        home.chmod(mode)
        assert f"colvi cannot run /opt/colvi-edge/bin/colvi-edge: {home} is closed to it" in said
    assert not list(Path("/etc/systemd/system").glob("colvi-edge@*"))


def test_install_service_prepares_and_starts_nothing(installed: Service) -> None:
    """The operator starts it, with a line that was printed."""
    assert installed.ActiveState == "inactive"
    assert installed.UnitFileState == "disabled"
    assert pwd.getpwnam("colvi").pw_shell == "/usr/sbin/nologin"
    assert any("setfacl" in line and "u:colvi:" in line for line in installed.told)

    again = installed.install()
    assert set(states(again).values()) == {"unchanged"}
    assert len(states(again)) == 4
    assert not any("u:colvi:" in line for line in again)
    assert installed.ActiveState == "inactive"


def test_anybody_may_ask_what_would_be_done(installed: Service) -> None:
    """Without root and without a trace; what only root can try is said not to have been tried."""
    folder = Path("/srv/asked")
    folder.mkdir()
    before = files_of_the_machine()

    said = run(*NOBODY, COLVI_EDGE, "install-service", folder, "--bundle", "demo", "--dry-run")
    assert "/etc/systemd/system/colvi-edge@srv-asked.service.d/folder.conf:\n\n# Written by" in said.stdout
    assert "only root can try what colvi may" in said.stderr
    assert "SYNTHETIC" in said.stderr
    assert files_of_the_machine() == before


def test_install_service_is_understood_by_systemd(installed: Service) -> None:
    """What stands in the drop-in for a folder arrives, blanks and all."""
    folder = Path("/srv/read only")
    folder.mkdir()
    other = Service(folder)

    told = other.install("--output-dir", "/srv/some results")

    assert other.ReadWritePaths == f'"-{folder}" "-/srv/some results"'
    assert not any("has not the rights" in line for line in told)
    assert [line.strip() for line in told if "mkdir" in line or "no such folder" in line] == [
        "/srv/some results: no such folder, so the service will wait. Make it, and let colvi write to it:",
        "sudo mkdir --parents '/srv/some results'",
    ]


def test_a_file_gets_its_result(installed: Service, projection: Path) -> None:
    """From the printed command to a sidecar that the lab can read."""
    (enable,) = (line for line in installed.told if "enable --now" in line)
    run("bash", "-c", enable.strip().removeprefix("sudo "))

    assert installed.ActiveState == "active"
    assert installed.UnitFileState == "enabled"
    raw = installed.drop(projection, "first")
    sidecar = result(raw)
    assert sidecar["status"] == "ok"
    status = Path(f"{raw}.colvi.json").stat()
    assert (pwd.getpwuid(status.st_uid).pw_name, status.st_mode & 0o777) == ("colvi", 0o640)
    assert status.st_gid == FOLDER.stat().st_gid


def test_the_sandbox_is_in_force(service: Service) -> None:
    """What the unit forbids is forbidden to the process, and the score is that of the loaded unit."""
    process = Path(f"/proc/{service.MainPID}")
    inside = ("nsenter", f"--target={process.name}", "--mount")

    run(*inside, "touch", FOLDER / "probe")
    for place in ("/etc/probe", "/opt/probe", "/root/probe", "/srv/probe", "/var/lib/probe"):
        assert "Read-only" in run(*inside, "touch", place, check=False).stderr
    assert "/dev/loop-control" not in run(*inside, "find", "/dev").stdout
    assert "\nNoNewPrivs:\t1\n" in (process / "status").read_text()
    assert (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    run("systemd-analyze", "security", "--threshold=15", service.unit)
    (FOLDER / "probe").unlink()


def test_a_child_is_what_the_kernel_takes_for_memory(service: Service) -> None:
    """Before the supervisor; and then the service goes on."""
    (worker,) = service.children("worker")

    mine, its = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (int(service.MainPID), worker)
    )
    assert its > mine > 0
    assert service.OOMPolicy == "continue"


def test_reload_takes_a_new_bundle(service: Service, projection: Path) -> None:
    """Without a restart, and without a pause that loses a file."""
    old = result(service.drop(projection, "old model"))["model"]["sha256"]
    process = service.MainPID

    reseal(BUNDLE)
    service.systemctl("reload")

    def judged_anew() -> bool:
        raw = service.drop(projection, f"new model {time.monotonic()}")
        return bool(result(raw)["model"]["sha256"] != old)

    wait_for(judged_anew, 30)
    assert (service.MainPID, service.ActiveState) == (process, "active")


def test_reload_refuses_a_bad_bundle(service: Service, projection: Path) -> None:
    """The old model goes on, and STATUS says that it does."""
    good = result(service.drop(projection, "good model"))["model"]["sha256"]
    process = service.MainPID
    sums = (BUNDLE / "SHA256SUMS").read_text()

    (BUNDLE / "SHA256SUMS").write_text(sums.replace("a", "b"))
    service.systemctl("reload")

    wait_for(lambda: "reload failed" in service.StatusText, 30)
    assert result(service.drop(projection, "bad model"))["model"]["sha256"] == good
    assert (service.MainPID, service.ActiveState) == (process, "active")
    (BUNDLE / "SHA256SUMS").write_text(sums)
    service.systemctl("reload")
    wait_for(lambda: "reload failed" not in service.StatusText, 30)


def test_a_killed_supervisor_is_restarted(service: Service, projection: Path) -> None:
    """Kill -9 costs two seconds; its children do not outlive it."""
    before = int(service.MainPID)
    children = service.children("scanner") + service.children("worker")
    assert len(children) >= 2  # a worker that had to go after the reload may still be going

    os.kill(before, signal.SIGKILL)

    wait_for(lambda: service.ActiveState == "active" and int(service.MainPID) not in (0, before), 30)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert result(service.drop(projection, "after kill"))["status"] == "ok"


def test_a_hanging_supervisor_is_restarted(service: Service, projection: Path) -> None:
    """The watchdog bites; until then it has not, whatever the tests before this one did."""

    def bites() -> int:
        return sum("Watchdog timeout" in str(entry["MESSAGE"]) for entry in service.journal())

    assert bites() == 0
    before = int(service.MainPID)

    os.kill(before, signal.SIGSTOP)

    wait_for(lambda: service.ActiveState == "active" and int(service.MainPID) not in (0, before), 30)
    assert bites() == 1
    assert result(service.drop(projection, "after hang"))["status"] == "ok"


def test_stop_hands_back_what_is_in_flight(service: Service, projection: Path) -> None:
    """Less than 15 s although the worker hangs; what it had is judged after the next start."""
    raws = [service.drop(projection, f"burst {number}") for number in range(12)]
    result(raws[0])
    (worker,) = service.children("worker")
    os.kill(worker, signal.SIGSTOP)

    took_s = service.systemctl("stop")

    assert took_s < 15
    assert service.Result == "success"
    assert not Path(f"/proc/{worker}").exists()
    assert not all(Path(f"{raw}.colvi.json").exists() for raw in raws)
    service.systemctl("start")
    assert {result(raw)["status"] for raw in raws} == {"ok"}


def test_a_folder_that_comes_late(installed: Service, projection: Path) -> None:
    """Missing at the start it is waited for; made later it is read-only in the sandbox, so it starts anew.

    Its name is a trap for every syntax that it passes through.
    """
    folder = Path('/srv/late ${HOME} "q" %h ü')
    folder.mkdir()
    late = Service(folder)
    late.install()
    folder.rmdir()

    late.systemctl("start")
    assert late.ActiveState == "active"
    wait_for(lambda: "share away" in late.StatusText, 30)
    folder.mkdir()
    share(folder)

    assert result(late.drop(projection, "late"))["status"] == "ok"
    late.systemctl("stop")


def test_a_share_that_goes_and_comes(installed: Service, projection: Path) -> None:
    """Nothing is written to the bare folder beneath, and work goes on when it is back.

    Also if the service starts without it. It lies below /home, which is read-only but for this folder.
    """
    folder = Path("/home/lab/share")
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    mount = ("mount", "-t", "tmpfs", "-o", f"size=64m,mode=2775,gid={grp.getgrnam('colvi').gr_gid}")
    run(*mount, "share", folder)
    away = Service(folder)
    away.install()
    assert "home-lab-share.mount: it was mounted by hand" in away.warned
    assert "home-lab-share.mount" in away.Wants.split()
    assert "home-lab-share.mount" not in (away.Requires + away.BindsTo).split()
    away.systemctl("start")
    process = away.MainPID
    assert result(away.drop(projection, "mounted"))["status"] == "ok"

    run("umount", "--lazy", folder)
    wait_for(lambda: "share away" in away.StatusText, 30)
    away.drop(projection, "beneath")
    run(*mount, "share", folder)
    assert result(away.drop(projection, "back"))["status"] == "ok"
    assert away.MainPID == process

    run("umount", "--lazy", folder)
    away.systemctl("restart")
    process = away.MainPID
    wait_for(lambda: "share away" in away.StatusText, 30)
    run(*mount, "share", folder)
    assert result(away.drop(projection, "back again"))["status"] == "ok"
    assert away.MainPID == process
    run("umount", "--lazy", folder)
    assert [path.name for path in folder.iterdir()] == [f"{SECRET}_beneath.tif"]
    away.systemctl("stop")


def test_the_operator_can_ask(service: Service) -> None:
    """Root finds the service's state without being told where it lies."""
    status = json.loads(run(COLVI_EDGE, "status", FOLDER, "--json").stdout)

    assert status["running"]
    assert status["files"]["done"] == len(list(FOLDER.glob("*.colvi.json")))


def test_the_journal_can_be_searched(installed: Service) -> None:
    """By event and file, as fields."""
    (entry, *_) = installed.journal("COLVI_EVENT=finished")

    assert entry["_SYSTEMD_UNIT"] == installed.unit
    assert entry["SYSLOG_IDENTIFIER"] == "colvi-edge"
    assert re.fullmatch(r"[0-9a-f]{12}", entry["COLVI_FILE"])


def test_no_name_is_in_the_journal(installed: Service) -> None:
    """Names of files hold names of people; the journal is read by others, and sent away."""
    everything = run("journalctl", "--output=export").stdout + installed.StatusText

    assert "COLVI_FILE=" in everything
    assert SECRET not in everything


@pytest.fixture(scope="session")
def newer() -> str:
    """Return the program of a second installation, beside the first, of a later version."""
    place = Path("/opt/colvi-edge-newer")
    (wheel,) = Path("/opt").glob("colvi_edge-*.whl")
    run(sys._base_executable, "-I", "-m", "venv", place)  # type: ignore[attr-defined]
    run(place / "bin/python", "-I", "-m", "pip", "install", "--no-index", "--no-deps", wheel)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "packages.pth").write_text("/packages\n")
    version = packages / "colvi_edge/__init__.py"
    version.write_text(re.sub(r"(?m)^__version__ = .*", '__version__ = "99.0"', version.read_text()))
    shutil.rmtree(version.parent / "__pycache__")
    return str(place / "bin/colvi-edge")


def test_an_update_is_told_and_can_be_rolled_back(service: Service, newer: str, projection: Path) -> None:
    """By the new program's install-service, and by the old one's; nothing that was judged is judged again.

    The settings are kept, and a slip in them is told: by install-service, and in the log.
    """
    template = "/etc/systemd/system/colvi-edge@.service"
    settings = Path(f"/etc/colvi-edge{FOLDER}.env")
    with settings.open("a") as file:
        file.write(f"{SLIP}=Huber_Anna\n")
    mine = settings.read_text()
    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*.colvi.json")}
    assert before

    for program, version in ((newer, "99.0"), (COLVI_EDGE, run(COLVI_EDGE, "--version").stdout.split()[1])):
        told = service.install(program=program)

        assert {path: state for path, state in states(told).items() if state != "unchanged"} == {
            template: "updated",
            str(settings): "kept yours",
        }
        assert settings.read_text() == mine
        assert SLIP in service.warned
        restart = told[told.index(next(line for line in told if line.startswith("It runs with what"))) + 1]
        run("bash", "-c", restart.strip().removeprefix("sudo "))
        fresh = result(service.drop(projection, f"by {version}"))
        assert fresh["software"]["version"] == version
        assert service.ActiveState == "active"

    again = service.install()
    assert "Nothing to do: all is there, and it runs." in again
    assert not any("To take over" in line for line in again)
    warnings = [entry for entry in service.journal("--priority=warning") if "INTERVALL" in entry["MESSAGE"]]
    assert {entry["MESSAGE"].rpartition("; ")[2] for entry in warnings} == {
        "did you mean COLVI_EDGE_INTERVAL?"
    }
    assert all("Huber" not in str(entry) for entry in warnings)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    status = json.loads(run(COLVI_EDGE, "status", FOLDER, "--json").stdout)
    assert status["files"]["done"] == len(before) + 2
    settings.write_text(mine.replace(f"{SLIP}=Huber_Anna\n", ""))


def test_an_old_bundle_is_rolled_back_to(service: Service, projection: Path) -> None:
    """It lies beside the new one, under another name; results of the new one stay."""
    old, aside = result(service.drop(projection, "old bundle"))["model"]["sha256"], BUNDLE.with_suffix(".old")
    shutil.copytree(BUNDLE, aside)
    reseal(BUNDLE)
    service.systemctl("restart")
    by_new = service.drop(projection, "new bundle")
    assert result(by_new)["model"]["sha256"] != old

    shutil.rmtree(BUNDLE)
    aside.rename(BUNDLE)
    service.systemctl("restart")

    assert result(service.drop(projection, "old bundle again"))["model"]["sha256"] == old
    assert result(by_new)["model"]["sha256"] != old


def test_uninstall_service_leaves_what_it_says(service: Service) -> None:
    """A running service: stopped, disabled, gone; results, settings and ledger stay, and it may come back."""
    before = files_of_the_machine()
    assert (service.ActiveState, service.UnitFileState) == ("active", "enabled")
    raw = {path: path.read_bytes() for path in FOLDER.iterdir()}
    drop_in = f"/etc/systemd/system/{service.unit}.d"
    asked = run(*NOBODY, COLVI_EDGE, "uninstall-service", FOLDER, "--dry-run").stdout
    assert "only root may look at it" in asked
    assert files_of_the_machine() == before

    lines = service.uninstall()

    assert (service.ActiveState, service.UnitFileState) == ("inactive", "disabled")
    gone = {path for path in before - files_of_the_machine() if not path.endswith(("-wal", "-shm"))}
    assert gone == told("removed", lines)
    assert told("removed", lines) == {
        f"/etc/systemd/system/multi-user.target.wants/{service.unit}",
        f"{drop_in}/folder.conf",
    }
    settings = f"/etc/colvi-edge{FOLDER}.env"
    (state,) = (place for place in told("stays", lines) if place.startswith("/var/lib/colvi-edge/watch/"))
    assert {settings, f"{drop_in}/watchdog.conf", str(FOLDER)} < told("stays", lines)
    assert Path(state, "ledger.sqlite").exists()
    assert {path: path.read_bytes() for path in FOLDER.iterdir()} == raw

    assert states(service.install())[settings] == "unchanged"
    service.systemctl("start")
    status = json.loads(run(COLVI_EDGE, "status", FOLDER, "--json").stdout)
    assert status["files"]["done"] == len(list(FOLDER.glob("*.colvi.json")))


def test_purged_nothing_is_left_of_any_service(service: Service, everything: set[str]) -> None:
    """But what is said: the user, and the folders with what is in them. Also where half of it is gone."""
    folders = [Path("/srv/read only"), Path('/srv/late ${HOME} "q" %h ü'), Path("/home/lab/share")]
    Path(f"/etc/systemd/system/{Service(folders[0]).unit}.d/folder.conf").unlink()
    shutil.rmtree(folders[1])
    Path("/etc/systemd/system/colvi-edge@.service").unlink()  # while FOLDER's service runs
    run("systemctl", "daemon-reload")
    raw = {path: path.read_bytes() for path in FOLDER.iterdir()}

    for folder in (*folders, FOLDER):
        lines = Service(folder).uninstall("--purge")

    assert service.ActiveState == "inactive"
    assert (
        "colvi-edge" not in run("systemctl", "list-units", "--all", "--plain", "colvi-edge@*").stdout.split()
    )
    assert {path: path.read_bytes() for path in FOLDER.iterdir()} == raw
    ours = ("/srv", "/home/lab", "/opt/colvi-edge-newer")  # of these tests
    left = {path for path in files_of_the_machine() - everything if not path.startswith(ours)}
    assert left == set()
    assert everything - files_of_the_machine() == set()
    assert told("stays", lines) == {str(FOLDER), "user colvi"}
    assert pwd.getpwnam("colvi")
