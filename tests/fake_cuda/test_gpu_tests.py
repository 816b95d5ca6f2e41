"""The tests for a real GPU are code too: all of them, on the fake one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.pycuda

HERE = Path(__file__).parent


def test_the_gpu_tests_run(cuda: Any, tmp_path: Path) -> None:
    """None fails, none is skipped but where a divisor is for another dtype, and the results are complete."""
    results = tmp_path / "results.json"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_REPORTS")}
    environment |= {"COLVI_EDGE_GPU_RESULTS": str(results), "COLVI_EDGE_REQUIRE": "gpu"}
    environment["PYTHONPATH"] = f"{HERE}:{environment.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "gpu_on_fake", "-m", "gpu"]
    done = subprocess.run(
        [*command, str(HERE.parent / "gpu")],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout
    found = json.loads(results.read_text())
    outcomes = list(found["tests"].values())
    assert outcomes.count("passed") > 40
    assert outcomes.count("skipped") == 6
    assert found["gpu"] == "fake GPU"
    assert set(found["measured"]) == {
        "largest errors",
        "bandwidth",
        "from host memory",
        "engine against ONNX Runtime",
        "image to probabilities",
        "memory",
    }
    assert max(found["measured"]["largest errors"].values()) <= 1
