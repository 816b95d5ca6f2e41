"""Makes a folder's service known to systemd: `colvi-edge install-service`. The operator starts it.

First everything is looked at, then all is said, then it is done: `plan_installation` writes nothing, and what
it returns tells and does. `paths` says where which file lies. The template and the drop-ins are ours, and
written anew at each call; the environment file is the operator's, and written once.
"""

import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colvi_edge.choices import DEMO, DEMOS
from colvi_edge.errors import ColviEdgeError, OutputError
from colvi_edge.printable import printable_name
from colvi_edge.watch.service import checks
from colvi_edge.watch.service.files import ServiceFile, environment_of, file_of, told_of
from colvi_edge.watch.service.mount_units import mount_units, remarks
from colvi_edge.watch.service.paths import HERE, Service
from colvi_edge.watch.service.systemd import systemctl
from colvi_edge.watch.service.unit_files import SOURCES, drop_in, read_environment, unit
from colvi_edge.watch.service.user import command_to_make, group_of, missing_rights

_GPUS = {"dev/nvmap": "jetson.conf", "dev/nvidiactl": "gpu.conf"}
_HOMES = (Path("/root"), Path("/home"))
_USUAL_COMMAND = Path("/opt/colvi-edge/bin/colvi-edge")


@dataclass
class Installation:
    """What `install-service` will do.

    Attributes:
        service: that is made known.
        command: the program that it starts.
        user: that it runs as.
        settings: what its environment file sets, afterwards.
        files: all of it.
        make_user: the command that makes the user; empty if there is one.
        warnings: what will go wrong or is easily misunderstood.
        rights: which rights are missing, with the commands that give them.
    """

    service: Service
    command: Path
    user: str
    settings: Mapping[str, str]
    files: Sequence[ServiceFile]
    make_user: Sequence[str]
    warnings: list[str] = field(default_factory=list)
    rights: list[str] = field(default_factory=list)

    def told(self, *, contents: bool) -> list[str]:
        """Return what will be done, as lines for the operator.

        Args:
            contents: also what will stand in the files.
        """
        lines = [f"{self.service.name}, for {self.service.folder}:"]
        if self.service.is_here:
            lines.append(told_of("new" if self.make_user else "unchanged", f"user {self.user}"))
        lines += [line for file in self.files for line in file.told()]
        if self.rights:
            lines += ["", *self.rights]
        if contents:
            commands = [self.make_user, self._reload()] if self.service.is_here else []
            if any(commands):
                lines += ["", "Commands:", *(f"    {shlex.join(command)}" for command in commands if command)]
            lines += [line for file in self.files for line in file.content()]
        return lines

    def carry_out(self) -> None:
        """Make the user, write the files and have systemd read them; nothing is started.

        Raises:
            OutputError: the user cannot be made, or a file not written.
        """
        if self.make_user and self.service.is_here:
            done = subprocess.run(self.make_user, check=False, capture_output=True, text=True)  # noqa: S603
            if done.returncode:
                said = printable_name(done.stderr.strip())
                raise OutputError(
                    f"the user {self.user} could not be made: {said}; make it yourself and call this again"
                )
        for file in self.files:
            file.write()
        if self._reload() and self.service.is_here:
            systemctl(*self._reload()[1:])

    def next_steps(self) -> list[str]:
        """Return what the operator does next, as lines, commands alone on theirs."""
        name, steps = shlex.quote(self.service.name), list[str]()
        if not self.service.is_here:
            root = shlex.quote(str(self.service.root))
            if self.make_user:
                steps += ["Make the user of that system:", f"    {shlex.join(self.make_user)}"]
            return [*steps, "Have it started with that system:", f"    systemctl --root={root} enable {name}"]
        is_running, is_enabled = self.service.is_running(), bool(self.service.links())
        if self._reload():
            steps += ["Done, and systemd has read it (systemctl daemon-reload)."]
        elif is_running and is_enabled and not self.rights:
            steps += ["Nothing to do: all is there, and it runs."]
        if takes_over := is_running and bool(self._reload()):
            steps += [
                "It runs with what was there before. To take over what is there now:",
                f"    sudo systemctl restart {name}",
            ]
        if not is_enabled:
            steps += ["Start it, now and at each boot:", f"    sudo systemctl enable --now {name}"]
        if (others := self.service.others()) and self.files[0].state == "updated":
            steps += [
                "The template is for all folders. When it suits, restart the others, too:",
                *(f"    sudo systemctl restart {shlex.quote(other)}" for other in others),
            ]
        if not takes_over:
            steps += ["After a change of its settings:", f"    sudo systemctl restart {name}"]
        results = shlex.quote(self.settings.get("COLVI_EDGE_OUTPUT_DIR") or str(self.service.folder))
        command, folder = shlex.quote(str(self.command)), shlex.quote(str(self.service.folder))
        return [
            *steps,
            "Look at it:",
            f"    sudo {command} status {folder}",
            f"    sudo journalctl --follow --unit {name}",
            f"Let somebody else than {self.user} read the results "
            "(more ways: docs/how-to/install-update-remove.md):",
            f"    sudo setfacl --recursive --modify u:NAME:rX,d:u:NAME:rX {results}",
            "Remove it:",
            f"    sudo {command} uninstall-service {folder}",
        ]

    def _reload(self) -> list[str]:
        changed = any(file.state in ("new", "updated") for file in self.files)
        return ["systemctl", "daemon-reload"] if changed else []


def plan_installation(
    folder: Path,
    *,
    bundle: str,
    output_dir: Path | None = None,
    user: str = "colvi",
    root: Path = HERE,
    dry_run: bool = False,
) -> Installation:
    """Look at everything that a folder's service needs, and return what is to be done.

    It may be asked for again: after an update of colvi-edge, or when the environment file names another place
    to write to.

    Args:
        folder: to be watched.
        bundle: path of a bundle, or the word for a shipped one; several as `checks.joined` gives them.
        output_dir: takes the results, if not the folder itself.
        user: runs the services of all folders.
        root: of another system, such as an image, in which all other paths are looked for.
        dry_run: it will not be carried out, so that not only root may ask.

    Raises:
        ColviEdgeError: that is wrong.
        SeveralFaultsError: all of these are.
    """
    faults = checks.Faults()
    root, command = root.absolute(), _command(root.absolute())
    given, tried, named = {"COLVI_EDGE_BUNDLE": bundle}, [DEMO], False
    if output_dir:
        given["COLVI_EDGE_OUTPUT_DIR"] = str(output_dir)
    with faults:
        checks.check_system(root)
    with faults:
        checks.check_caller(root, dry_run)
    with faults:
        service = Service(folder, root)
        checks.check_folder(service)
        checks.check_apart(service)
    with faults:
        checks.check_words(user, command, given)
        named = True
    with faults:
        given = checks.full_paths(root, given)
        bundles = checks.bundles_of(root, given)
        checks.check_bundles(root, bundles)
        tried = bundles
    if root == HERE:
        with faults:
            checks.check_visible([folder, command, *_paths(root, given)])
        if named and os.geteuid() == 0:
            with faults:
                checks.check_readable(user, command, *tried)
    faults.raise_any()

    places = [service.folder, *_paths(root, given)]
    files = [service.template, service.drop_ins, service.environment]
    checks.check_inside(root, [*files, *map(service.below, places)])
    return _planned(service, command, user, given)


def _planned(service: Service, command: Path, user: str, given: Mapping[str, str]) -> Installation:
    operators = environment_of(service.environment, given)
    settings = read_environment(operators.before or operators.text)
    apart = settings.get("COLVI_EDGE_OUTPUT_DIR")
    mounts = mount_units(service, [service.folder, Path(apart)] if apart else [service.folder])
    files = [
        file_of(service.template, unit(command, user, group_of(service.root, user))),
        *(
            file_of(service.template_drop_ins / drop, (SOURCES / drop).read_text())
            for drop in [name for device, name in _GPUS.items() if (service.root / device).exists()][:1]
        ),
        file_of(service.drop_ins / "folder.conf", drop_in(mounts, _outputs(settings))),
        operators,
    ]
    planned = Installation(service, command, user, settings, files, command_to_make(service.root, user))
    planned.warnings += _warnings(planned, given)
    if service.is_here:
        planned.warnings += remarks(service, mounts)
        if os.geteuid() == 0:
            for place in dict.fromkeys((service.folder, *_outputs(settings))):
                wanted = "rx" if place == service.folder and apart else "rwx"
                planned.rights += missing_rights(place, user, wanted)
    return planned


def _command(root: Path) -> Path:
    """Return the path of this program; in another system that of the one which is there."""
    own = Path(sysconfig.get_path("scripts")) / "colvi-edge"
    there = [path for path in (own, _USUAL_COMMAND) if root.joinpath(*path.parts[1:]).is_file()]
    return there[0] if there else own


def _warnings(planned: Installation, given: Mapping[str, str]) -> list[str]:
    service, command = planned.service, planned.command
    bundles = checks.bundles_of(service.root, planned.settings)
    said = []
    for word in [word for word in DEMOS if word in bundles]:
        said.append(
            f"'{word}' IS A SYNTHETIC MODEL. It was trained on simulated pictures and knows nothing of "
            "real cultures, so its results mean nothing: for a try only. Name a bundle of your own as "
            f"COLVI_EDGE_BUNDLE in {service.environment}"
        )
    if not bundles:
        said.append(f"{service.environment} names no COLVI_EDGE_BUNDLE: without, the service does not start")
    elif bundles != checks.bundles_of(service.root, given):
        try:
            checks.check_bundles(service.root, bundles)
        except ColviEdgeError as error:
            said.append(f"the bundle that {service.environment} names cannot be opened: {error}")
    said += [f"{service.environment}: {words}" for words in checks.misset(planned.settings)]
    if any(command.is_relative_to(home) for home in _HOMES):
        said.append(
            f"{command} lies in a home folder, which is a person's to move, close or delete; install "
            f"colvi-edge in {_USUAL_COMMAND.parents[1]} and call its install-service"
        )
    said += [] if service.is_here else _missing_program(service, command)
    old = re.search(r"(?m)^User=(.*)$", planned.files[0].before or "")
    if old and old[1] != planned.user and (others := service.others()):
        said.append(
            f"all services have one user, and it will be {planned.user} instead of {old[1]}, also of "
            f"{', '.join(others)}"
        )
    if service.is_here and os.geteuid() != 0:
        said.append(f"only root can try what {planned.user} may run, read and write; that was not looked at")
    return said


def _missing_program(service: Service, command: Path) -> list[str]:
    """Return why another system cannot start the program, as a list of one; none if it can."""
    program = service.below(command)
    try:
        with program.open("rb") as file:
            first = file.readline(4096).decode(errors="replace")
    except OSError as error:
        return [f"{program}: {error.strerror}; install colvi-edge there before that system starts"]
    interpreter = Path(first.removeprefix("#!").strip())
    if os.path.lexists(service.below(interpreter)):  # a link is of that system, too
        return []
    return [
        f"{program} is run by {interpreter}, which is not there: make its environment within that system, "
        "such as in a chroot, as it remembers where it was made"
    ]


def _paths(root: Path, given: Mapping[str, str]) -> list[Path]:
    """Return the paths of the settings of a call."""
    others = (value for name, value in given.items() if name != "COLVI_EDGE_BUNDLE")
    return [Path(path) for path in (*checks.bundles_of(root, given), *others) if path not in DEMOS]


def _outputs(settings: Mapping[str, str]) -> list[Path]:
    """Return the folders, besides the watched one, that an environment file has the service write to."""
    places = []
    if "COLVI_EDGE_OUTPUT_DIR" in settings:
        places.append(Path(settings["COLVI_EDGE_OUTPUT_DIR"]))
    for name in ("COLVI_EDGE_METRICS", "COLVI_EDGE_REPORT"):
        if name in settings:
            places.append(Path(settings[name]).parent)
    return places
