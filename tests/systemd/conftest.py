"""The machine of test_real_systemd.py."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMIT_S = 420
UNSHARED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class Machine:
    """Boots, lives through story.py, and ends.

    Attributes:
        name: stands in the name of whatever is made of it on this machine.
    """

    def __init__(self) -> None:
        """Begin to boot."""
        self._folder = tempfile.TemporaryDirectory(prefix="colvi-edge-test-")
        self.name = Path(self._folder.name).name
        root, self._results = (Path(self._folder.name) / name for name in ("root", "results"))
        root.mkdir()
        self._results.mkdir()
        with (self._results / "boot.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*UNSHARED, "bash", HERE / "boot.sh", root, HERE, self._results, HERE.parents[1]],
                env=os.environ | {"PYTHON": sys.executable, "LIMIT_S": str(LIMIT_S), "NAME": self.name},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def story(self) -> dict[str, list[str]]:
        """Wait for its end, and return the faults of each test that was run there."""
        self._process.wait(LIMIT_S + 60)
        for log in self._results.glob("*.log"):
            print(log.read_text())  # noqa: T201 # pytest shows it with a failure
        report = self._results / "story.xml"
        assert report.exists(), "the story did not end"
        return {
            case.attrib["name"]: [f"{part.tag}: {part.text}" for part in case]
            for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 # pytest's own report
        }

    def groups(self) -> list[Path]:
        """Return its control groups, the innermost first."""
        return sorted(Path("/sys/fs/cgroup").glob(f"**/{self.name}/**"), reverse=True)

    def close(self) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.wait()
        until = time.monotonic() + 10
        while (groups := self.groups()) and time.monotonic() < until:  # what was killed may still be going
            for group in groups:
                with suppress(OSError):
                    group.rmdir()
            time.sleep(0.1)
        self._folder.cleanup()


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Return it, booted where a test asks for it."""
    booted = Machine()
    yield booted
    booted.close()
