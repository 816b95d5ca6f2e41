"""The paper's table on a few synthetic cultures: all methods, all folds, figures that add up."""

import importlib
import json
import statistics
import sys
from functools import partial
from pathlib import Path

import pytest

from colvi_edge.simulate import simulate_projection

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_table_can_be_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight small images, three folds, one epoch: five methods at two levels, means as the folds count."""
    record_file = tmp_path / "record.json"
    options = ["--images=8", "--folds=3", "--epochs=1", f"--json={record_file}"]
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["paper_table.py", *options])
    small = partial(simulate_projection, size_px=256)  # 16 patches, where a whole field has 256
    monkeypatch.setattr("colvi_edge.simulate.folder.simulate_projection", small)

    importlib.import_module("paper_table").main()

    methods = json.loads(record_file.read_text())["methods"]
    rows = [
        line.strip("| ").split(" | ")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("| RF", "| SVM", "| CNN"))
    ]
    assert [row[0] for row in rows] == 2 * [method["name"] for method in methods]
    assert [method["name"] for method in methods][-1] == "CNN"
    assert len(methods) == 5
    for method, by_patch, by_image in zip(methods, rows[:5], rows[5:], strict=True):
        for level, row, total in (("patch", by_patch, 8 * 16), ("image", by_image, 8)):
            counts = [[fold[level][key] for key in ("tp", "tn", "fp", "fn")] for fold in method["folds"]]
            accuracies = [(tp + tn) / (tp + tn + fp + fn) for tp, tn, fp, fn in counts]
            assert sum(map(sum, counts)) == total
            assert row[1] == f"{statistics.mean(accuracies):.3f} ± {statistics.stdev(accuracies):.3f}"
        assert len({image["name"] for fold in method["folds"] for image in fold["images"]}) == 8
