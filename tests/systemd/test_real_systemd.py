"""The service under a real systemd: reports what story.py found on the machine that was booted for it."""

import re
from pathlib import Path
from typing import Any

import pytest

STORY = re.findall(r"(?m)^def (test_\w+)", Path(__file__).with_name("story.py").read_text())

pytestmark = [pytest.mark.nspawn, pytest.mark.alone]


@pytest.fixture(scope="module")
def story(machine: Any) -> dict[str, list[str]]:
    """Return the faults of each part of the story."""
    faults: dict[str, list[str]] = machine.story()
    return faults


@pytest.mark.parametrize("name", STORY)
def test_story(name: str, story: dict[str, list[str]]) -> None:
    """Each part of the story ended well; what it guards is said there."""
    faults = story[name]

    assert not faults, "\n".join(faults)


def test_nothing_is_left_of_the_machine(machine: Any, story: dict[str, list[str]]) -> None:
    """Mounts and control groups end with it."""
    assert machine.name not in Path("/proc/self/mountinfo").read_text()
    assert not machine.groups()
