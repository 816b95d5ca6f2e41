"""The model zoo's own program takes the shipped bundle for one of its models, and reproduces its outputs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from colvi_edge.bundle import demo_path
from colvi_edge.bundle.opening import MANIFEST

OFFLINE = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "HTTP", "HTTPS")}
"""Whoever asks the network is refused at once."""


def zoo_test(manifest: Path, cache: Path) -> tuple[int, str]:
    """Run `bioimageio test`; return its exit code and what it printed, in one line."""
    command = [sys.executable, "-m", "bioimageio.core", "test", str(manifest)]
    environment = os.environ | OFFLINE | {"BIOIMAGEIO_CACHE_PATH": str(cache), "HOME": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_demo_bundle_is_a_model_of_the_zoo(tmp_path: Path) -> None:
    """Format valid; FP32 gives the test output for the test input; batches of one and two run."""
    code, printed = zoo_test(demo_path() / MANIFEST, tmp_path)

    assert code == 0, printed
    assert "✔️ weights.onnx Reproduce test outputs from test inputs (onnx)" in printed
    assert "all elements agree with expected values" in printed
    assert "✔️ weights.onnx Run onnx inference for inputs with batch_size: 2" in printed
    assert "❌" not in printed


@pytest.mark.parametrize(
    "spoil", [{"name": "demo"}, {"weights": {"onnx": {"source": "fp32.onnx", "sha256": "0" * 64}}}]
)
def test_the_zoo_does_notice(copied_bundle: Path, tmp_path: Path, spoil: dict[str, object]) -> None:
    """A name that is too short, a sum that is wrong: its test can fail, so that passing means something."""
    manifest = yaml.safe_load((copied_bundle / MANIFEST).read_text())
    (copied_bundle / MANIFEST).write_text(yaml.safe_dump(manifest | spoil))
    code, printed = zoo_test(copied_bundle / MANIFEST, tmp_path)

    assert code != 0
    assert "❌" in printed
