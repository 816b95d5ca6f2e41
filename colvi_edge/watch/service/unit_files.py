"""The texts of the service's files, made from those in systemd/, in the syntax that systemd reads."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

SOURCES = files("colvi_edge") / "systemd"


def unit(command: Path, user: str, group: str) -> str:
    """Return the template unit, for a command of this installation and the user that runs it."""
    text = (SOURCES / "colvi-edge@.service").read_text()
    text = _set(text, "ExecStart", f":{_word(str(command))} watch %f")
    return _set(_set(text, "User", user), "Group", group.replace("%", "%%"))


def drop_in(mount_units: Sequence[str], writable: Sequence[Path]) -> str:
    """Return what the template cannot say about a folder.

    Args:
        mount_units: names of those that mount it and the folder of its results, where they have one.
        writable: other folders that its service writes to.
    """
    lines = ["# Written by colvi-edge install-service."]
    if mount_units:
        names = " ".join(mount_units)
        lines += ["[Unit]", f"Wants={names}", f"After={names}"]
    if writable:
        lines += ["[Service]", *(f"ReadWritePaths={_word(f'-{path}')}" for path in writable)]
    return "".join(f"{line}\n" for line in lines)


def environment(settings: Mapping[str, str]) -> str:
    """Return the commented environment file with some variables set."""
    text = (SOURCES / "example.env").read_text()
    for name, value in settings.items():
        quoted = re.sub(r'(["\\$`])', r"\\\1", value)
        text = _set(text, name, f'"{quoted}"')
    return text


def read_environment(text: str) -> dict[str, str]:
    """Return what an environment file sets: one line a variable, whole values in quotes or none."""
    settings = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name[:1] not in "#;":
            bare = re.fullmatch(r"""\s*(["']?)(.*)\1\s*""", value)
            settings[name.strip()] = re.sub(r"\\(.)", r"\1", bare[2]) if bare else value
    return settings


def variables_of(text: str) -> list[str]:
    """Return the variables that an environment file sets, or shows how to set in a comment."""
    return re.findall(r"(?m)^\s*[#;]?\s*(COLVI_EDGE_[A-Z_]+)=", text)


def _set(text: str, key: str, value: str) -> str:
    """Return a text with the line `key=` changed, also where it was a comment."""
    return re.sub(rf"(?m)^#?{key}=.*", f"{key}={value}".replace("\\", r"\\"), text)


def _word(text: str) -> str:
    """Return a text as one word of a unit file, in which % and quotes mean something."""
    text = text.replace("%", "%%")
    if re.search(r"[\s\"'\\;]", text):
        text = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return text
