"""What must be true before a service is installed; all faults are told in one answer."""

import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from colvi_edge.choices import DEMOS, EngineName, OverlayChoice, PrecisionChoice, bundles_in
from colvi_edge.errors import ColviEdgeError, UsageError
from colvi_edge.pipeline.bundles import open_bundles
from colvi_edge.printable import printable_name
from colvi_edge.watch.service.as_user import closed_to, run_as
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.service.systemd import is_systemd_running, watched_by

_HIDDEN = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys")  # noqa: S108 # refused, not used
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?")
_WORDS = {
    "COLVI_EDGE_ENGINE": [choice.value for choice in EngineName],
    "COLVI_EDGE_PRECISION": [choice.value for choice in PrecisionChoice],
    "COLVI_EDGE_OVERLAY": [choice.value for choice in OverlayChoice],
}

_IMPORTED = "imported"
_PARTS = ("colvi_edge", "colvi_edge.kernels", "numpy", "yaml", "pydantic", "tifffile", "openvino")
"""Packages whose folders are looked at where the program does not start; they may lie in several places."""
_TRIAL = f"""
import os, sys
from colvi_edge.watch.publisher import process
from colvi_edge.watch.scanner import process
from colvi_edge.watch.supervisor import start
from colvi_edge.watch.worker import process
from colvi_edge.acquisition.tiff import reader
from colvi_edge.engines import openvino
os.write(1, {_IMPORTED.encode()!r})
from colvi_edge.bundle import open_bundle
for bundle in sys.argv[1:]:
    open_bundle(bundle)
"""
"""All that the service's processes load, and the bundles."""


class SeveralFaultsError(UsageError):
    """Several faults, which are told together.

    Attributes:
        faults: each of them.
    """

    def __init__(self, faults: Sequence[ColviEdgeError]) -> None:
        """Put the faults together."""
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class Faults:
    """Gathers the faults that checks raise, each in a `with faults:`; `raise_any` raises them all."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[ColviEdgeError] = []

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep what the operator can put right."""
        if isinstance(error, ColviEdgeError):
            self._found.append(error)
            return True
        return False

    def raise_any(self) -> None:
        """Raise what was found.

        Raises:
            ColviEdgeError: if it is one.
            SeveralFaultsError: if it is more.
        """
        if len(self._found) > 1:
            raise SeveralFaultsError(self._found)
        if self._found:
            raise self._found[0]


def check_caller(root: Path, dry_run: bool) -> None:
    """Refuse a user who may not write this system's files, and another system that is not there."""
    if not root.is_dir():
        raise UsageError(f"--prefix {root}: no such folder, expected the root of another system")
    if root == HERE and os.geteuid() != 0 and not dry_run:
        raise UsageError(
            "only root can install or remove a service; call the command by its full path with sudo, or with "
            "--dry-run"
        )


def check_system(root: Path) -> None:
    """Refuse this system if systemd does not run it."""
    if root == HERE and not is_systemd_running():
        raise UsageError(
            "systemd does not run this machine, expected it as process 1; have 'colvi-edge watch FOLDER' "
            "started by what starts services here, or name the root of a system that it will run by --prefix"
        )


def check_folder(service: Service) -> None:
    """Refuse a folder that is not there."""
    place = service.below(service.folder)
    if not place.is_dir():
        raise UsageError(f"{place}: no such folder; make or mount it first, as its place is looked at")


def check_apart(service: Service) -> None:
    """Refuse a folder above, below or the same as one that has a service: both would judge the same files.

    Links are followed, as they may lead into another's folder.
    """
    own = service.below(service.folder).resolve()
    for name in service.others():
        folder = watched_by(name)
        other = service.below(folder).resolve()
        if own == other:
            how = "is the same folder as"
        elif own.is_relative_to(other):
            how = "lies in"
        elif other.is_relative_to(own):
            how = "has in it"
        else:
            continue
        raise UsageError(
            f"{service.folder} {how} {folder}, which has a service ({name}): both would judge the same files "
            "and overwrite each other's results, expected folders apart; name another, or remove that "
            f"service first: sudo colvi-edge uninstall-service {shlex.quote(str(folder))}"
        )


def check_inside(root: Path, paths: Iterable[Path]) -> None:
    """Refuse what a link of the other system leads out of its root: it would be of this one."""
    real = root.resolve()
    for path in paths:
        if not path.resolve().is_relative_to(real):
            raise UsageError(
                f"{path}: a link leads out of --prefix {root}, to {path.resolve()}; name the folder that it "
                "stands for there"
            )


def check_words(user: str, command: Path, settings: Mapping[str, str]) -> None:
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


def check_visible(paths: Iterable[Path]) -> None:
    """Refuse what the sandbox hides."""
    for path in paths:
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            raise UsageError(f"{path}: the service sees nothing of /tmp, /var/tmp and /dev; put it elsewhere")


def joined(bundles: Iterable[Path]) -> str:
    """Return several bundles as a variable takes them.

    Raises:
        UsageError: the path of one cannot stand among others.
    """
    paths = [str(bundle) for bundle in bundles]
    if found := next((path for path in paths if os.pathsep in path), None):
        raise UsageError(
            f"--bundle {found}: found '{os.pathsep}' in it, which stands between the bundles of a service; "
            "rename it"
        )
    return os.pathsep.join(paths)


def bundles_of(root: Path, settings: Mapping[str, str]) -> list[str]:
    """Return the bundles that settings name, the first one first."""
    return bundles_in(settings.get("COLVI_EDGE_BUNDLE", ""), root)


def full_paths(root: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings whose paths are given in full, as a service has no working folder.

    Raises:
        UsageError: one is not, and means nothing in another system.
    """
    full = {}
    for name, value in settings.items():
        paths, is_bundle = [], name == "COLVI_EDGE_BUNDLE"
        for path in bundles_in(value, root) if is_bundle else [value]:
            is_word = is_bundle and path in DEMOS
            if not (is_word or root == HERE or Path(path).is_absolute()):
                raise UsageError(f"{name} {path}: expected its full path in the system below --prefix {root}")
            paths.append(path if is_word else str(Path(path).absolute()))
        full[name] = os.pathsep.join(paths)
    return full


def check_bundles(root: Path, bundles: Iterable[str]) -> None:
    """Refuse bundles that cannot be opened where their system has them, or do not go together.

    Raises:
        BundleError: one is incomplete, changed, or none.
        UsageError: one is given twice, or two would leave results of one name.
    """
    open_bundles(bundle if bundle in DEMOS else root.joinpath(*Path(bundle).parts[1:]) for bundle in bundles)


def misset(settings: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that is given none of the words it takes; values are private."""
    return [
        f"found another word in {name}, expected one of {', '.join(words)}; so the service does not start"
        for name, words in _WORDS.items()
        if settings.get(name) and settings[name] not in words
    ]


def check_readable(user: str, command: Path, *bundles: str) -> None:
    """Refuse a program or a bundle that the service's user cannot open: by trying, as that user."""
    interpreter = Path(sys.executable)
    parts = [Path(spec.origin) for name in _PARTS if (spec := find_spec(name)) and spec.origin]
    program = [command, interpreter, interpreter.resolve(), Path(sysconfig.get_path("stdlib")), *parts]
    try:
        tried = run_as(user, [str(command), "--version"])
        if tried.returncode == 0:
            tried = run_as(user, [sys.executable, "-I", "-c", _TRIAL, *bundles])
        imported, why = tried.stdout.startswith(_IMPORTED), tried.stderr
    except OSError as error:
        tried, imported, why = None, False, error.strerror or ""
    if tried and imported and tried.returncode == 0:
        return
    files = [file for bundle in map(Path, bundles) for file in (bundle, *sorted(bundle.glob("*")))]
    place = closed_to(user, program if not imported else files)
    said = f"{place} is closed to it" if place else printable_name(why.strip().rpartition("\n")[2])
    if imported:
        bundle = next((one for one in bundles if place and place.is_relative_to(one)), bundles[0])
        remedy = "put it where every user may read it, such as /srv"
        if place and any(place.is_relative_to(whole) for whole in (bundle, Path(bundle).resolve())):
            remedy = f"let every user read it: sudo chmod --recursive a+rX {shlex.quote(bundle)}"
        raise UsageError(f"{user} cannot read {bundle}: {said}; {remedy}")
    remedy = "install colvi-edge where every user may read it, such as an environment in /opt/colvi-edge"
    python = interpreter.resolve()
    if place and python.is_relative_to(place) and not interpreter.is_relative_to(place):
        said += f", and its Python leads there, to {python}"
        remedy = "make its environment with a Python that every user may run, such as /usr/bin/python3"
    raise UsageError(f"{user} cannot run {command}: {said}; {remedy}")
