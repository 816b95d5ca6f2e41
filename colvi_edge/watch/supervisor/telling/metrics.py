"""Numbers for Prometheus, as a file for node_exporter's textfile collector.

Counters begin at 0 with each start of the daemon, as Prometheus expects. Whether the file is kept up to date
is seen by its age, node_textfile_mtime_seconds.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

from colvi_edge.printable import printable_name
from colvi_edge.system.atomic import write_whole
from colvi_edge.watch.words import OUTCOMES, TROUBLES

_COUNTED = (*OUTCOMES, "quarantined")
BUCKETS_S = (0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Counted:
    """What is counted of one bundle.

    Attributes:
        outcomes: what became of files.
        latencies, latency_sum_s: from the close of a raw file to its sidecar, by bucket, and all together.
        last_success: when the last sidecar was written, seconds since 1970; 0 is never.
    """

    def __init__(self, last_success: float = 0.0) -> None:
        """Begin to count."""
        self.outcomes: Counter[str] = Counter()
        self.latencies: Counter[float] = Counter()
        self.latency_sum_s = 0.0
        self.last_success = last_success

    def count(self, outcome: str) -> None:
        """Count what became of a file."""
        self.outcomes[outcome] += 1

    def succeeded(self, latency_s: float, at: float) -> None:
        """Count a sidecar that was written.

        Args:
            latency_s: since the raw file came to rest.
            at: seconds since 1970.
        """
        bucket = next((edge for edge in BUCKETS_S if latency_s <= edge), float("inf"))
        self.latencies[bucket] += 1
        self.latency_sum_s += latency_s
        self.last_success = at


class Metrics(Counted):
    """What is counted of all bundles, and how it is written down.

    It is itself what is counted of the first; numbers of another one have its name as a further label.
    """

    def __init__(self, folder: str, last_success: float = 0.0) -> None:
        """Begin to count.

        Args:
            folder: that is watched; labels every number.
            last_success: when the first bundle's last sidecar was written, seconds since 1970; 0 is never.
        """
        super().__init__(last_success)
        self._folder = folder
        self._counted: dict[str, Counted] = {"": self}

    def of(self, slot: str, last_success: float = 0.0) -> Counted:
        """Return what is counted of a bundle, by the name that its results bear."""
        return self._counted.setdefault(slot, Counted(last_success))

    def text(
        self, pending: int, states: Collection[str], not_read: Mapping[str, int] = MappingProxyType({})
    ) -> str:
        """Return all numbers in Prometheus' text format.

        Args:
            pending: files without a final answer.
            states: names of what is wrong now.
            not_read: files in image formats that are not read, by suffix.
        """
        return "".join(f"{line}\n" for line in self._lines(pending, states, not_read))

    def write(
        self,
        path: Path,
        pending: int,
        states: Collection[str],
        not_read: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Write all numbers into a file, which is replaced as a whole.

        Raises:
            OSError: it cannot be written.
        """
        write_whole(path, self.text(pending, states, not_read).encode())

    def _lines(self, pending: int, states: Collection[str], not_read: Mapping[str, int]) -> Iterator[str]:
        yield from _head("files_total", "counter", "What became of raw files.")
        of_each = [({"bundle": slot} if slot else {}, counted) for slot, counted in self._counted.items()]
        for labels, counted in of_each:
            for outcome in _COUNTED:
                yield self._line("files_total", counted.outcomes[outcome], **labels, outcome=outcome)
        yield from _head("latency_seconds", "histogram", "From the close of a raw file to its sidecar.")
        edges = (*BUCKETS_S, float("inf"))
        for labels, counted in of_each:
            counts = accumulate(counted.latencies[edge] for edge in edges)
            for edge, count in zip(edges, counts, strict=True):
                le = "+Inf" if edge == float("inf") else f"{edge:g}"
                yield self._line("latency_seconds_bucket", count, **labels, le=le)
            yield self._line("latency_seconds_sum", round(counted.latency_sum_s, 6), **labels)
            yield self._line("latency_seconds_count", sum(counted.latencies.values()), **labels)
        yield from _head("pending_files", "gauge", "Raw files that have no final answer yet.")
        yield self._line("pending_files", pending)
        yield from _head("not_read_files", "gauge", "Files in image formats that are not read, by suffix.")
        for suffix, count in sorted(not_read.items()):
            yield self._line("not_read_files", count, suffix=suffix)
        yield from _head("last_success_timestamp_seconds", "gauge", "When the last sidecar was written.")
        for labels, counted in of_each:
            yield self._line("last_success_timestamp_seconds", round(counted.last_success, 3), **labels)
        yield from _head("state", "gauge", "1 while the daemon is in this state.")
        for state in TROUBLES:
            yield self._line("state", int(state in states), state=state)

    def _line(self, name: str, value: float, **labels: str) -> str:
        inside = ",".join(
            f'{key}="{_escaped(text)}"' for key, text in {"folder": self._folder, **labels}.items()
        )
        return f"colvi_edge_{name}{{{inside}}} {value}"


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP colvi_edge_{name} {words}"
    yield f"# TYPE colvi_edge_{name} {kind}"


def _escaped(text: str) -> str:
    return printable_name(text).replace("\\", r"\\").replace('"', r"\"")
