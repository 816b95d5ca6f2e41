"""Makes a folder's service known to systemd: `colvi-edge install-service`. The operator starts it.

    /etc/systemd/system/colvi-edge@.service              the template, for all folders; written at each call
    /etc/systemd/system/colvi-edge@.service.d/           a drop-in where this machine has a GPU
    /etc/systemd/system/colvi-edge@FOLDER.service.d/     what systemd has to know of this folder
    /etc/colvi-edge/srv/scope.env                        the operator's, for /srv/scope; written once

FOLDER is the path as systemd-escape writes it.
"""

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from colvi_edge.bundle import open_bundle
from colvi_edge.errors import UsageError
from colvi_edge.printable import printable_name
from colvi_edge.watch.as_user import closed_to, may, run_as
from colvi_edge.watch.unit_files import SOURCES, drop_in, environment, read_environment, unit

_HIDDEN = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys")  # noqa: S108 # refused, not used
_GPUS = {"dev/nvmap": "jetson.conf", "dev/nvidiactl": "gpu.conf"}
_LONGEST_UNIT_NAME = 255
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?")

_IMPORTED = "imported"
_PARTS = ("colvi_edge", "colvi_edge.kernels", "numpy", "yaml", "pydantic", "tifffile", "openvino")
"""Packages whose folders are looked at where the program does not start; they may lie in several places."""
_TRIAL = f"""
import os, sys
from colvi_edge.watch import publisher, scanner, supervisor, worker
from colvi_edge.acquisition import tiff
from colvi_edge.engines import openvino
os.write(1, {_IMPORTED.encode()!r})
from colvi_edge.bundle import open_bundle
open_bundle(sys.argv[1])
"""
"""All that the service's processes load, and the bundle."""


def install_service(
    folder: Path,
    *,
    bundle: str,
    output_dir: Path | None = None,
    user: str = "colvi",
    prefix: Path = Path("/"),
) -> list[str]:
    """Write unit, drop-ins and environment file for a folder, and make the user if there is none.

    Nothing is started. It may be called again: after an update of colvi-edge, or when the environment file
    names another place to write to.

    Args:
        folder: to be watched.
        bundle: path of a bundle, or "demo".
        output_dir: takes the results, if not the folder itself.
        user: runs the services of all folders.
        prefix: root of another system, such as an image: files are written there, and nothing else is done.

    Returns:
        What was done and what to do next, as lines for the operator.

    Raises:
        UsageError: this is not root or not systemd, or a path is none that a service can use.
        BundleError: the bundle cannot be opened.
    """
    here = prefix == Path("/")
    _check_system(here)
    _check_folder(folder)
    command = Path(sysconfig.get_path("scripts")) / "colvi-edge"
    settings = {"COLVI_EDGE_BUNDLE": bundle if bundle == "demo" else str(Path(bundle).absolute())}
    if output_dir:
        settings["COLVI_EDGE_OUTPUT_DIR"] = str(output_dir.absolute())
    _check_words(user, command, settings)
    open_bundle(bundle)
    service = f"colvi-edge@{_escaped(folder)}.service"
    if len(service) > _LONGEST_UNIT_NAME:
        raise UsageError(
            f"{folder}: found {len(service)} characters in the name of its service, expected at most "
            f"{_LONGEST_UNIT_NAME}; link it to a shorter path and give that"
        )

    lines = []
    if here:
        _check_visible([folder, command, *map(Path, settings.values())])
        lines = _make_user(user)
        _check_readable(user, command, settings["COLVI_EDGE_BUNDLE"])
    units = prefix / "etc/systemd/system"
    lines += _write(units / "colvi-edge@.service", unit(command, user, _group(user)))
    for drop in [name for device, name in _GPUS.items() if (prefix / device).exists()][:1]:
        lines += _write(units / "colvi-edge@.service.d" / drop, (SOURCES / drop).read_text())
    file = prefix / f"etc/colvi-edge{folder}.env"
    lines += _write_environment(file, settings)
    settings = read_environment(file.read_text())
    apart = settings.get("COLVI_EDGE_OUTPUT_DIR")
    folders = [folder, Path(apart)] if apart else [folder]
    lines += _write(
        units / f"{service}.d" / "folder.conf", drop_in(_mount_units(folders), _outputs(settings))
    )
    if here:
        subprocess.run(["systemctl", "daemon-reload"], check=True)  # noqa: S607 # root's own PATH
        for place in (folder, *_outputs(settings)):
            reads_only = place == folder and "COLVI_EDGE_OUTPUT_DIR" in settings
            lines += _missing_permissions(place, user, "rx" if reads_only else "rwx")
    return [*lines, "", *_next_steps(folder, service, command)]


def _check_system(here: bool) -> None:
    if not shutil.which("systemd-escape") or (here and not Path("/run/systemd/system").is_dir()):
        raise UsageError(
            "systemd does not run this machine, expected it as process 1; "
            "have 'colvi-edge watch FOLDER' started by what starts services here"
        )
    if here and os.geteuid() != 0:
        raise UsageError("only root can install a service; call the command by its full path with sudo")


def _check_folder(folder: Path) -> None:
    if not folder.is_absolute() or ".." in folder.parts or not folder.name:
        raise UsageError(f"{folder}: expected an absolute path, which names the service; give it in full")
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make or mount it first, as its place is looked at")
    if not str(folder).isprintable() or set(str(folder)) & set("*?[]\\"):
        # The latter are taken for a pattern where systemd looks for the environment file.
        raise UsageError(
            f"{str(folder)!r}: systemd needs a name in UTF-8 without * ? [ ] \\; rename the folder"
        )


def _check_words(user: str, command: Path, settings: Mapping[str, str]) -> None:
    """Refuse what could end a line of a unit or of its settings, and so begin another."""
    options = {name.removeprefix("COLVI_EDGE_").lower(): words for name, words in settings.items()}
    given = {f"--{name.replace('_', '-')}": words for name, words in options.items()}
    for name, words in {**given, "this program": str(command)}.items():
        if not words.isprintable():
            raise UsageError(
                f"{name}: found {printable_name(words)}, expected printable characters in UTF-8, as systemd "
                "reads no others; rename it"
            )
    if not _USER.fullmatch(user):
        raise UsageError(
            f"--user: found {printable_name(user)}, expected the name of a user: letters, digits and any of "
            "_ . @ -, no digit first"
        )


def _escaped(path: Path, *options: str) -> str:
    command = ["systemd-escape", "--path", *options, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _check_visible(paths: list[Path]) -> None:
    for path in paths:
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            raise UsageError(f"{path}: the service sees nothing of /tmp, /var/tmp and /dev; put it elsewhere")


def _make_user(user: str) -> list[str]:
    try:
        pwd.getpwnam(user)
    except KeyError:
        home = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        command = ["useradd", "--system", "--user-group", *home, "--", user]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise UsageError(f"the user {user} could not be made: {done.stderr.strip()}") from None
        return [f"made the user {user}"]
    return []


def _check_readable(user: str, command: Path, bundle: str) -> None:
    """Refuse a program or a bundle that the service's user cannot open: by trying, as that user."""
    interpreter = Path(sys.executable)
    parts = [Path(spec.origin) for name in _PARTS if (spec := find_spec(name)) and spec.origin]
    program = [command, interpreter, interpreter.resolve(), Path(sysconfig.get_path("stdlib")), *parts]
    try:
        tried = run_as(user, [str(command), "--version"])
        if tried.returncode == 0:
            tried = run_as(user, [sys.executable, "-I", "-c", _TRIAL, bundle])
        imported, why = tried.stdout.startswith(_IMPORTED), tried.stderr
    except OSError as error:
        tried, imported, why = None, False, error.strerror or ""
    if tried and imported and tried.returncode == 0:
        return
    place = closed_to(user, program if not imported else [Path(bundle), *sorted(Path(bundle).glob("*"))])
    said = f"{place} is closed to it" if place else printable_name(why.strip().rpartition("\n")[2])
    if imported:
        raise UsageError(
            f"{user} cannot read {bundle}: {said}; put it where every user may read it, such as /srv"
        )
    raise UsageError(
        f"{user} cannot run {command}: {said}; install colvi-edge where every user may read it, "
        "such as an environment in /opt/colvi-edge"
    )


def _group(user: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:  # will be made in the other system
        return user


def _mount_units(folders: list[Path]) -> list[str]:
    """Return the units of the mounts that some folders lie on, each once; the root's is always there."""
    mounts = [next(path for path in (folder, *folder.parents) if path.is_mount()) for folder in folders]
    return [_escaped(mount, "--suffix=mount") for mount in dict.fromkeys(mounts) if mount != Path("/")]


def _outputs(settings: dict[str, str]) -> list[Path]:
    """Return the folders, besides the watched one, that an environment file has the service write to."""
    places = []
    if "COLVI_EDGE_OUTPUT_DIR" in settings:
        places.append(Path(settings["COLVI_EDGE_OUTPUT_DIR"]))
    for name in ("COLVI_EDGE_METRICS", "COLVI_EDGE_REPORT"):
        if name in settings:
            places.append(Path(settings[name]).parent)
    return places


def _write(path: Path, text: str) -> list[str]:
    if path.exists() and path.read_text() == text:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return [f"wrote {path}"]


def _write_environment(path: Path, settings: dict[str, str]) -> list[str]:
    if not path.exists():
        return _write(path, environment(settings))
    kept = read_environment(path.read_text())
    return [f"kept {path}"] + [
        f"    where {name} is {kept.get(name, 'not set')}, not {value}: edit it if you meant to change that"
        for name, value in settings.items()
        if kept.get(name) != value
    ]


def _missing_permissions(folder: Path, user: str, wanted: str) -> list[str]:
    on_the_way = closed_to(user, [folder.parent])
    if not on_the_way and all(may(user, right, folder) for right in wanted):
        return []
    enter = [f"    setfacl --modify u:{user}:x {shlex.quote(str(on_the_way))}"] if on_the_way else []
    return [
        f"{user} has not the rights {wanted} in {folder}, so the service will wait. Give them with",
        *enter,
        f"    setfacl --recursive --modify u:{user}:rwX,d:u:{user}:rwX {shlex.quote(str(folder))}",
        f"    or, on a share, by mounting it with uid={user}",
    ]


def _next_steps(folder: Path, service: str, command: Path) -> list[str]:
    quoted = shlex.quote(service)
    return [
        "Start it, now and at each boot:",
        f"    systemctl enable --now {quoted}",
        "After a change:",
        f"    systemctl restart {quoted}",
        "Look at it:",
        f"    {shlex.quote(str(command))} status {shlex.quote(str(folder))}",
        f"    journalctl --follow --unit {quoted}",
    ]
