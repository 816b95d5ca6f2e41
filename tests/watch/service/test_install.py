"""What install-service says and writes, below another root; the real thing is tested under a real systemd."""

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colvi_edge.errors import BundleError, OutputError, UsageError
from colvi_edge.watch.service.checks import SeveralFaultsError, bundles_of, full_paths
from colvi_edge.watch.service.install import plan_installation
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.service.systemd import escaped as our_escaped
from colvi_edge.watch.service.systemd import watched_by
from colvi_edge.watch.service.uninstall import plan_removal
from colvi_edge.watch.service.unit_files import environment, read_environment, unit
from tests.tools.bundles import rename
from tests.tools.services import COMMAND, INTERPRETER, contents, escaped, install, make_root

pytestmark = pytest.mark.systemd

FOLDER = Path("/srv/scope 1-left")
"""Its name has to be escaped."""
UNITS = "etc/systemd/system"
TEMPLATE = f"{UNITS}/colvi-edge@.service"
SETTINGS = f"etc/colvi-edge{FOLDER}.env"
BUNDLE = "/srv/model.colvi"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of another system."""
    return make_root(tmp_path / "image", FOLDER)


def written(root: Path) -> dict[str, str]:
    """Return every file of its /etc with its text."""
    paths = (path for path in (root / "etc").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def drop_in_of(folder: Path, root: Path) -> str:
    """Return what systemd has to know of a folder."""
    return written(root)[f"{UNITS}/colvi-edge@{escaped(folder)}.service.d/folder.conf"]


def states(lines: list[str]) -> dict[str, str]:
    """Return what becomes of each path, by its last part, as the operator was told."""
    told = re.findall(r"(?m)^  (new|updated|unchanged|kept yours) +(/.*)$", "\n".join(lines))
    return {Path(path).name: state for state, path in told}


def test_a_service_is_a_unit_a_drop_in_and_an_environment(root: Path) -> None:
    """Nothing else is touched, and the names are those that systemd looks for."""
    install(FOLDER, root)

    assert set(written(root)) == {
        TEMPLATE,
        f"{UNITS}/colvi-edge@{escaped(FOLDER)}.service.d/folder.conf",
        SETTINGS,
    }
    listed = ["systemctl", f"--root={root}", "list-unit-files", "--no-legend", "colvi-edge@*"]
    assert "colvi-edge@.service" in subprocess.check_output(listed, text=True)


def test_the_unit_starts_the_program_as_its_own_system_has_it(root: Path) -> None:
    """Its path there, without the root; and a warning where it is not there, or was made elsewhere."""
    assert not any(COMMAND in line for line in install(FOLDER, root))

    (command,) = re.findall(r"(?m)^ExecStart=:(.*) watch %f$", written(root)[TEMPLATE])
    assert command == COMMAND
    (root / INTERPRETER[1:]).unlink()
    (warning,) = (line for line in install(FOLDER, root) if f"is run by {INTERPRETER}, which is not" in line)
    assert warning.startswith(f"{root}{COMMAND} ")
    (root / COMMAND[1:]).unlink()
    (warning,) = (line for line in install(FOLDER, root) if "No such file" in line)
    assert warning.startswith(str(root))


def test_the_operator_is_told_how_to_start_it(root: Path) -> None:
    """The escaped name is for a shell to take as it stands, and systemctl takes it."""
    lines = install(FOLDER, root)

    (enable,) = (line.strip() for line in lines if "systemctl" in line)
    assert shlex.split(enable) == [
        "systemctl",
        f"--root={root}",
        "enable",
        f"colvi-edge@{escaped(FOLDER)}.service",
    ]
    subprocess.run(["bash", "-c", enable], check=True, capture_output=True)
    assert [link.name for link in Service(FOLDER, root).links()] == [f"colvi-edge@{escaped(FOLDER)}.service"]


def test_a_second_time_changes_nothing_and_says_so(root: Path) -> None:
    """Installing again is safe."""
    assert set(states(install(FOLDER, root)).values()) == {"new"}
    before = contents(root)

    lines = install(FOLDER, root)

    assert contents(root) == before
    assert set(states(lines)) == {"colvi-edge@.service", "folder.conf", "scope 1-left.env"}
    assert set(states(lines).values()) == {"unchanged"}


def test_all_that_is_wrong_is_told_at_once(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """Nobody wants to call it five times to learn of five faults; each is a line."""
    before = contents(root)

    with pytest.raises(SeveralFaultsError) as refused:
        plan_installation(Path("/srv/gone"), bundle="/srv/none.colvi", user="a b", root=root)

    told = [str(fault) for fault in refused.value.faults]
    assert [bool(re.search(words, told[place])) for place, words in enumerate(("gone", "a b", "none"))] == [
        True,
        True,
        True,
    ]
    assert len(told) == 3
    wrong = ("/srv/gone", "--bundle", "/srv/none.colvi", "--user", "a b", "--prefix", root)
    code, out, err = run("install-service", *wrong)
    assert (code, out) == (2, "")
    assert err.splitlines() == [f"colvi-edge: error: {fault}" for fault in told]
    assert contents(root) == before


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(
    root: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """Each new file in full, byte for byte as it is then written."""
    command = ("install-service", FOLDER, "--bundle", BUNDLE, "--prefix", root)
    before = contents(root)
    code, out, _ = run(*command, "--dry-run")
    assert (code, contents(root)) == (0, before)

    assert run(*command)[0] == 0
    for name, text in written(root).items():
        assert f"\n\n{root / name}:\n\n{text}" in out, name


def test_a_dry_run_shows_what_an_update_would_change(root: Path) -> None:
    """As a diff, which patch(1) takes."""
    install(FOLDER, root)
    template = root / TEMPLATE
    now = template.read_text()
    template.write_text(now.replace("WatchdogSec=90", "WatchdogSec=3") + "[Extra]\n")

    told = plan_installation(FOLDER, bundle="demo", root=root, dry_run=True).told(contents=True)

    start = told.index(f"--- {template}")
    diff = "\n".join([*told[start:], ""])
    patch = ["patch", "--quiet", str(template)]
    subprocess.run(patch, input=diff, check=True, text=True, capture_output=True)
    assert template.read_text() == now


def test_an_edited_environment_is_kept(root: Path) -> None:
    """What the operator wrote stays, and a difference to the call is told; nothing is told of the rest."""
    install(FOLDER, root)
    file = root / SETTINGS
    mine = 'COLVI_EDGE_BUNDLE="/srv/mine of 2026.colvi"\nCOLVI_EDGE_SAMPLE=Huber\n'
    file.write_text(mine)

    lines = install(FOLDER, root, bundle=BUNDLE)

    assert file.read_text() == mine
    assert states(lines)["scope 1-left.env"] == "kept yours"
    told = "\n".join(lines)
    assert (
        f"(differs: --bundle {BUNDLE} is not taken over, as this file says COLVI_EDGE_BUNDLE is "
        "/srv/mine of 2026.colvi: change it here; you set COLVI_EDGE_SAMPLE; "
    ) in told
    assert "a new one also explains COLVI_EDGE_OUTPUT_DIR, " in told
    assert "mine of 2026.colvi is not a folder" in told  # it would not start
    assert "Huber" not in told


def test_an_update_replaces_the_unit(root: Path) -> None:
    """The template is the program's; changes of the operator's are drop-ins. What is not another stays."""
    install(FOLDER, root)
    file = root / TEMPLATE
    now = file.read_text()
    file.write_text("[Service]\nExecStart=/old\n")

    lines = install(FOLDER, root)

    assert file.read_text() == now
    assert states(lines) == {
        "colvi-edge@.service": "updated",
        "folder.conf": "unchanged",
        "scope 1-left.env": "unchanged",
    }


def test_the_demo_model_is_warned_of(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """Loudly and on standard error; a model of the lab's own is not."""
    command = ("install-service", FOLDER, "--prefix", root)
    assert "SYNTHETIC" not in run(*command, "--bundle", BUNDLE)[2]
    (root / SETTINGS).unlink()

    code, out, err = run(*command, "--bundle", "demo")

    assert code == 0
    assert re.search(r"^colvi-edge: warning: 'demo' IS A SYNTHETIC MODEL", err)
    assert "SYNTHETIC" not in out


def test_variables_that_no_daemon_reads_are_told_of(
    root: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """Of a service's settings; also one that only another command reads. Values are nobody's business."""
    command = ("install-service", FOLDER, "--bundle", BUNDLE, "--prefix", root)
    run(*command)
    wrong = {f"COLVI_EDGE_{name}": "Huber" for name in ("INTERVALL", "RESULT_CSV")}
    with (root / SETTINGS).open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in {**wrong, "LANG": "de"}.items())

    _, out, err = run(*command)

    lines = err.splitlines()
    assert len(lines) == 2
    assert all(f"{root / SETTINGS}: found the variable {name}, " in "\n".join(lines) for name in wrong)
    assert "did you mean COLVI_EDGE_INTERVAL?" in lines[0]
    assert "Huber" not in out + err


@pytest.mark.parametrize("name", ["ENGINE", "PRECISION", "OVERLAY"])
def test_a_word_that_the_daemon_would_refuse_is_told_of(
    root: Path, run: Callable[..., tuple[int, str, str]], name: str
) -> None:
    """Before the service fails; the oracle is the command line, of the same options. No value is printed."""
    command = ("install-service", FOLDER, "--bundle", BUNDLE, "--prefix", root)
    run(*command)
    mine = (root / SETTINGS).read_text()
    for word, is_taken in (("auto", True), ("png", True), ("openvin", False)):
        (root / SETTINGS).write_text(f"{mine}COLVI_EDGE_{name}={word}\n")

        _, out, err = run(*command)

        judge = ("run", root / "srv/gone.tif", "--bundle", "demo", f"--{name.lower()}", word)
        refused = f"--{name.lower()} {word}: expected" in run(*judge)[2]
        assert refused == (f"found another word in COLVI_EDGE_{name}, expected one of " in err)
        assert refused or is_taken
        assert word == "png" or word not in out + err.replace("one of auto", "").replace("openvino", "")


def test_what_was_changed_in_the_settings_is_named(root: Path) -> None:
    """The variables, never their values; and what cannot be taken over from this call."""
    install(FOLDER, root)
    file = root / SETTINGS
    file.write_text(file.read_text() + "COLVI_EDGE_SAMPLE=Huber\nLANG=de\n")

    lines = install(FOLDER, root, output_dir=Path("/srv/res"))

    (told,) = (line for line in lines if "differs" in line)
    assert "--output-dir /srv/res is not taken over, as this file does not set COLVI_EDGE_OUTPUT_DIR" in told
    assert told.endswith("; you set COLVI_EDGE_SAMPLE, LANG)")
    assert "Huber" not in told


def test_a_path_that_is_not_in_full_is_refused(root: Path, tmp_path: Path) -> None:
    """It means nothing in another system."""
    for given_one in ({"bundle": "model.colvi"}, {"output_dir": Path("results")}):
        with pytest.raises(UsageError, match="expected its full path"):
            install(FOLDER, root, **given_one)


def test_a_relative_path_of_this_system_is_absolute_for_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service has no working folder. The word for the demo model is none, but may be a folder's name."""
    monkeypatch.chdir(tmp_path)
    paths = {"COLVI_EDGE_BUNDLE": "demo", "COLVI_EDGE_OUTPUT_DIR": "demo"}
    assert full_paths(HERE, paths) == {**paths, "COLVI_EDGE_OUTPUT_DIR": f"{tmp_path}/demo"}
    assert full_paths(HERE, {"COLVI_EDGE_BUNDLE": "a.colvi"}) == {"COLVI_EDGE_BUNDLE": f"{tmp_path}/a.colvi"}


def test_several_bundles_are_one_setting(
    root: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """As PATH is: each is looked at, and each given in full; a colon in one would make two of it."""
    shutil.copytree(root / "srv/model.colvi", root / "srv/other.colvi")
    rename(root / "srv/other.colvi", "nuclei", "1.0")
    given = ("--bundle", "/srv/model.colvi", "--bundle", "/srv/other.colvi")
    code, out, err = run("install-service", FOLDER, *given, "--prefix", root)
    assert (code, err.count("SYNTHETIC")) == (0, 0), out + err
    settings = read_environment((root / f"etc/colvi-edge{FOLDER}.env").read_text())
    assert settings["COLVI_EDGE_BUNDLE"] == "/srv/model.colvi:/srv/other.colvi"

    for bundles, sentence in (
        (["/srv/model.colvi", "demo"], "is given twice"),
        (["/srv/model.colvi", "/srv/none.colvi"], "none.colvi is not a folder"),
        (["/srv/model.colvi", "other.colvi"], "expected its full path"),
        (["/srv/a:b.colvi"], "found ':' in it"),
    ):
        words = [word for bundle in bundles for word in ("--bundle", bundle)]
        code, _, err = run("install-service", FOLDER, *words, "--prefix", root)
        assert code in (2, 4)
        assert sentence in err
    (tmp_path / "a.colvi").mkdir()
    full = full_paths(HERE, {"COLVI_EDGE_BUNDLE": f"demo:{tmp_path}/a.colvi"})
    assert full == {"COLVI_EDGE_BUNDLE": f"demo:{tmp_path}/a.colvi"}


def test_a_bundle_with_a_colon_is_one_where_it_is_there(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this system and below another root; what is empty between two colons is no working folder."""
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, root / "srv"):
        (place / "b:1.colvi").mkdir()
    for where, given_one, full in (
        (HERE, "b:1.colvi", f"{tmp_path}/b:1.colvi"),
        (root, "/srv/b:1.colvi", "/srv/b:1.colvi"),
        (HERE, ":demo::/srv/c.colvi:", "demo:/srv/c.colvi"),
    ):
        settings = full_paths(where, {"COLVI_EDGE_BUNDLE": given_one})
        assert settings == {"COLVI_EDGE_BUNDLE": full}
        expected = ["demo", "/srv/c.colvi"] if "demo" in full else [full]
        assert bundles_of(where, settings) == expected


def test_a_link_that_leads_out_of_the_other_system_is_refused(root: Path, tmp_path: Path) -> None:
    """What is written there would land in this one."""
    (tmp_path / "outside").mkdir()
    (root / "etc/colvi-edge").symlink_to(tmp_path / "outside")

    with pytest.raises(UsageError, match="leads out of --prefix"):
        install(FOLDER, root)

    assert not list((tmp_path / "outside").iterdir())


def test_the_user_of_another_system_is_made_there_by_the_operator(root: Path) -> None:
    """The command that is printed makes it, and then it is known, and so is its group."""
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("NOT CHECKED: needs root and useradd")
    for name in ("passwd", "group"):
        (root / "etc" / name).write_text(
            "root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else "root:x:0:\n"
        )
    (useradd,) = (line for line in install(FOLDER, root, user="lab") if "useradd" in line)
    before = {account.pw_name for account in pwd.getpwall()} | {group.gr_name for group in grp.getgrall()}

    subprocess.run(["bash", "-c", useradd], check=True, capture_output=True)

    assert re.search(r"(?m)^lab:.*:/nonexistent:/usr/sbin/nologin$", (root / "etc/passwd").read_text())
    assert before == {entry.pw_name for entry in pwd.getpwall()} | {entry.gr_name for entry in grp.getgrall()}
    groups = root / "etc/group"
    groups.write_text(groups.read_text().replace("lab:", "staff:"))
    assert not any("useradd" in line for line in install(FOLDER, root, user="lab"))
    assert "\nUser=lab\nGroup=staff\n" in (root / TEMPLATE).read_text()


def test_another_user_for_all_is_warned_of(root: Path) -> None:
    """The template has one; a second folder that is installed with another changes the first's."""
    (root / "srv/other").mkdir()
    install(FOLDER, root)

    told = install(Path("/srv/other"), root, user="lab")

    (line,) = (line for line in told if "instead of colvi" in line)
    assert f"colvi-edge@{escaped(FOLDER)}.service" in line


def test_what_is_written_elsewhere_is_allowed_in_the_sandbox(root: Path) -> None:
    """An output folder works at once, and one that the operator adds works after another call."""
    install(FOLDER, root, output_dir=Path("/srv/some results"))
    file = root / SETTINGS
    file.write_text(file.read_text() + "COLVI_EDGE_METRICS=/var/lib/node exporter/colvi.prom\n")
    install(FOLDER, root, output_dir=Path("/srv/some results"))

    allowed = shlex.split(" ".join(re.findall(r"(?m)^ReadWritePaths=(.*)$", drop_in_of(FOLDER, root))))
    assert allowed == ["-/srv/some results", "-/var/lib/node exporter"]


@pytest.mark.parametrize(
    ("results", "units"),
    [
        ("", "mnt-lab.mount"),
        ("/mnt/results/a", r"mnt-lab.mount mnt-results.mount"),
        ("/mnt/lab/b c/results", r"mnt-lab.mount mnt-lab-b\x20c.mount"),
        ("/srv", "mnt-lab.mount"),
    ],
)
def test_mounts_are_waited_for(root: Path, results: str, units: str) -> None:
    """Of the folder and of its results, each once and never the root's; of another system by its fstab.

    Wanted and ordered, never required: a mount that stops must not take the service along.
    """
    folder = Path("/mnt/lab/scope")
    (root / "mnt/lab/scope").mkdir(parents=True)
    table = ("/dev/a / ext4 defaults 0 1", "#//s/x /mnt/lab/scope cifs", "//s/lab /mnt/lab cifs soft 0 0")
    more = (
        r"//s/b /mnt/lab/b\040c cifs soft 0 0",
        "s:/results /mnt/results nfs soft",
        "UUID=1 none swap sw 0 0",
    )
    (root / "etc/fstab").write_text("\n".join([*table, *more, ""]))

    for _ in range(2):  # the second call reads it from the environment file
        install(folder, root, **({"output_dir": Path(results)} if results else {}))

    text = drop_in_of(folder, root)
    assert f"[Unit]\nWants={units}\nAfter={units}\n" in text
    assert "Require" not in text


def test_this_systems_mounts_are_those_that_are_mounted() -> None:
    """As the kernel tells; a link is followed to what it lies on."""
    from colvi_edge.watch.service.mount_units import mount_units

    assert Path("/dev/shm").is_mount()  # noqa: S108 # a mount that every Linux has
    shared, kernel = Path("/dev/shm/scope"), Path("/proc/sys")  # noqa: S108
    assert mount_units(Service(FOLDER), [shared, kernel, kernel, FOLDER]) == ["dev-shm.mount", "proc.mount"]
    assert mount_units(Service(FOLDER), [Path("/proc/self/root/proc/sys")]) == ["proc.mount"]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [([], set()), (["nvidiactl"], {"gpu.conf"}), (["nvidiactl", "nvmap"], {"jetson.conf"})],
)
def test_a_gpu_gets_its_drop_in(devices: list[str], expected: set[str], root: Path) -> None:
    """The sandbox opens for devices that are there, and for no others; a Jetson has both kinds."""
    (root / "dev").mkdir(parents=True)
    for device in devices:
        (root / "dev" / device).touch()

    install(FOLDER, root)

    assert {Path(name).name for name in written(root) if "colvi-edge@.service.d" in name} == expected


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("scope", "expected an absolute path"),
        ("/srv/../srv", "expected an absolute path"),
        ("/", "the root of the system cannot be watched; name a folder in it"),
        ("/srv/no such folder", "no such folder"),
    ],
)
def test_a_folder_that_no_service_can_watch_is_refused(path: str, sentence: str, root: Path) -> None:
    """Found now, not in the journal of a service that does not start."""
    with pytest.raises(UsageError, match=sentence):
        install(Path(path), root)

    assert written(root) == {}


@pytest.mark.parametrize(
    ("name", "sentence"), [("line\nbreak", "in UTF-8"), ("old [2026]", "in UTF-8"), ("-" * 80, "at most 255")]
)
def test_a_name_that_systemd_cannot_bear_is_refused(name: str, sentence: str, root: Path) -> None:
    """A unit's name has 255 characters at most, of which an escaped one takes four."""
    (root / "srv" / name).mkdir()

    with pytest.raises(UsageError, match=sentence):
        install(Path("/srv", name), root)

    assert written(root) == {}


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ("/srv/lab", "/srv/lab/deep/in it-1", "lies in"),
        ("/srv/lab/deep/in it-1", "/srv/lab", "has in it"),
        ("/srv/lab", "/srv/link", "is the same folder as"),
        ("/srv/lab", "/srv/link/deep", "lies in"),
    ],
)
def test_a_folder_above_or_below_another_is_refused(root: Path, first: str, second: str, how: str) -> None:
    """Two daemons would judge the same files; also by way of a link. A removed one does not count."""
    (root / "srv/lab/deep/in it-1").mkdir(parents=True)
    (root / "srv/lab-2").mkdir()
    (root / "srv/link").symlink_to("lab")
    install(Path(first), root)
    install(Path("/srv/lab-2"), root)  # begins alike, and lies beside
    before = contents(root)

    with pytest.raises(UsageError) as refused:
        install(Path(second), root)

    name = f"colvi-edge@{escaped(Path(first))}.service"
    assert str(refused.value).startswith(f"{second} {how} {first}, which has a service ({name}): ")
    assert contents(root) == before
    remove = shlex.split(str(refused.value).rpartition(": ")[2])
    assert remove == ["sudo", "colvi-edge", "uninstall-service", first]
    plan_removal(Path(remove[-1]), root=root).carry_out()  # its settings stay
    install(Path(second), root)


@given(st.lists(NAMES.map("/".__add__), max_size=5))  # a name has 255 bytes at most
@example(["/.hidden/..x/a..b", "//srv//x/", "/a b-c\\d_e:f", "/ü\n\udcff", "/-", "/.", "/%n$HOME'\""])
@settings(max_examples=30, deadline=None)
def test_a_path_is_called_as_systemd_calls_it(paths: list[str]) -> None:
    """By systemd's own program, which is not there where an image is made."""
    paths = [path for path in paths if not {"..", "."} & set(path.split("/"))]
    if paths:
        command = ["systemd-escape", "--path", "--", *paths]
        done = subprocess.run(command, check=True, capture_output=True)
        names = done.stdout.decode().rstrip("\n").split(" ")
        assert [our_escaped(Path(path)) for path in paths] == names
        plain = [Path("/", *Path(path).parts[1:]) for path in paths]
        assert [watched_by(f"colvi-edge@{name}.service") for name in names] == plain


@pytest.mark.parametrize(
    "odd", ["\n[Service]\nExecStartPre=/bin/evil", "\r", "\x1b]0;OWNED\x07", "\x85", "\u2028", "\udcff"]
)
@pytest.mark.parametrize("option", ["user", "output_dir", "bundle"])
def test_a_word_that_would_end_a_line_is_refused_by_name(option: str, odd: str, root: Path) -> None:
    """It could begin another line of the unit, which root's systemd obeys; nor is the sentence forged."""
    bundle = (root / BUNDLE[1:]).rename(root / f"srv/b{odd.replace('/', '-')}")
    choices = {"user": f"u{odd}", "output_dir": Path(f"/srv/x{odd}"), "bundle": f"/srv/{bundle.name}"}
    options: dict[str, Any] = {option: choices[option]}

    with pytest.raises(UsageError, match=f"^--{option.replace('_', '-')}: found ") as refused:
        install(FOLDER, root, **options)

    assert str(refused.value).isprintable()
    assert written(root) == {}


@pytest.mark.parametrize("user", ["", "u ser", "%h", "0day", "-u", "a:b", "a/b", "a=b", "$(id)", "a" * 300])
def test_what_is_no_user_is_refused(user: str, root: Path) -> None:
    """Systemd would read other things into it, such as a home folder into %h."""
    with pytest.raises(UsageError, match=r"^--user: found "):
        install(FOLDER, root, user=user)

    assert written(root) == {}


@pytest.mark.parametrize("user", ["colvi", "_lab", "lab.user", "svc-colvi@lab.example", "machine$"])
def test_users_of_directories_are_taken(user: str, root: Path) -> None:
    """Names that come from LDAP or Active Directory."""
    install(FOLDER, root, user=user)

    assert f"\nUser={user}\n" in written(root)[TEMPLATE]


def test_percent_signs_and_quotes_mean_themselves(root: Path) -> None:
    """Systemd's own reader finds the paths that were given; none of its specifiers is expanded."""
    bundle = (root / BUNDLE[1:]).rename(root / "srv/100%h %n \"q\" 'a' \\ $HOME; b")
    results = Path('/srv/50%u %% "q"; # x')

    install(FOLDER, root, bundle=f"/srv/{bundle.name}", output_dir=results)

    assert read_environment(written(root)[SETTINGS])["COLVI_EDGE_BUNDLE"] == f"/srv/{bundle.name}"
    (line,) = re.findall(r"(?m)^ReadWritePaths=(.*)$", drop_in_of(FOLDER, root))
    assert shlex.split(line.replace("%%", "%")) == [f"-{results}"]
    assert not re.search(r"(?<!%)(%%)*%(?!%)", line)


def test_a_broken_bundle_is_refused(root: Path) -> None:
    """Its fault is told here, not each two seconds in the journal."""
    (root / BUNDLE[1:] / "SHA256SUMS").unlink()

    with pytest.raises(BundleError):
        install(FOLDER, root, bundle=BUNDLE)

    assert written(root) == {}


def test_what_cannot_be_written_is_a_sentence(root: Path) -> None:
    """And what cannot be read: a folder in the place of a file, bytes that are no text."""
    (root / "etc/colvi-edge").write_text("")
    with pytest.raises(OutputError, match=r"cannot be (read|written): Not a directory"):
        install(FOLDER, root)
    (root / TEMPLATE).unlink(missing_ok=True)
    (root / TEMPLATE).mkdir()
    with pytest.raises(OutputError, match=r"cannot be read: Is a directory"):
        install(FOLDER, root)


def test_without_systemd_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containers and other init systems get a sentence, not a stack of files."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SeveralFaultsError, match="systemd does not run this machine"):
        plan_installation(FOLDER, bundle="demo")


def test_words_of_units_and_environments_survive() -> None:
    """Blanks, quotes, backslashes and percent signs of a path mean themselves in both syntaxes."""
    odd = "/srv/a b%h$HOME\"q'\\n"

    (command,) = re.findall(r"(?m)^ExecStart=:(.*) watch %f$", unit(Path(odd), "lab", "staff"))
    assert command == r'''"/srv/a b%%h$HOME\"q'\\n"'''
    text = environment({"COLVI_EDGE_BUNDLE": odd})
    assert r'''COLVI_EDGE_BUNDLE="/srv/a b%h\$HOME\"q'\\n"''' in text.splitlines()
    assert read_environment(text) == {"COLVI_EDGE_BUNDLE": odd}


def test_the_unit_names_user_and_group() -> None:
    """A lab may have a user of its own, whose group has another name."""
    assert "\nUser=lab\nGroup=staff\n" in unit(Path("/opt/colvi-edge"), "lab", "staff")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ('A="b c"', "b c"),
        ("A='b c' ", "b c"),
        (r'A="b\"c\$"', 'b"c$'),
        ("  A=it's", "it's"),
        ("#A=b", None),
        ("; A=b", None),
        ("no variable", None),
    ],
)
def test_environment_is_read_as_systemd_reads_it(line: str, value: str | None) -> None:
    """An operator's quotes are not part of a path."""
    assert read_environment(f"\n{line}\n").get("A") == value
