"""What a foreign graph says while it runs reaches the terminal once, and no terminal obeys it."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn


class Talkative(nn.Module):
    """Warns at each call."""

    def __init__(self) -> None:
        """Make its one layer."""
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, patches: Tensor) -> Tensor:
        """Return two outputs for a patch."""
        warnings.warn("careful\nforged line", stacklevel=1)
        return self.layer(patches.mean((2, 3)))


@pytest.mark.usefixtures("without_kernels")
def test_a_warning_of_a_graph_is_shown_once_in_one_line(tmp_path: Path) -> None:
    """It came at each run of the graph, and a line break in it forged a line."""
    model = tmp_path / "talkative.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Talkative().eval()).save(str(model))  # type: ignore[no-untyped-call]
    words = ("--classes", "control,patient", "--activation", "softmax", "-o", str(tmp_path / "bundle.colvi"))

    ended = subprocess.run(
        [sys.executable, "-c", "from colvi_edge.cli import main; main()", "export", str(model), *words],
        capture_output=True,
        check=False,
        text=True,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count(r"UserWarning: careful\nforged line") == 1
    assert "\nforged line" not in ended.stdout + ended.stderr
