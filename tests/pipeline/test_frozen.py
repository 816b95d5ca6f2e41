"""Who owns a process tells its collector what stays; what a program of others calls leaves that alone."""

import gc
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.acquisition import Acquisition, Refused
from colvi_edge.bench.measuring import measure, rounds, starts
from colvi_edge.bundle import Bundle
from colvi_edge.choices import Replace
from colvi_edge.engines import open_engine
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.pipeline.raw_file import RawFile
from colvi_edge.simulate import images as simulate
from colvi_edge.simulate import simulate_projection, write_imagej

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a small raw file."""
    file = tmp_path / "lab" / "culture.tif"
    write_imagej(file, simulate_projection("control", 11, size_px=256))
    return file


@pytest.fixture
def engine_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Give, for each image that is read, whether the collector looks at its engine no more."""
    stays: list[bool] = []
    read = Diagnoser.read

    def watched(self: Diagnoser, raw: RawFile, *wanted: Any) -> Iterator[Acquisition | Refused]:
        stays.append(not any(one is self._engine for one in gc.get_objects()))
        return read(self, raw, *wanted)

    monkeypatch.setattr(Diagnoser, "read", watched)
    gc.unfreeze()
    yield stays
    gc.unfreeze()


def test_the_pipeline_freezes_nothing(raw: Path, demo_bundle: Bundle, engine_stays: list[bool]) -> None:
    """It may run in a notebook or a server, whose garbage is none of its business."""
    with closing(open_engine(demo_bundle)) as engine:
        outcomes = list(process(Diagnoser(demo_bundle, engine, replace=Replace.ALL), find_inputs([raw])))

    assert len(outcomes) == 1
    assert engine_stays == [False]
    assert gc.get_freeze_count() == 0


def test_run_freezes_what_is_loaded(run: Run, raw: Path, engine_stays: list[bool]) -> None:
    """The engine included, before the first image."""
    code, _, error = run("run", raw, "--bundle", "demo")

    assert code == 0, error
    assert engine_stays == [True]


def test_demo_freezes_what_is_loaded(
    run: Run, tmp_path: Path, engine_stays: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine included, before the first image."""
    monkeypatch.setattr("colvi_edge.cli.demo._DAYS", ("2026-11-03",))
    monkeypatch.setattr("colvi_edge.cli.demo._SEVERITIES", {"control": (None,), "patient": (0.5,)})
    for name, settings in (("projection", {}), ("planes", {"planes": 2})):
        small = partial(getattr(simulate, f"simulate_{name}"), size_px=256, **settings)
        monkeypatch.setattr(f"colvi_edge.cli.demo.simulate_{name}", small)

    code, _, error = run("demo", tmp_path / "played")

    assert code == 0, error
    assert engine_stays == [True] * 3


def test_bench_freezes_what_is_loaded(
    run: Run, raw: Path, engine_stays: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what it measures is what `run` takes."""
    for module, name, number in (
        (rounds, "WARM_UP_IMAGES", 1),
        (rounds, "BURSTS", 1),
        (rounds, "BURST_IMAGES", 1),
        (starts, "STARTS", 1),
        (measure, "STARTS", 1),
    ):
        monkeypatch.setattr(module, name, number)
    words = ["--bundle", "demo", "--engine", "openvino", "--precision", "int8", "--rounds", 1, "--idle", 0]

    code, _, error = run("bench", raw, *words)

    assert code == 0, error
    assert set(engine_stays) == {True}
