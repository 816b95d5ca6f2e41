"""What the Containerfile says, read as text: it can be held to the package without being built."""

import re
from pathlib import Path

from colvi_edge import __version__

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text()
IGNORED = (ROOT / ".containerignore").read_text().splitlines()


def test_the_label_is_the_packages_version() -> None:
    """Which stands in the package alone; who raises it raises this, too."""
    assert re.search(r"(?m)^ARG VERSION=(.+)$", TEXT)[1] == __version__  # type: ignore[index] # it is there


def test_no_registry_is_named() -> None:
    """Where the base and the packages come from is for the machine's settings to say."""
    assert re.findall(r"(?m)^FROM (\S+)", TEXT) == ["${BASE}", "${BASE}"]
    assert re.search(r"(?m)^ARG BASE=debian:[a-z]+-slim$", TEXT)
    assert not re.search(r"https?://|index-url|[a-z]\.(io|org|com)/", TEXT)


def test_what_is_installed_is_sent_to_the_build_and_nothing_else() -> None:
    """What setuptools puts into the package; no results, no caches, no history."""
    sent = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}

    assert IGNORED[1] == "*"
    assert sent == {"LICENSE", "README.md", "colvi_edge", "export", "kernels", "pyproject.toml", "systemd"}
    assert all((ROOT / name).exists() for name in sent)
