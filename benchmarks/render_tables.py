"""The tables of docs/evidence/performance.md, from records of `colvi-edge bench --json`.

    python benchmarks/render_tables.py RECORD.json...

Prints Markdown.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from colvi_edge.bench import figures
from colvi_edge.bench.figures import interval, three_digits
from colvi_edge.bench.record import Record, read


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
        rows = [[name, *figures.cells(series)] for name, series in figures.ways(record, row)]
        for stage in figures.stages(record, row.engine, record.inputs[0]):
            cells = figures.cells(stage.series) if stage.series else [three_digits(stage.median_ms)]
            rows.append([f"{'- ' * bool(stage.within)}{stage.name}", *cells])
        yield from table(["", *figures.COLUMNS], rows)
        burst = f"{1000 / row.burst.median_ms:.1f} images/s in bursts; " if row.burst else ""
        yield f"\n{burst}{row.outside:.0%} of file to JSON is not the network."
    peers = [
        [peer.name, peer.version, str(peer.batch), three_digits(peer.network.median_ms), interval(peer.ratio)]
        for peer in figures.peer_ratios(record)
    ]
    if peers:
        yield f"\n**The network alone**, x {record.engines[0].name}\n"
        yield from table(["", "version", "batch", "p50", "ratio"], peers)
    for missing in record.peers_missing:
        yield f"\nNot measured: {missing.name}: {missing.why}."
    if record.checks:
        head = "votes", "compared with", "agree", "bands differ", "diagnoses flip", "largest dp"
        yield ""
        yield from table([*head, "largest dscore"], figures.decisions(record))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a table; rows that are too short end in empty cells."""
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join([*row, *[''] * (len(head) - len(row))])} |"


if __name__ == "__main__":
    main()
