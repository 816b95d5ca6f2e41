"""A record as people read it: what stands in the table and on the page, and in which order."""

from typing import NamedTuple

from colvi_edge.bench.record import (
    COLD_START,
    END_TO_END,
    ENGINE,
    HELP,
    NETWORK,
    TO_THE_END,
    Check,
    Machine,
    Record,
    SegmentCheck,
    Series,
)
from colvi_edge.bench.statistics import Ratio, percentile, ratio_of_medians

PREPARE = "project, tile, normalise"
UNTOLD = "not told by this machine"
COLUMNS = ("p50", "p90", "p95", "p99", "min")


class Overview(NamedTuple):
    """What most want to know of an engine.

    Attributes:
        continuous: from file to JSON, of the first input.
        after_idle, cold_start, burst: the same after a rest, of a whole process, and of a burst.
        network: the network alone.
        outside: share of the time from file to JSON that is not the network's, 0..1.
    """

    engine: str
    continuous: Series
    after_idle: Series | None
    cold_start: Series | None
    burst: Series | None
    network: Series
    outside: float


class Stage(NamedTuple):
    """A part of the way from file to JSON.

    Attributes:
        name: of the stage.
        median_ms: of its series; where it has none, a difference of medians.
        series: what was measured.
        within: the stage that it is a part of; such parts may overlap.
    """

    name: str
    median_ms: float
    series: Series | None
    within: str


class PeerRatio(NamedTuple):
    """The network on another runtime."""

    name: str
    version: str
    batch: int
    network: Series
    ratio: Ratio


def overview(record: Record) -> list[Overview]:
    """Return a row for each engine."""
    rows = []
    for engine in (used.name for used in record.engines):
        continuous, network = record.find(engine, END_TO_END), record.find(engine, NETWORK)
        if continuous and network:
            rows.append(
                Overview(
                    engine,
                    continuous,
                    record.find(engine, END_TO_END, "after idle"),
                    record.find(engine, END_TO_END, COLD_START),
                    record.find(engine, END_TO_END, "burst"),
                    network,
                    max(0.0, 1 - network.median_ms / continuous.median_ms),
                )
            )
    return rows


def ways(record: Record, row: Overview) -> list[tuple[str, Series]]:
    """Return what was measured of an engine from end to end, each with its name."""
    rest = f"after {record.settings.idle_s:g} s of rest"
    found = [(given, record.find(row.engine, END_TO_END, given=given)) for given in record.inputs]
    found += [(rest, row.after_idle), ("new process", row.cold_start)]
    named = [(f"{END_TO_END}, {name}", series) for name, series in found]
    named.append((f"{TO_THE_END}, to its end", record.find(row.engine, TO_THE_END, COLD_START)))
    if row.engine == record.engines[0].name:
        named.append((f"{HELP}, {TO_THE_END}", record.find("", HELP, COLD_START)))
    return [(name, series) for name, series in named if series]


def stages(record: Record, engine: str, given: str) -> list[Stage]:
    """Return the parts of the way of one input, in order; those within another stand behind it.

    The engine's time is divided: the network is timed alone, and what that leaves of the engine's median is
    projection, tiling and normalisation, which some engines do in one pass with it.
    """
    found = [
        series
        for series in record.series
        if (series.engine, series.input, series.pattern) == (engine, given, "continuous")
        and series.stage != END_TO_END
    ]
    network = record.find(engine, NETWORK)
    parts: list[Stage] = []
    for series in found:
        if series.within:
            continue
        if series.stage == ENGINE and network:
            parts.append(Stage(PREPARE, max(0.0, series.median_ms - network.median_ms), None, ""))
            parts.append(Stage(NETWORK, network.median_ms, network, ""))
        else:
            parts.append(Stage(series.stage, series.median_ms, series, ""))
        parts += [
            Stage(part.stage, part.median_ms, part, part.within)
            for part in found
            if part.within == series.stage
        ]
    return parts


def peer_ratios(record: Record) -> list[PeerRatio]:
    """Return the peers and how many times as long they take as the first engine's network, fastest first."""
    ours = record.find(record.engines[0].name, NETWORK)
    found = [(peer, record.find(peer.name, NETWORK)) for peer in record.peers]
    return sorted(
        (
            PeerRatio(
                peer.name,
                peer.version,
                peer.batch,
                series,
                ratio_of_medians(series.samples_ms, ours.samples_ms),
            )
            for peer, series in found
            if series and ours
        ),
        key=lambda row: row.ratio.value,
    )


def cells(series: Series) -> list[str]:
    """Return the `COLUMNS` of a series as they are printed."""
    return [three_digits(series.summary_ms[column]) for column in COLUMNS]


def summary(series: Series) -> list[str]:
    """Return the `cells` of a series, and of how many samples they are."""
    return [*cells(series), str(len(series.samples_ms))]


def decisions(record: Record) -> list[list[str]]:
    """Return how each engine decides here, as it is printed.

    Each row: whose decisions, of which images; compared with whose. Of votes then the share that agrees and
    that of other bands, diagnoses that flip, largest difference of a probability and of a score; of regions
    median and worst Dice, how far a boundary moves, F1 of the objects, and how many have no partner.
    """
    return [
        [f"{check.engine}, {check.images}", check.reference, *_compared(check)] for check in record.checks
    ]


def _compared(check: Check | SegmentCheck) -> list[str]:
    if isinstance(check, SegmentCheck):
        return [
            f"{check.median_dice:.4f}",
            f"{check.worst_dice:.4f}",
            f"{check.boundary_px:.1f}",
            "-" if check.object_f1 is None else f"{check.object_f1:.4f}",
            "-" if check.object_flips is None else str(check.object_flips),
        ]
    return [
        f"{check.agreement:.2%}",
        f"{check.band_flips:.2%}",
        str(check.diagnosis_flips),
        f"{check.largest_dp:.2g}",
        f"{check.largest_dscore:.2f}",
    ]


def warnings(record: Record) -> list[str]:
    """Return what makes the figures worse than the machine, or better than life, a sentence each."""
    machine, found = record.machine, []
    if machine.busy > 0.1:
        found.append(
            f"The machine was {machine.busy:.0%} busy with other work when this began; "
            "measure again when it is idle."
        )
    if machine.file_system in ("tmpfs", "ramfs"):
        found.append(
            "Results were written to memory, where making them safe costs nothing; let --json name a file on "
            "the disk that matters, or set TMPDIR to it."
        )
    return found


def within_budget(record: Record, budget_ms: float) -> tuple[bool, str]:
    """Return whether the first engine's p95 is within a budget, and a sentence that says it."""
    first = overview(record)[0]
    p95 = percentile(first.continuous.samples_ms, 0.95)
    fits = p95 <= budget_ms
    return fits, (
        f"{'Within' if fits else 'Over'} the budget: 95 % of {len(first.continuous.samples_ms)} images went "
        f"from file to JSON within {p95:.1f} ms on {first.engine} ({first.continuous.input}); "
        f"{budget_ms:g} ms were allowed."
    )


def facts(record: Record) -> dict[str, str]:
    """Return what the figures hold for, by name."""
    machine, image, settings = record.machine, record.image, record.settings
    lent = ", virtual machine" if machine.is_virtual else ""
    shape = " x ".join(map(str, image.shape))
    busy = f"{machine.busy:.0%} of the cores busy right before the start"
    whose = "simulated" if image.is_simulated else "the given one"
    rest = f", {settings.idle_gaps} after {settings.idle_s:g} s of rest" if settings.idle_gaps else ""
    return {
        "Measured": f"{record.created:%Y-%m-%d %H:%M} UTC, {record.software}",
        "Machine": f"{machine.cpu}, {machine.cores} cores{lent}, {machine.memory_gib:g} GiB",
        "System": f"{machine.system}; results on {machine.file_system}",
        "Load": f"{machine.load_average:.2f} in the last minute; {busy}",
        "Governor": machine.governor or UNTOLD,
        **_where_told(machine),
        "Clocks": "; ".join(f"{_clock(clock.cpu_mhz, clock.gpu)} {clock.when}" for clock in record.clocks),
        "Model": f"{record.model.label}, sha256 {record.model.sha256[:16]}",
        "Image": f"{whose}, {image.axes} {shape} {image.dtype}",
        "Rounds": f"{settings.rounds} of each engine and input after {settings.warm_up_images} for warm-up"
        f"{rest}, {settings.cold_starts} cold starts, bursts of {settings.burst_images}",
        "Versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    }


def three_digits(milliseconds: float) -> str:
    """Return a time as it is printed: no more of its digits come back the next time."""
    decimals = 0 if milliseconds >= 99.95 else 1 if milliseconds >= 9.995 else 2
    return f"{milliseconds:.{decimals}f}"


def interval(ratio: Ratio) -> str:
    """Return a ratio with the ends of its interval."""
    return f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _where_told(machine: Machine) -> dict[str, str]:
    told = {"Power mode": machine.power_mode, "GPU": machine.gpu}
    return {name: words for name, words in told.items() if words}


def _clock(cpu_mhz: tuple[float, ...], gpu: str) -> str:
    span = "-".join(f"{mhz:.0f}" for mhz in sorted({min(cpu_mhz), max(cpu_mhz)})) if cpu_mhz else ""
    cpu = f"{span} MHz" if span else UNTOLD
    return f"{cpu}, GPU {gpu}" if gpu else cpu
