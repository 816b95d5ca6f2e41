"""The soak scripts at reduced counts, all at once: each test waits for one and shows what it printed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

CHECKOUT = Path(__file__).parents[2]
LIMIT_S = 300
SKIPPED = 77

SCRIPTS = {
    "kills": "kills --files 8 --kills 4 --pixels 256 --interval 5",
    "two_bundles": "kills --files 6 --kills 4 --pixels 256 --interval 5 --bundle demo --bundle demo-nuclei",
    "regions": "kills --files 6 --kills 3 --pixels 256 --interval 5 --bundle demo-nuclei",
    "writers": "writers --files 16 --seconds 15",
    "hostile": "hostile --places 4",
    "trace": "trace",
    "two": "two --files 6",
    "endurance": "endurance --files 100 --night 1 --growth 0.5",
    "latency": "latency --files 4 --burst 20 --pixels 512 --limit-ms 10000 --ratio 0.1",
    "disks": "faults disk_full read_only",
    "two_on_disks": "faults disk_full --bundle demo --bundle demo-nuclei",
    "state": "faults state_full",
    "lost": "faults state_lost",
    "mounts": "faults unmounted apart results_late --rounds 1",
    "folders": "faults other_device recreated",
    "events": "faults overflow no_instances --decoys 12500 --images 20",
    "watches": "faults few_watches",
}
NEEDS = {
    "trace": "strace",
    **dict.fromkeys(
        ("disks", "two_on_disks", "state", "lost", "mounts", "folders", "events", "watches"), "namespaces"
    ),
    "two": "other_user",
}
"""What a script skips without; a machine that must have it says so in COLVI_EDGE_REQUIRE."""
REQUIRED = set(os.environ.get("COLVI_EDGE_REQUIRE", "").split(","))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """Start every script, and return a function that fails as one of them did."""
    place = tmp_path_factory.mktemp("soak")
    started = {}
    for name, words in SCRIPTS.items():
        module, *options = words.split()
        with (place / name).open("wb") as printed:
            started[name] = subprocess.Popen(
                [sys.executable, "-m", f"tests.soak.{module}", *options, "--folder", str(place)],
                cwd=CHECKOUT,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )

    def judge(name: str) -> None:
        code = started[name].wait(LIMIT_S)
        printed = (place / name).read_text()
        skipped = [line for line in printed.splitlines() if "SKIPPED" in line]
        assert code in (0, SKIPPED), printed
        assert not skipped or NEEDS[name] not in REQUIRED, printed
        if skipped:
            pytest.skip(skipped[0])

    yield judge
    for script in started.values():
        script.terminate()
        script.wait()


def test_kills(outcome: Callable[[str], None]) -> None:
    """P1 to P3 hold, whichever process is killed while files arrive."""
    outcome("kills")


def test_kills_of_two_bundles(outcome: Callable[[str], None]) -> None:
    """So they do for each of two bundles, of two tasks, whichever of their workers is killed."""
    outcome("two_bundles")


def test_kills_of_one_that_finds_regions(outcome: Callable[[str], None]) -> None:
    """The promises know no task."""
    outcome("regions")


def test_writers(outcome: Callable[[str], None]) -> None:
    """No result ever comes from a file that a program is still writing."""
    outcome("writers")


def test_hostile(outcome: Callable[[str], None]) -> None:
    """Each damaged or hostile file has an error record in the end, and the next good one its result."""
    outcome("hostile")


def test_trace(outcome: Callable[[str], None]) -> None:
    """P1, P5: raw files are only read, and nothing outside the folder is opened."""
    outcome("trace")


def test_two(outcome: Callable[[str], None]) -> None:
    """Of two daemons on a folder one works, and the other says why it waits."""
    outcome("two")


def test_endurance(outcome: Callable[[str], None]) -> None:
    """Descriptors and threads do not grow with the number of files."""
    outcome("endurance")


def test_latency(outcome: Callable[[str], None]) -> None:
    """Single files and bursts are diagnosed as they come."""
    outcome("latency")


def test_disks(outcome: Callable[[str], None]) -> None:
    """P6: a full or read-only disk is told, and nothing is lost."""
    outcome("disks")


def test_disks_of_two_bundles(outcome: Callable[[str], None]) -> None:
    """So it is where two bundles have results to write."""
    outcome("two_on_disks")


def test_mounts(outcome: Callable[[str], None]) -> None:
    """P6: a share that goes away is told, and comes back with nothing lost or written beside it."""
    outcome("mounts")


def test_folders(outcome: Callable[[str], None]) -> None:
    """Another device under the same mount is the same; a folder that was made anew is watched anew."""
    outcome("folders")


def test_state(outcome: Callable[[str], None]) -> None:
    """A full or read-only disk under the ledger stops nothing, and is told."""
    outcome("state")


def test_lost_state(outcome: Callable[[str], None]) -> None:
    """A state folder that is deleted, or a file in it, is told and made anew from the results."""
    outcome("lost")


def test_watches(outcome: Callable[[str], None]) -> None:
    """P6: that the kernel refuses to watch folders is told."""
    outcome("watches")


def test_events(outcome: Callable[[str], None]) -> None:
    """Files that no event announced are found; that there are no events at all is told."""
    outcome("events")
