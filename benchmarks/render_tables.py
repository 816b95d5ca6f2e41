"""The tables of docs/performance.md, from records of `colvi-edge bench --json`.

    python benchmarks/render_tables.py RECORD.json...

Prints Markdown.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from colvi_edge.bench import figures
from colvi_edge.bench.figures import three_digits
from colvi_edge.bench.record import Record, read

COLUMNS = ("p50", "p90", "p95", "p99", "min")


def main() -> None:
    """Print the tables of each record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("records", type=Path, nargs="+")
    for file in parser.parse_args().records:
        print("\n".join(lines(read(file))))


def lines(record: Record) -> Iterator[str]:
    """Give what was measured, and on what."""
    yield from (f"- {name}: {words}" for name, words in figures.facts(record).items())
    for row in figures.overview(record):
        yield f"\n**{row.engine}**, ms\n"
        rows = [
            [name, *(three_digits(s.summary_ms[c]) for c in COLUMNS)] for name, s in figures.ways(record, row)
        ]
        for stage in figures.stages(record, row.engine, record.inputs[0]):
            cells = [three_digits(stage.series.summary_ms[c]) for c in COLUMNS] if stage.series else []
            rows.append(
                [f"{'- ' * bool(stage.within)}{stage.name}", *(cells or [three_digits(stage.median_ms)])]
            )
        yield from table(["", *COLUMNS], rows)
        burst = f"{1000 / row.burst.median_ms:.1f} images/s in bursts; " if row.burst else ""
        yield f"\n{burst}{row.outside:.0%} of file to JSON is not the network."
    peers = figures.peer_ratios(record)
    if peers:
        yield f"\n**The network alone**, x {record.engines[0].name}\n"
        yield from table(
            ["", "version", "batch", "p50", "ratio"],
            [
                [
                    p.name,
                    p.version,
                    str(p.batch),
                    three_digits(p.network.median_ms),
                    figures.interval(p.ratio),
                ]
                for p in peers
            ],
        )
    for missing in record.peers_missing:
        yield f"\nNot measured: {missing.name}: {missing.why}."
    if record.checks:
        yield ""
        yield from table(
            [
                "votes",
                "compared with",
                "agree",
                "bands differ",
                "diagnoses flip",
                "largest dp",
                "largest dscore",
            ],
            [
                [
                    f"{check.engine}, {check.images}",
                    check.reference,
                    f"{check.agreement:.2%}",
                    f"{check.band_flips:.2%}",
                    str(check.diagnosis_flips),
                    f"{check.largest_dp:.2g}",
                    f"{check.largest_dscore:.2f}",
                ]
                for check in record.checks
            ],
        )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a table; rows that are too short end in empty cells."""
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join([*row, *[''] * (len(head) - len(row))])} |"


if __name__ == "__main__":
    main()
