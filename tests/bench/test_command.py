"""The whole bench on a small image: what it prints, what it leaves, how it ends."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bench.measuring import measure, rounds, starts
from colvi_edge.bench.measuring.check import check_engines
from colvi_edge.bench.measuring.measure import BenchRequest
from colvi_edge.bench.record import Check, Record, SegmentCheck, read, to_json
from colvi_edge.bundle import DEMO_NUCLEI, Bundle, open_bundle
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli import bench as command
from colvi_edge.cli.bench import bench
from colvi_edge.cli.show.bench import show_bench
from colvi_edge.engines import open_engine
from colvi_edge.engines.base import Keep, everything
from colvi_edge.errors import UsageError
from colvi_edge.simulate import simulate_projection, write_imagej
from tests.tools.unets import to_onnx, unet
from tests.tools.windowed_bundles import scene, windowed_bundle


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchRequest:
    """Return what a short bench measures: a lab's file of 4 x 4 patches, and few of everything."""
    for module, name, number in (
        (rounds, "WARM_UP_IMAGES", 1),
        (rounds, "IDLE_GAPS", 1),
        (measure, "IDLE_GAPS", 1),
        (rounds, "BURSTS", 1),
        (rounds, "BURST_IMAGES", 2),
        (starts, "STARTS", 1),
        (measure, "STARTS", 1),
    ):
        monkeypatch.setattr(module, name, number)
    image = tmp_path / "lab" / "culture.tif"
    write_imagej(image, simulate_projection("control", 11, size_px=256))
    return BenchRequest(
        image=image,
        channels=["nuclei", "collagen"],
        bundle="demo",
        engines=[EngineName.AUTO, EngineName.OPENVINO],
        precisions=[PrecisionChoice.INT8],
        rounds=2,
        idle_s=0.0,
        peers=False,
        check=False,
    )


def test_a_bench_from_options_to_files(
    tmp_path: Path, short: BenchRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two precisions side by side, checked; a record, a page and a table; the lab's folder untouched."""
    out = tmp_path / "results" / "today"
    # "auto" is OpenVINO here, and counts once
    both = replace(short, precisions=[PrecisionChoice.INT8, PrecisionChoice.FP32], idle_s=0.05, check=True)
    assert short.image is not None
    before = short.image.read_bytes()

    code = bench(both, budget_ms=1e9, json=out / "bench.json", html=out / "bench.html")

    record, printed = read(out / "bench.json"), capsys.readouterr().out
    assert code == 0
    assert sorted(file.name for file in out.iterdir()) == ["bench.html", "bench.json"]
    assert [file.name for file in short.image.parent.iterdir()] == ["culture.tif"]
    assert short.image.read_bytes() == before
    assert short.image.name not in to_json(record).decode()
    assert [engine.name for engine in record.engines] == ["openvino int8-cpu", "openvino fp32"]
    assert record.inputs == ["as it is", "uncompressed", "LZW", "deflate", "zstd"]
    assert record.settings.rounds == 2
    counts = {(s.pattern, s.stage): len(s.samples_ms) for s in record.series if s.engine != "openvino fp32"}
    assert counts["continuous", "file to JSON"] == 2
    assert counts["continuous", "network"] == 2
    assert {counts[pattern, "file to JSON"] for pattern in ("after idle", "burst", "cold start")} == {1}
    assert counts["cold start", "--help"] == counts["cold start", "whole process"] == 1
    assert [(c.engine, c.images, c.faults) for c in record.checks] == [
        (engine, images, ())
        for engine in ("openvino int8-cpu", "openvino fp32")
        for images in ("verification patches", "this image")
    ]
    for words in ("Engines side by side", "after 0.05 s of rest", "Within the budget", RESEARCH_USE_ONLY):
        assert words in printed
    assert "this image" in (out / "bench.html").read_text()


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], record: Record, **options: Any
) -> tuple[int, str]:
    """Return exit code and words of a bench that measured this record."""
    monkeypatch.setattr(command, "measure", lambda *_: record)
    code = bench(BenchRequest(None, None, "demo", [], [], None, 0, peers=False, check=False), **options)
    return code, " ".join(capsys.readouterr().out.split())


def test_over_the_budget_is_exit_code_6(
    make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first engine's p95 decides, no other's; a sentence says what it was and what was allowed."""
    record = make_record()
    whole = record.find("openvino int8-cpu", "file to JSON")
    assert whole is not None
    p95_ms = whole.summary_ms["p95"]

    over = ended(monkeypatch, capsys, record, budget_ms=p95_ms - 0.001)
    within = ended(monkeypatch, capsys, record, budget_ms=p95_ms)

    assert over[0] == 6
    assert "Over the budget: 95 % of 20 images went from file to JSON within " in over[1]
    assert (
        f"within {p95_ms:.1f} ms on openvino int8-cpu (uncompressed); {p95_ms - 0.001:g} ms were" in over[1]
    )
    assert within[0] == 0
    assert "Within the budget" in within[1]


def test_decisions_beyond_tolerance_are_exit_code_5(
    make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong is worse than slow: this code comes before that of the budget."""
    fault = Check(
        engine="openvino fp32",
        images="this image",
        reference="openvino fp32",
        patches=256,
        agreement=0.9,
        band_flips=0.1,
        diagnosis_flips=1,
        largest_dp=0.5,
        largest_dscore=10,
        faults=("1 diagnoses flip, none may",),
    )

    code, printed = ended(monkeypatch, capsys, make_record(checks=(fault,)), budget_ms=0.001)

    assert code == 5
    assert "openvino fp32 does not decide as the trained network does: 1 diagnoses flip, none may" in printed


def test_regions_beyond_tolerance_are_exit_code_5(
    make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a bundle that segments the table is of regions and objects."""
    fault = SegmentCheck(
        engine="openvino int8-cpu",
        images="this image",
        reference="openvino fp32",
        median_dice=0.91234,
        worst_dice=0.5,
        boundary_px=2.5,
        object_f1=0.75,
        object_flips=12,
        faults=("F1 of the objects is 0.7500",),
    )

    code, printed = ended(monkeypatch, capsys, make_record(checks=(fault,)))

    assert code == 5
    assert [word in printed for word in ("0.9123", "0.5000", "2.5", "0.7500", "12", "unmatched")] == [
        True
    ] * 6
    assert "votes as" not in printed


def test_what_changed_is_printed(
    tmp_path: Path,
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ratios with their intervals and, of another machine, what makes them hard to compare."""
    old = make_record(seed=1)
    (tmp_path / "old.json").write_bytes(to_json(old))
    new = make_record(seed=2, machine=old.machine.model_copy(update={"cpu": "Another"}))

    code, printed = ended(monkeypatch, capsys, new, compare=tmp_path / "old.json")

    assert code == 0
    assert "Since 2026-11-21 12:00 UTC (colvi-edge 0.0.0)" in printed
    assert "another machine: it was A CPU (model 1), 2 cores" in printed
    assert re.search(
        r"openvino int8-cpu, network [\d.]+ [\d.]+ [\d.]+ [\d.]+ to [\d.]+ no difference", printed
    )


def test_a_bench_fits_80_columns(
    make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There an engine stands above its changes; in a pipe it is in each row."""
    record = make_record()
    show_bench(record, make_record(seed=1), budget_ms=1.0)
    piped = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    show_bench(record, make_record(seed=1), budget_ms=1.0)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert 70 < max(map(len, lines)) <= 80
    since = next(place for place, line in enumerate(lines) if line.startswith("Since "))
    assert lines[since + 2] == "openvino int8-cpu"
    assert re.fullmatch(r"  network +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ to [\d.]+ +\w.+", lines[since + 3])
    assert re.match(r"--help, cold start +\d", next(line for line in lines if line.startswith("--help, c")))
    rows = [line.split("\t") for line in piped if line.startswith("openvino int8-cpu, network\t")]
    assert [len(row) for row in rows] == [6]


def test_regions_fit_80_columns(
    make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine stands above what it was compared on, each in a line; in a pipe it is in each row."""
    checks = tuple(
        SegmentCheck(
            engine="openvino int8-cpu",
            images=images,
            reference="openvino fp32",
            median_dice=0.9987,
            worst_dice=0.9987,
            boundary_px=0.0,
            faults=(),
        )
        for images in ("verification region", "6 simulated images")
    )
    record = make_record(checks=checks)
    show_bench(record)
    piped = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    show_bench(record)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    head = next(place for place, line in enumerate(lines) if line.startswith("decisions "))
    assert lines[head + 1] == "openvino int8-cpu"
    assert re.fullmatch(r"  verification region +openvino fp32 +0\.9987.+", lines[head + 2])
    assert re.fullmatch(r"  6 simulated images +openvino fp32 +0\.9987.+", lines[head + 3])
    assert max(map(len, lines)) <= 80
    rows = [line.split("\t") for line in piped if line.startswith("openvino int8-cpu, 6 simulated images\t")]
    assert [len(row) for row in rows] == [7]


def test_a_check_finds_an_engine_that_decides_otherwise(demo_bundle: Bundle) -> None:
    """An engine that swaps the classes agrees with nobody, on the bundle's patches and on images."""
    engine = open_engine(demo_bundle, "openvino", "fp32")

    class Swapped:
        info = engine.info

        def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
            return keep(np.ascontiguousarray(engine.field(planes)[..., ::-1]))

        def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
            return engine.network(windows)

        def close(self) -> None:
            engine.close()

    planes = simulate_projection("control", 11, size_px=256)[np.newaxis, ::-1]  # collagen, nuclei
    with closing(Swapped()) as swapped:
        right, wrong = (
            [check for check in found if isinstance(check, Check)]
            for found in (check_engines(demo_bundle, {"e": e}, [planes], "images") for e in (engine, swapped))
        )

    assert [(check.faults, check.agreement) for check in right] == [((), 1.0)] * 2
    assert all("votes agree" in " ".join(check.faults) for check in wrong)
    assert max(check.agreement for check in wrong) < 0.1


def test_a_check_tells_of_an_engine_that_gives_no_probabilities() -> None:
    """A row with the fault, for the bundle's region and for the image, and no traceback."""
    bundle = open_bundle(DEMO_NUCLEI)
    engine = open_engine(bundle, "openvino", "fp32")

    class Lost:
        info = engine.info

        def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
            return keep(np.full((*planes.shape[2:], len(bundle.config.task.classes)), np.nan, np.float32))

        def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
            return engine.network(windows)

        def close(self) -> None:
            engine.close()

    planes = simulate_projection("control", 11, size_px=256)[np.newaxis, :1]
    with closing(Lost()) as lost:
        found = check_engines(bundle, {"e": lost}, [planes], "images")

    assert [check.images for check in found] == ["verification region", "images"]
    assert [check.faults for check in found] == [("1 images get no probabilities, none may",)] * 2


def test_a_check_judges_planes_one_by_one_where_the_bundle_does(tmp_path: Path) -> None:
    """An engine that is wrong about the second plane alone is found out; of the sum it knows nothing."""
    network = to_onnx(unet(7, depth=2), 2, 64)
    bundle = windowed_bundle(tmp_path, {"fp32": network}, {"px": 96, "halo_px": 24, "step_px": 4})
    each = bundle.config.input.model_copy(update={"planes": "each"})
    bundle = replace(bundle, config=bundle.config.model_copy(update={"input": each}))
    planes = scene((2, 2, 128, 128), seed=3)
    engine = open_engine(bundle, "openvino", "fp32")

    class WrongOnce:
        info = engine.info

        def field(self, given: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
            found = engine.field(given)
            return keep(found[..., ::-1] if np.array_equal(given, planes[1:]) else found)

        def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
            return engine.network(windows)

        def close(self) -> None:
            engine.close()

    with closing(WrongOnce()) as wrong:
        found = check_engines(bundle, {"right": engine, "wrong": wrong}, [planes], "images")

    assert [(check.engine, bool(check.faults)) for check in found] == [("right", False), ("wrong", True)]


def test_a_record_of_another_schema_is_refused_before_anything_is_measured(
    tmp_path: Path, short: BenchRequest
) -> None:
    """Half a minute later would be too late to say it."""
    (tmp_path / "old.json").write_text('{"schema": "colvi-edge.bench/0"}')

    with pytest.raises(UsageError, match="no record of schema"):
        bench(replace(short, bundle="/nowhere.colvi"), compare=tmp_path / "old.json")


def test_no_other_command_loads_the_bench() -> None:
    """What runs at the microscope stays as light as it was."""
    modules = ("cli", "pipeline", "cli.demo", "doctor", "watch.worker", "watch.supervisor")
    imports = ", ".join(f"colvi_edge.{module}" for module in modules)

    assert loaded_by(f"import {imports}", "colvi_edge.bench") == []


def test_the_bench_loads_no_other_runtime_unasked() -> None:
    """Of a second and a gigabyte for torch nothing is seen without --peers."""
    others = ("torch", "tensorflow", "onnxruntime", "onnx", "bioimageio")

    assert loaded_by("import colvi_edge.cli.bench", *others) == []


def loaded_by(code: str, *modules: str) -> list[str]:
    """Return which of some modules a fresh interpreter has loaded after running code."""
    probe = f"{code}; import sys; print(*({set(modules)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_a_record_of_hostile_words(
    make_record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    """One to compare with may come from a stranger: its words do nothing, and are no markup."""
    odd = "\x1b]0;OWNED\x07[/] [red \x9b\u202e\nforged"
    plain = make_record().model_dump_json()
    words = (
        "openvino int8-cpu",
        "openvino fp32",
        "colvi-edge 0.0.0",
        "a model",
        "it was asked for",
        "A CPU",
        "Debian",
    )
    for word in words:
        plain = plain.replace(f'"{word}', f'"{word}' + json.dumps(odd)[1:-1])
    record = Record.model_validate_json(plain)

    show_bench(record, old=record, budget_ms=1000)

    printed = capsys.readouterr().out
    assert "OWNED[" not in printed  # the bell before it is told
    assert r"\x1b]0;OWNED\x07[/] [red \x9b\u202e\nforged" in printed
    assert all(cell.isprintable() for line in printed.split("\n") for cell in line.split("\t"))
    assert not re.search(r"(?m)^\s*forged", printed)
