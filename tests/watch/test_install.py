"""What install-service writes, below another root; the real thing is tested under a real systemd."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.errors import BundleError, UsageError
from colvi_edge.watch.install import install_service
from colvi_edge.watch.unit_files import environment, read_environment, unit

pytestmark = pytest.mark.systemd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a name that has to be escaped."""
    path = tmp_path / "scope 1-left"
    path.mkdir()
    return path


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return the root of another system."""
    return tmp_path / "image"


def written(prefix: Path) -> dict[str, str]:
    """Return every file below a folder with its text."""
    paths = (path for path in prefix.rglob("*") if path.is_file())
    return {str(path.relative_to(prefix)): path.read_text() for path in paths}


def escaped(path: Path) -> str:
    """Return what systemd calls a path."""
    return subprocess.check_output(["systemd-escape", "--path", path], text=True).strip()


def test_a_service_is_a_unit_a_drop_in_and_an_environment(folder: Path, prefix: Path) -> None:
    """Nothing else is touched, and the names are those that systemd looks for."""
    install_service(folder, bundle="demo", prefix=prefix)

    name = escaped(folder)
    assert set(written(prefix)) == {
        "etc/systemd/system/colvi-edge@.service",
        f"etc/systemd/system/colvi-edge@{name}.service.d/folder.conf",
        f"etc/colvi-edge{folder}.env",
    }
    listed = ["systemctl", f"--root={prefix}", "list-unit-files", "--no-legend", "colvi-edge@*"]
    assert "colvi-edge@.service" in subprocess.check_output(listed, text=True)


def test_the_unit_starts_this_installation(folder: Path, prefix: Path) -> None:
    """Another colvi-edge on the PATH of systemd is not the one that was asked."""
    install_service(folder, bundle="demo", prefix=prefix)

    text = written(prefix)["etc/systemd/system/colvi-edge@.service"]
    (command,) = re.findall(r"(?m)^ExecStart=:(.*) watch %f$", text)
    assert command == str(Path(sys.executable).with_name("colvi-edge"))
    assert os.access(command, os.X_OK)


def test_the_operator_is_told_how_to_start_it(folder: Path, prefix: Path) -> None:
    """The escaped name is for a shell to take as it stands."""
    lines = install_service(folder, bundle="demo", prefix=prefix)

    (start,) = (line for line in lines if "enable --now" in line)
    assert shlex.split(start) == ["systemctl", "enable", "--now", f"colvi-edge@{escaped(folder)}.service"]


def test_a_second_time_changes_nothing(folder: Path, prefix: Path) -> None:
    """Installing again is safe."""
    install_service(folder, bundle="demo", prefix=prefix)
    before = written(prefix)

    lines = install_service(folder, bundle="demo", prefix=prefix)

    assert written(prefix) == before
    assert not [line for line in lines if line.startswith("wrote")]


def test_an_edited_environment_is_kept(folder: Path, prefix: Path, copied_bundle: Path) -> None:
    """What the operator wrote stays, and a difference to the call is told."""
    install_service(folder, bundle="demo", prefix=prefix)
    file = prefix / f"etc/colvi-edge{folder}.env"
    file.write_text("COLVI_EDGE_BUNDLE=/srv/mine.colvi\nCOLVI_EDGE_POLL=true\n")

    lines = install_service(folder, bundle=str(copied_bundle), prefix=prefix)

    assert file.read_text() == "COLVI_EDGE_BUNDLE=/srv/mine.colvi\nCOLVI_EDGE_POLL=true\n"
    assert any("/srv/mine.colvi" in line and str(copied_bundle) in line for line in lines)


def test_an_update_replaces_the_unit(folder: Path, prefix: Path) -> None:
    """The template is the program's; changes of the operator's are drop-ins."""
    install_service(folder, bundle="demo", prefix=prefix)
    file = prefix / "etc/systemd/system/colvi-edge@.service"
    now = file.read_text()
    file.write_text("[Service]\nExecStart=/old\n")

    install_service(folder, bundle="demo", prefix=prefix)

    assert file.read_text() == now


def test_a_relative_bundle_is_absolute_for_the_service(
    folder: Path, prefix: Path, copied_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service has no working folder."""
    monkeypatch.chdir(copied_bundle.parent)

    install_service(folder, bundle=copied_bundle.name, prefix=prefix)

    text = written(prefix)[f"etc/colvi-edge{folder}.env"]
    assert read_environment(text)["COLVI_EDGE_BUNDLE"] == str(copied_bundle)


def test_what_is_written_elsewhere_is_allowed_in_the_sandbox(folder: Path, prefix: Path) -> None:
    """An output folder works at once, and one that the operator adds works after another call."""
    install_service(folder, bundle="demo", output_dir=Path("/srv/some results"), prefix=prefix)
    file = prefix / f"etc/colvi-edge{folder}.env"
    file.write_text(file.read_text() + "COLVI_EDGE_METRICS=/var/lib/node exporter/colvi.prom\n")
    install_service(folder, bundle="demo", output_dir=Path("/srv/some results"), prefix=prefix)

    text = written(prefix)[f"etc/systemd/system/colvi-edge@{escaped(folder)}.service.d/folder.conf"]
    allowed = shlex.split(" ".join(re.findall(r"(?m)^ReadWritePaths=(.*)$", text)))
    assert allowed == ["-/srv/some results", "-/var/lib/node exporter"]


def test_a_mounted_folder_waits_for_its_mount(prefix: Path) -> None:
    """Wanted and ordered, never required: a mount that stops must not take the service along."""
    mounted = Path("/dev/shm")  # noqa: S108 # a mount that every Linux has
    assert os.path.ismount(mounted)

    install_service(mounted, bundle="demo", prefix=prefix)

    text = written(prefix)["etc/systemd/system/colvi-edge@dev-shm.service.d/folder.conf"]
    assert "Wants=dev-shm.mount\nAfter=dev-shm.mount\n" in text
    assert "Require" not in text


@pytest.mark.parametrize(
    ("devices", "expected"),
    [([], set()), (["nvidiactl"], {"gpu.conf"}), (["nvidiactl", "nvmap"], {"jetson.conf"})],
)
def test_a_gpu_gets_its_drop_in(devices: list[str], expected: set[str], folder: Path, prefix: Path) -> None:
    """The sandbox opens for devices that are there, and for no others; a Jetson has both kinds."""
    (prefix / "dev").mkdir(parents=True)
    for device in devices:
        (prefix / "dev" / device).touch()

    install_service(folder, bundle="demo", prefix=prefix)

    assert {Path(name).name for name in written(prefix) if "colvi-edge@.service.d" in name} == expected


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("scope", "expected an absolute path"),
        ("/srv/../srv", "expected an absolute path"),
        ("/", "expected an absolute path"),
        ("/srv/no such folder", "no such folder"),
    ],
)
def test_a_folder_that_no_service_can_watch_is_refused(path: str, sentence: str, prefix: Path) -> None:
    """Found now, not in the journal of a service that does not start."""
    with pytest.raises(UsageError, match=sentence):
        install_service(Path(path), bundle="demo", prefix=prefix)

    assert written(prefix) == {}


@pytest.mark.parametrize(
    ("name", "sentence"), [("line\nbreak", "in UTF-8"), ("old [2026]", "in UTF-8"), ("-" * 80, "at most 255")]
)
def test_a_name_that_systemd_cannot_bear_is_refused(
    name: str, sentence: str, tmp_path: Path, prefix: Path
) -> None:
    """A unit's name has 255 characters at most, of which an escaped one takes four."""
    (tmp_path / name).mkdir()

    with pytest.raises(UsageError, match=sentence):
        install_service(tmp_path / name, bundle="demo", prefix=prefix)

    assert written(prefix) == {}


@pytest.mark.parametrize(
    "odd", ["\n[Service]\nExecStartPre=/bin/evil", "\r", "\x1b]0;OWNED\x07", "\x85", "\u2028", "\udcff"]
)
@pytest.mark.parametrize("option", ["user", "output_dir", "bundle"])
def test_a_word_that_would_end_a_line_is_refused_by_name(
    option: str, odd: str, folder: Path, prefix: Path, copied_bundle: Path
) -> None:
    """It could begin another line of the unit, which root's systemd obeys; nor is the sentence forged."""
    bundle = copied_bundle.rename(copied_bundle.with_name(f"b{odd.replace('/', '-')}"))
    given = {"user": f"u{odd}", "output_dir": Path(f"/srv/x{odd}"), "bundle": str(bundle)}
    settings: dict[str, Any] = {"bundle": "demo", option: given[option]}

    with pytest.raises(UsageError, match=f"^--{option.replace('_', '-')}: found ") as refused:
        install_service(folder, prefix=prefix, **settings)

    assert str(refused.value).isprintable()
    assert written(prefix) == {}


@pytest.mark.parametrize("user", ["", "u ser", "%h", "0day", "-u", "a:b", "a/b", "a=b", "$(id)", "a" * 300])
def test_what_is_no_user_is_refused(user: str, folder: Path, prefix: Path) -> None:
    """Systemd would read other things into it, such as a home folder into %h."""
    with pytest.raises(UsageError, match=r"^--user: found "):
        install_service(folder, bundle="demo", user=user, prefix=prefix)

    assert written(prefix) == {}


@pytest.mark.parametrize("user", ["colvi", "_lab", "lab.user", "svc-colvi@lab.example", "machine$"])
def test_users_of_directories_are_taken(user: str, folder: Path, prefix: Path) -> None:
    """Names that come from LDAP or Active Directory."""
    install_service(folder, bundle="demo", user=user, prefix=prefix)

    assert f"\nUser={user}\n" in written(prefix)["etc/systemd/system/colvi-edge@.service"]


def test_percent_signs_and_quotes_mean_themselves(folder: Path, prefix: Path, copied_bundle: Path) -> None:
    """Systemd's own reader finds the paths that were given; none of its specifiers is expanded."""
    bundle = copied_bundle.rename(copied_bundle.with_name("100%h %n \"q\" 'a' \\ $HOME; b"))
    results = Path('/srv/50%u %% "q"; # x')

    install_service(folder, bundle=str(bundle), output_dir=results, prefix=prefix)

    files = written(prefix)
    settings = read_environment(files[f"etc/colvi-edge{folder}.env"])
    assert settings["COLVI_EDGE_BUNDLE"] == str(bundle)
    drop = files[f"etc/systemd/system/colvi-edge@{escaped(folder)}.service.d/folder.conf"]
    (line,) = re.findall(r"(?m)^ReadWritePaths=(.*)$", drop)
    assert shlex.split(line.replace("%%", "%")) == [f"-{results}"]
    assert not re.search(r"(?<!%)(%%)*%(?!%)", line)


def test_a_broken_bundle_is_refused(folder: Path, prefix: Path, copied_bundle: Path) -> None:
    """Its fault is told here, not each two seconds in the journal."""
    (copied_bundle / "SHA256SUMS").unlink()

    with pytest.raises(BundleError):
        install_service(folder, bundle=str(copied_bundle), prefix=prefix)

    assert written(prefix) == {}


def test_without_systemd_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containers and other init systems get a sentence, not a stack of files."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="systemd does not run this machine"):
        install_service(folder, bundle="demo")


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
