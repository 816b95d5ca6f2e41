"""The root of another system, in which services are installed and taken away again."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from colvi_edge.bundle import demo_path
from colvi_edge.watch.service.install import plan_installation

COMMAND = "/opt/colvi-edge/bin/colvi-edge"
INTERPRETER = "/opt/colvi-edge/bin/python"


def make_root(path: Path, *folders: Path) -> Path:
    """Make a system with this program, a bundle /srv/model.colvi and some folders; return its root."""
    for name in ("etc/systemd/system", "opt/colvi-edge/bin", "var/lib", "srv"):
        (path / name).mkdir(parents=True)
    ours = Path(sys.executable).with_name("colvi-edge").read_text()
    program = path / COMMAND[1:]
    program.write_text(re.sub(r"\A#!.*", f"#!{INTERPRETER}", ours))
    (path / INTERPRETER[1:]).symlink_to("/usr/bin/python3")
    shutil.copytree(demo_path(), path / "srv/model.colvi")
    for folder in folders:
        (path / str(folder)[1:]).mkdir(parents=True, exist_ok=True)
    return path


def install(folder: Path, root: Path, **options: Any) -> list[str]:
    """Install a service and return all that the operator is told."""
    planned = plan_installation(folder, root=root, **{"bundle": "demo", **options})
    told = [*planned.warnings, *planned.told(contents=False)]
    planned.carry_out()
    return [*told, *planned.next_steps()]


def contents(root: Path) -> dict[str, bytes | str | None]:
    """Return everything below a root: bytes of files, targets of links, None for a folder."""
    found: dict[str, bytes | str | None] = {}
    for folder, _, _ in os.walk(root):
        for path in Path(folder).iterdir():
            name = str(path.relative_to(root))
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = path.read_bytes() if path.is_file() else None
    return found


def escaped(path: Path) -> str:
    """Return what systemd itself calls a path."""
    return subprocess.check_output(["systemd-escape", "--path", path], text=True).strip()
