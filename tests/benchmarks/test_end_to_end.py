"""The comparison of whole pipelines: each does its work, and the figures are those of the work."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from colvi_edge.bundle import Bundle
from colvi_edge.export.reading.checkpoint import DEMO_CHECKPOINT, load_checkpoint
from colvi_edge.patches import network_input
from colvi_edge.simulate import simulate_projection, write_imagej

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a script of benchmarks/."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_a_run_says_who_took_how_long(tmp_path: Path) -> None:
    """Two rounds: every stage of every pipeline, totals that are their sums, ratios of the same rounds."""
    report_file = tmp_path / "report" / "end-to-end.json"
    options = ["--rounds=2", "--warm-up=1", f"--folder={tmp_path}", f"--json={report_file}"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "end_to_end.py"), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(report_file.read_text())
    own, naive = (report["pipelines"][name] for name in ("colvi-edge", "naive"))
    ratios = sorted(np.divide(naive["totals_ms"], own["totals_ms"]))

    assert list(report["pipelines"]) == ["colvi-edge", "naive"]
    assert (report["rounds"], report["warm_up_rounds"]) == (2, 1)
    assert list(own["stage_medians_ms"]) == ["read", "judge", "write"]
    assert list(naive["stage_medians_ms"]) == ["read", "tile and normalise", "network", "picture", "json"]
    for found in (own, naive):
        assert len(found["totals_ms"]) == 2
        assert sum(found["stage_medians_ms"].values()) <= max(found["totals_ms"])
        assert found["ms"]["min"] == min(found["totals_ms"]) <= found["ms"]["p50"] <= found["ms"]["p99"]
    assert report["ratios"]["naive"]["min"] == pytest.approx(ratios[0])
    assert report["ratios"]["naive"]["median"] == pytest.approx(np.median(ratios))
    assert report["ratios"]["naive"]["max"] == pytest.approx(ratios[-1])
    assert {"openvino", "numpy"} <= set(own["versions"])
    assert f"naive {naive['ms']['p50']:.1f}" in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == [report_file.parent], "what was diagnosed is removed"


def test_the_naive_pipeline_does_the_whole_work(script: Any, tmp_path: Path, demo_bundle: Bundle) -> None:
    """Its probabilities are the trained network's, its picture has the image's pixels and their frames."""
    image = simulate_projection("patient", seed=2, size_px=256)
    write_imagej(tmp_path / "image.tif", image)
    config = demo_bundle.config
    patches = network_input(image[np.newaxis, ::-1], config.patch_px, config.normalisation)
    with torch.no_grad():
        expected = load_checkpoint(DEMO_CHECKPOINT).probabilities()(torch.from_numpy(patches)).numpy()

    laps = script("serving").Laps()
    script("naive").NaivePipeline(demo_bundle).diagnose(tmp_path / "image.tif", tmp_path, laps)
    result = json.loads((tmp_path / "image.tif.json").read_text())
    picture = np.asarray(Image.open(tmp_path / "image.tif.png"))
    corners = picture[1::64, 1::64].reshape(-1, 3)  # top left of each frame

    np.testing.assert_allclose(result["p_control"], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(result["p_patient"], expected[:, 1], atol=1e-5)
    assert result["diagnosis"] == ("control" if (expected[:, 0] > 0.5).mean() > 0.5 else "patient")
    assert result["score"] == pytest.approx(100 * (expected[:, 0] > 0.5).mean())
    assert picture.shape == (256, 256, 3)
    assert (corners == [0, 255, 255]).all(axis=1).tolist() == (expected[:, 0] >= 0.9).tolist()
    assert (corners == [255, 0, 0]).all(axis=1).tolist() == (expected[:, 0] < 0.3).tolist()
    assert all(ms > 0 for ms in laps.stages_ms.values())


def test_what_a_pipeline_prints_is_no_answer(script: Any, tmp_path: Path) -> None:
    """Libraries talk; their words stand in nobody's figures. One that dies is named."""
    pipeline = tmp_path / "talkative.py"
    pipeline.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from serving import serve\n"
        "def diagnose(raw, folder, laps):\n"
        "    if raw.name == 'bad.tif': raise SystemExit(7)\n"
        "    print('a word')\n"
        "    laps.lap('all')\n"
        "serve('talks', ['numpy'], diagnose)\n"
    )
    contestant = script("serving").Contestant([sys.executable, str(pipeline)])

    assert contestant.about["what"] == "talks"
    assert contestant.about["versions"]["numpy"] == np.__version__
    assert list(contestant.diagnose(Path("good.tif"), tmp_path)) == ["all"]
    with pytest.raises(RuntimeError, match=r"talkative.py.* ended with 7"):
        contestant.diagnose(Path("bad.tif"), tmp_path)
    contestant.close()


def test_the_published_code_gets_the_same_picture(script: Any) -> None:
    """8-bit RGB: collagen green, nuclei blue, one scale for both, so that the channels keep their ratio."""
    image = np.array([[[0, 1000], [2000, 4000]], [[400, 40], [8, 16]]], np.uint16)  # (nuclei, collagen)
    rgb = script("end_to_end").as_rgb(image)

    assert rgb.dtype == np.uint8
    assert rgb[..., 0].max() == 0
    assert rgb[..., 2].tolist() == [[0, 64], [128, 255]]
    assert rgb[..., 1].tolist() == [[26, 3], [1, 1]]
