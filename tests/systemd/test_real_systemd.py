"""The service under a real systemd: boots one, has it live through story.py, and reports what that found."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STORY = re.findall(r"(?m)^def (test_\w+)", (HERE / "story.py").read_text())
LIMIT_S = 300
NAME = "colvi-edge-test"  # begins the name of whatever boot.sh makes on this machine
UNSHARED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

pytestmark = pytest.mark.nspawn


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Build the wheel, boot, and return the faults of each test that was run there."""
    wheel, machine, results = (
        tmp_path_factory.mktemp(f"{NAME}-{name}") for name in ("wheel", "root", "results")
    )
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(wheel), str(HERE.parents[1])]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    booted = subprocess.run(
        [*UNSHARED, "bash", HERE / "boot.sh", machine, HERE, results, *wheel.glob("*.whl")],
        env=os.environ | {"PYTHON": sys.executable, "LIMIT_S": str(LIMIT_S)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S + 60,
    )
    for log in results.glob("*.log"):
        print(log.read_text())  # noqa: T201 # pytest shows it with a failure
    report = results / "story.xml"
    assert report.exists(), f"the story did not end: {booted.stdout}{booted.stderr}"
    return {
        case.attrib["name"]: [f"{part.tag}: {part.text}" for part in case]
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 # pytest's own report
    }


@pytest.mark.parametrize("name", STORY)
def test_story(name: str, story: dict[str, list[str]]) -> None:
    """Each part of the story ended well; what it guards is said there."""
    faults = story[name]

    assert not faults, "\n".join(faults)


def test_nothing_is_left_of_the_machine(story: dict[str, list[str]]) -> None:
    """Mounts and control groups end with it."""
    assert NAME not in Path("/proc/self/mountinfo").read_text()
    assert not list(Path("/sys/fs/cgroup").rglob(f"{NAME}*"))
