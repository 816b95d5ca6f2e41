"""The metrics file, read by a parser of Prometheus' text format that knows nothing of how it is written."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.watch.supervisor.telling.metrics import BUCKETS_S, Metrics
from colvi_edge.watch.words import OUTCOMES, TROUBLES

COUNTED = (*OUTCOMES, "quarantined")

Sample = tuple[str, tuple[tuple[str, str], ...]]

LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parsed(text: str) -> dict[Sample, float]:
    """Return the samples of a text in the exposition format; anything that breaks its rules fails.

    The rules: each line ends in a line feed; HELP and TYPE of a metric come once and before its samples,
    which follow in one group; no sample comes twice.
    """
    assert text.endswith("\n")
    samples: dict[Sample, float] = {}
    kinds: dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE")
            if what == "TYPE":
                assert rest in ("counter", "gauge", "histogram")
                assert name not in kinds
                kinds[name], current = rest, name
            continue
        match = LINE.fullmatch(line)
        assert match, line
        name, inside, value = match.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name) if kinds[current] == "histogram" else name
        assert family == current
        labels = tuple(LABEL.findall(inside or ""))
        assert "".join(f'{key}="{text}",' for key, text in labels).rstrip(",") == (inside or "")
        assert (name, labels) not in samples
        samples[name, labels] = float(value)
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in kinds.items())
    return samples


def test_each_bundle_is_counted_by_itself() -> None:
    """Under the name that its results bear; the first has none, as where it is alone."""
    metrics = Metrics("/data", last_success=1.5e9)
    alone = parsed(metrics.text(0, set()))
    nuclei = metrics.of("nuclei", 1.6e9)
    nuclei.count("error")
    nuclei.succeeded(0.07, 1.7e9)
    metrics.count("ok")
    samples = parsed(metrics.text(0, set()))
    folder, named = ("folder", "/data"), ("bundle", "nuclei")

    assert metrics.of("nuclei") is nuclei
    assert {key for key in samples if named not in key[1]} == set(alone)
    assert samples["colvi_edge_files_total", (folder, ("outcome", "ok"))] == 1
    assert samples["colvi_edge_files_total", (folder, ("outcome", "error"))] == 0
    assert samples["colvi_edge_files_total", (folder, named, ("outcome", "error"))] == 1
    assert samples["colvi_edge_latency_seconds_count", (folder, named)] == 1
    assert samples["colvi_edge_latency_seconds_bucket", (folder, named, ("le", "0.05"))] == 0
    assert samples["colvi_edge_latency_seconds_bucket", (folder, named, ("le", "0.1"))] == 1
    assert samples["colvi_edge_last_success_timestamp_seconds", (folder,)] == 1.5e9
    assert samples["colvi_edge_last_success_timestamp_seconds", (folder, named)] == 1.7e9


def test_counts_are_written() -> None:
    """Each outcome and each state has its sample from the start, so that a rate can be taken of it."""
    metrics = Metrics("/data/scope", last_success=1.5e9)
    for outcome in ("ok", "ok", "error"):
        metrics.count(outcome)
    samples = parsed(metrics.text(7, {"disk full"}))
    folder = ("folder", "/data/scope")

    counted = {
        outcome: samples["colvi_edge_files_total", (folder, ("outcome", outcome))] for outcome in COUNTED
    }
    assert counted == {**dict.fromkeys(COUNTED, 0.0), "ok": 2.0, "error": 1.0}
    states = {state: samples["colvi_edge_state", (folder, ("state", state))] for state in TROUBLES}
    assert states == {**dict.fromkeys(TROUBLES, 0.0), "disk full": 1.0}
    assert samples["colvi_edge_pending_files", (folder,)] == 7
    assert samples["colvi_edge_last_success_timestamp_seconds", (folder,)] == 1.5e9


def test_formats_that_are_not_read_are_counted() -> None:
    """Each suffix that is there has a sample; without one there is none to be wrong."""
    metrics = Metrics("/data")
    samples = parsed(metrics.text(0, set(), {".nd2": 3, ".nii.gz": 1}))
    found = {labels[1]: value for (name, labels), value in samples.items() if name.endswith("not_read_files")}

    assert found == {("suffix", ".nd2"): 3, ("suffix", ".nii.gz"): 1}
    assert not [name for name, _ in parsed(metrics.text(0, set())) if name.endswith("not_read_files")]


@given(st.lists(st.floats(0, 1e5), max_size=40))
def test_the_histogram_is_cumulative(latencies_s: list[float]) -> None:
    """A bucket holds all that took at most as long as it says; the last one holds all."""
    metrics = Metrics("/data")
    for latency_s in latencies_s:
        metrics.succeeded(latency_s, at=1.0)
    samples = parsed(metrics.text(0, set()))
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in samples.items()
        if name.endswith("_bucket")
    }

    assert list(buckets) == sorted([*BUCKETS_S, math.inf])
    for edge, value in buckets.items():
        assert value == sum(latency_s <= edge for latency_s in latencies_s)
    folder = (("folder", "/data"),)
    assert samples["colvi_edge_latency_seconds_count", folder] == len(latencies_s)
    assert samples["colvi_edge_latency_seconds_sum", folder] == pytest.approx(sum(latencies_s), abs=1e-5)


@pytest.mark.parametrize("name", ['/da"ta', "/da\\ta", "/da\nta", "/caf\udce9", "/a,b=c}"])
def test_a_folders_name_cannot_break_the_format(name: str) -> None:
    """Quotes, line breaks and undecodable bytes are escaped; the file is UTF-8."""
    samples = parsed(Metrics(name).text(0, set()))

    assert len(samples) == len(parsed(Metrics("/data").text(0, set())))
    Metrics(name).text(0, set()).encode()


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """What a scrape has opened stays as it was."""
    path = tmp_path / "scope.prom"
    Metrics("/data").write(path, 1, set())
    with path.open() as opened:
        Metrics("/data").write(path, 2, set())
        before = parsed(opened.read())

    assert before["colvi_edge_pending_files", (("folder", "/data"),)] == 1
    assert parsed(path.read_text())["colvi_edge_pending_files", (("folder", "/data"),)] == 2
    assert [found.name for found in tmp_path.iterdir()] == ["scope.prom"]
