"""What changed since an earlier bench, and whether that is more than scatter."""

from typing import NamedTuple

from colvi_edge.bench.record import COLD_START, END_TO_END, Record, Series
from colvi_edge.bench.statistics import Ratio, ratio_of_medians


class Change(NamedTuple):
    """A series that both records hold.

    Attributes:
        new: the series of the new record.
        old_ms: median of the old one.
        ratio: how many times as long it takes now.
    """

    new: Series
    old_ms: float
    ratio: Ratio

    @property
    def words(self) -> str:
        """What the ratio says."""
        if not self.ratio.is_difference:
            return "no difference"
        return (
            f"{self.ratio.value:.2f} x as long"
            if self.ratio.value > 1
            else f"{1 / self.ratio.value:.2f} x faster"
        )


def changes(new: Record, old: Record) -> list[Change]:
    """Return what changed of what both records hold: the whole way of every input, the stages of the first.

    Stages too short to have a ratio are left out.
    """
    earlier = {series.key: series for series in old.series}
    return [
        Change(series, before.median_ms, ratio_of_medians(series.samples_ms, before.samples_ms))
        for series in new.series
        if (before := earlier.get(series.key)) and min(*series.samples_ms, *before.samples_ms) > 0
        if series.stage == END_TO_END
        or (series.pattern == "continuous" and series.input in (new.inputs[0], ""))
        or series.pattern == COLD_START
    ]


def caveats(new: Record, old: Record) -> list[str]:
    """Return what makes two records hard to compare, a sentence each."""
    differ = [
        ("machine", _machine(old), _machine(new)),
        ("bundle", old.model.sha256[:12], new.model.sha256[:12]),
        ("image", old.image.sha256[:12], new.image.sha256[:12]),
        ("file system", old.machine.file_system, new.machine.file_system),
        ("rest before an image", f"{old.settings.idle_s:g} s", f"{new.settings.idle_s:g} s"),
    ]
    return [f"another {what}: it was {was}, it is {now}" for what, was, now in differ if was != now]


def title(series: Series) -> str:
    """Return what a series is called in one line."""
    pattern = "" if series.pattern == "continuous" else series.pattern
    return ", ".join(part for part in (series.engine, series.stage, series.input, pattern) if part)


def _machine(record: Record) -> str:
    machine = record.machine
    parts = (machine.cpu, f"{machine.cores} cores", machine.governor, machine.power_mode, machine.gpu)
    return ", ".join(part for part in parts if part)
