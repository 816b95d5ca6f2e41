"""One folder's service: what it is called, and where its files lie.

    /etc/systemd/system/colvi-edge@.service              the template, for all folders
    /etc/systemd/system/colvi-edge@.service.d/           a drop-in where this machine has a GPU
    /etc/systemd/system/colvi-edge@FOLDER.service.d/     what systemd has to know of this folder
    /etc/colvi-edge/srv/scope.env                        the operator's, for /srv/scope
    /var/lib/colvi-edge/watch/scope-.../                 what the daemon keeps of it

FOLDER is the path as systemd-escape writes it. All may lie below the root of another system, such as an
image.
"""

import re
from pathlib import Path

from colvi_edge.errors import UsageError
from colvi_edge.watch.service.systemd import escaped, is_systemd_running, systemctl
from colvi_edge.watch.state_folder import SERVICE_STATE, StateFolder

HERE = Path("/")
TEMPLATE = "colvi-edge@.service"
_UNITS = Path("etc/systemd/system")
_INSTANCE = re.compile(r"colvi-edge@[^/]+\.service")
_LONGEST_UNIT_NAME = 255


class Service:
    """Names and paths of a folder's service; nothing of it need be there.

    Attributes:
        folder: that is watched, as its system knows it.
        root: of its system; HERE is this one.
        name: of the unit.
        template, template_drop_ins: the unit that all folders share, and the folder of its drop-ins.
        drop_ins: the folder of this service's own.
        environment: the operator's settings.
        state: what its daemon keeps, where it is a service.
    """

    def __init__(self, folder: Path, root: Path = HERE) -> None:
        """Name it.

        Raises:
            UsageError: no service can have the name of that folder.
        """
        _check_name(folder)
        self.folder = Path("/", *folder.parts[1:])
        self.root = root.absolute()
        self.name = f"colvi-edge@{escaped(self.folder)}.service"
        if len(self.name) > _LONGEST_UNIT_NAME:
            raise UsageError(
                f"{folder}: found {len(self.name)} characters in the name of its service, expected at most "
                f"{_LONGEST_UNIT_NAME}; link it to a shorter path and give that"
            )
        units = self.root / _UNITS
        self.template = units / TEMPLATE
        self.template_drop_ins = units / f"{TEMPLATE}.d"
        self.drop_ins = units / f"{self.name}.d"
        self.environment = self.root / f"etc/colvi-edge{self.folder}.env"
        self.state = StateFolder.within(self.below(SERVICE_STATE), self.folder).path

    @property
    def is_here(self) -> bool:
        """Return whether it belongs to this system, and not to one below another root."""
        return self.root == HERE

    def below(self, path: Path) -> Path:
        """Return where this system finds a path of the service's own."""
        return self.root.joinpath(*path.parts[1:])

    def links(self) -> list[Path]:
        """Return the links by which it is started, as `systemctl enable` makes them."""
        return sorted(path for path in self.template.parent.glob("*.*/*") if path.name == self.name)

    def others(self) -> list[str]:
        """Return the names of other folders' services that use the template: installed, enabled or loaded."""
        units = self.template.parent
        named = {path.parent.name.removesuffix(".d") for path in units.glob("*.service.d/folder.conf")}
        named |= {path.name for path in units.glob("*.*/*.service")}
        if self.is_here and is_systemd_running():
            listed = systemctl("list-units", "--all", "--plain", "--no-legend", "colvi-edge@*.service")
            named |= {line.split()[0] for line in listed.splitlines()}
        return sorted(name for name in named if _INSTANCE.fullmatch(name) and name != self.name)

    def activity(self) -> str:
        """Return what systemd says of it: "active", "inactive", "failed", ...; "" where it does not run."""
        if not (self.is_here and is_systemd_running()):
            return ""
        return systemctl("show", "--property=ActiveState", "--value", self.name)

    def is_running(self) -> bool:
        """Return whether it runs, or is starting, or about to start again."""
        return self.activity() not in ("", "inactive", "failed")


def _check_name(folder: Path) -> None:
    if folder.is_absolute() and not folder.name:
        raise UsageError(
            f"{folder}: the root of the system cannot be watched; name a folder in it, such as /srv/scope"
        )
    if not folder.is_absolute() or ".." in folder.parts or not folder.name:
        raise UsageError(f"{folder}: expected an absolute path, which names the service; give it in full")
    if not str(folder).isprintable() or set(str(folder)) & set("*?[]\\"):
        # The latter are taken for a pattern where systemd looks for the environment file.
        raise UsageError(
            f"{str(folder)!r}: systemd needs a name in UTF-8 without * ? [ ] \\; rename the folder"
        )
