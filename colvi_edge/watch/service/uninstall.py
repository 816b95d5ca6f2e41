"""Takes a folder's service away again: `colvi-edge uninstall-service`.

What was written by install-service goes; what is the operator's, and what the daemon keeps, stays unless it
is asked for. Whatever is gone already is passed over. Raw files and results are never touched, nor is the
user: results belong to it, and its number could be given to somebody else.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.watch.service.checks import Faults, check_caller, check_inside
from colvi_edge.watch.service.files import told_of
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.service.systemd import is_systemd_running, systemctl
from colvi_edge.watch.service.unit_files import read_environment
from colvi_edge.watch.service.user import command_to_make
from colvi_edge.watch.state_folder import SERVICE_STATE

_OURS = ("folder.conf", "gpu.conf", "jetson.conf")


@dataclass(frozen=True)
class Removal:
    """What `uninstall-service` will do.

    Attributes:
        service: that is taken away.
        stop: it runs, and has to be stopped first.
        remove: files, links and folders, in this order; those of a folder come before it.
        stays: what is left, and why, each with what to do about it.
    """

    service: Service
    stop: bool
    remove: Sequence[Path]
    stays: Sequence[tuple[object, str]]

    def told(self, *, dry_run: bool = False) -> list[str]:
        """Return what will be done, as lines for the operator.

        Args:
            dry_run: nothing of it will be done.
        """
        would = "would be " if dry_run else ""
        stopped, removed, stays = f"{would}stopped", f"{would}removed", "would stay" if dry_run else "stays"
        width = max(len(removed), len("kept yours"))
        lines = [f"{self.service.name}, for {self.service.folder}:"]
        if self.stop:
            lines.append(told_of(stopped, self.service.name, width))
        lines += [told_of(removed, path, width) for path in self.remove]
        for what, why in self.stays:
            lines += [told_of(stays, what, width), told_of("", f"({why})", width)]
        return lines

    def carry_out(self) -> None:
        """Remove it all; what was done when something fails stays done, and the next call goes on.

        Raises:
            OutputError: the service cannot be stopped, or something not removed.
        """
        if self.stop:
            systemctl("stop", self.service.name)
        for path in self.remove:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{path} cannot be removed: {error.strerror}; see to that and call this again"
                ) from error
        left = [self.service.environment.parent, self.service.drop_ins, self.service.template_drop_ins]
        for folder in (*left, *(path.parent for path in self.remove)):
            _remove_empty(folder, self.service)
        if self.service.is_here and is_systemd_running():
            systemctl("daemon-reload")
            if self.service.activity() == "failed":
                systemctl("reset-failed", self.service.name)


def plan_removal(folder: Path, *, purge: bool = False, root: Path = HERE, dry_run: bool = False) -> Removal:
    """Look for everything of a folder's service, and return what is to be done.

    Args:
        folder: that was watched; it need not be there any more.
        purge: what only the operator or the daemon wrote goes, too: settings, ledger, drop-ins.
        root: of another system, such as an image, that is looked at instead.
        dry_run: it will not be carried out, so that not only root may ask.

    Raises:
        UsageError: there is no such service, or this user may not remove it.
        OutputError: it cannot be looked at.
    """
    root = root.absolute()
    faults = Faults()
    with faults:
        check_caller(root, dry_run)
    with faults:
        service = Service(folder, root)
    faults.raise_any()
    check_inside(root, [service.template, service.drop_ins, service.environment, service.state])

    others, stop = service.others(), service.is_running()
    settings, user = _settings(service.environment), _user(service.template)
    found = _Found(purge)
    found.remove += service.links()
    found.drop_ins(service.drop_ins)
    if others:
        found.keep(service.template, f"used by {', '.join(others)}")
    else:
        found.ours(service.template)
        found.drop_ins(service.template_drop_ins)
    found.not_ours(service.environment, "your settings")
    found.state_of(service, is_last=not others)
    if not (stop or found.remove or found.settings_or_state):
        known = f"expected one of {', '.join(others)}" if others else "nor any other"
        raise UsageError(
            f"{service.folder}: found no service of this folder, {known}; give the folder as it was installed"
        )
    for place in (service.folder, *_written(settings)):
        if _is_there(service.below(place)):
            found.keep(service.below(place), "raw files, results and pages are never touched")
    if not others and not command_to_make(root, user):
        found.keep(f"user {user}", f"results belong to it; where none are left: userdel {user}")
    return Removal(service, stop, found.remove, found.stays)


class _Found:
    """What was found of a service, sorted into what goes and what stays."""

    def __init__(self, purge: bool) -> None:
        self.remove: list[Path] = []
        self.stays: list[tuple[object, str]] = []
        self.settings_or_state = False
        self._purge = purge

    def keep(self, what: object, why: str) -> None:
        self.stays.append((what, why))

    def ours(self, path: Path) -> None:
        if _is_there(path):
            self.remove.append(path)

    def not_ours(self, path: Path, what: str) -> None:
        if not _is_there(path):
            return
        self.settings_or_state = True
        if self._purge:
            self.remove.append(path)
        else:
            self.keep(path, f"{what}; --purge removes it")

    def drop_ins(self, folder: Path) -> None:
        for path in sorted(folder.glob("*")):
            if path.name in _OURS:
                self.ours(path)
            else:
                self.not_ours(path, "a change of yours")

    def state_of(self, service: Service, is_last: bool) -> None:
        """Look at what the daemon keeps; all of it goes with the last service that is purged."""
        everything = service.below(SERVICE_STATE)
        try:
            kept = list((everything / "watch").iterdir()) if _is_there(everything / "watch") else []
        except PermissionError:
            self.settings_or_state = True
            self.keep(everything, "what the daemons keep; only root may look at it")
            return
        if self._purge and is_last and set(kept) <= {service.state}:
            self.ours(everything)
            return
        self.not_ours(service.state, "what the daemon knows of its files")
        if _is_there(everything):
            self.keep(everything, "built engines, and what is kept of other folders; it can be made again")


def _settings(environment: Path) -> dict[str, str]:
    try:
        return read_environment(environment.read_text())
    except (OSError, UnicodeDecodeError):
        return {}


def _written(settings: Mapping[str, str]) -> list[Path]:
    """Return where else a service wrote to."""
    names = ("COLVI_EDGE_OUTPUT_DIR", "COLVI_EDGE_METRICS", "COLVI_EDGE_REPORT")
    return [Path(settings[name]) for name in names if Path(settings.get(name, "")).is_absolute()]


def _user(template: Path) -> str:
    try:
        named = re.search(r"(?m)^User=(.+)$", template.read_text())
    except (OSError, UnicodeDecodeError):
        named = None
    return named[1] if named else "colvi"


def _is_there(path: Path) -> bool:
    """Return whether something is there, a broken link included.

    Raises:
        PermissionError: this user may not know.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _remove_empty(folder: Path, service: Service) -> None:
    """Remove a folder, and those above it, as long as they are empty and hold nothing but services' files."""
    settings, units = service.root / "etc/colvi-edge", service.template.parent
    while folder.is_relative_to(settings) or folder.parent == units:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent
