"""Two commits in turns: the interval is the binomial's, and a planted delay is found."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("commits")


@pytest.mark.parametrize(
    ("n", "left_out"), [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (20, 5), (30, 9)]
)
def test_the_interval_is_that_of_the_tables(commits: ModuleType, n: int, left_out: int) -> None:
    """Ranks of the sign test's 95 % interval, as printed in tables; of few samples all there is."""
    found = commits.median_interval(np.random.default_rng(n).permutation(n).tolist())

    assert (found.low, found.high) == (left_out, n - 1 - left_out)
    assert (found.confidence >= commits.CONFIDENCE) is (n >= 6)


def test_the_interval_holds_the_median_as_often_as_it_says(commits: ModuleType) -> None:
    """Of a skew distribution, whose mean is elsewhere."""
    rng = np.random.default_rng(0)
    intervals = [commits.median_interval(rng.exponential(size=12)) for _ in range(4000)]

    held = np.mean([found.low <= np.log(2) <= found.high for found in intervals])
    assert held == pytest.approx(intervals[0].confidence, abs=0.01)


def test_a_delay_in_one_commit_is_told(tmp_path: Path) -> None:
    """Reading waits 0.4 s more in the second commit of a clone: told by stage, sum and exit code.

    So long, because other work on the machine moves the median of three images by tens of milliseconds.
    """
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", BENCHMARKS.parent, clone], check=True)
    for name in ("commits.py", "serving.py", "own.py"):
        (clone / "benchmarks" / name).write_bytes((BENCHMARKS / name).read_bytes())
    own = clone / "benchmarks" / "own.py"
    _commit(clone)
    own.write_text(
        own.read_text().replace('laps.lap("read")', '__import__("time").sleep(0.4)\n        laps.lap("read")')
    )
    _commit(clone)

    def run(base: str) -> tuple[int, dict[str, dict[str, float]]]:
        options = ["--pairs=1", "--images=3", "--limit-ms=100", f"--json={tmp_path / 'found.json'}"]
        script = clone / "benchmarks" / "commits.py"
        done = subprocess.run(
            [sys.executable, script, base, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, dict[str, float]] = json.loads((tmp_path / "found.json").read_text())[
            "difference_ms"
        ]
        return done.returncode, found

    code, found = run("HEAD~1")
    assert code == 1
    assert found["read"]["median"] > 350
    assert found["total"]["median"] > 100
    assert (
        subprocess.run(["git", "worktree", "list"], cwd=clone, capture_output=True, check=True).stdout.count(
            b"\n"
        )
        == 1
    )


def _commit(clone: Path) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(
        ["git", *who, "commit", "--quiet", "--all", "--allow-empty", "-m", "x"], cwd=clone, check=True
    )
