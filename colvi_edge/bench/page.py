"""The page of a bench."""

from html import escape

from colvi_edge.bench import compare, figures, plots
from colvi_edge.bench.figures import PREPARE, Overview, interval, three_digits
from colvi_edge.bench.record import COLD_START, END_TO_END, NETWORK, READ, WRITE, Record, SegmentCheck
from colvi_edge.pages import elements
from colvi_edge.pages.plots import legend
from colvi_edge.pages.shell import page

_PARTS = {READ: "read", "quality": "quality", PREPARE: "prepare", NETWORK: "network", WRITE: "write"}
"""Stages that have a colour of their own, by the name of its style."""

_REST = "the rest"


def render(record: Record, old: Record | None = None) -> str:
    """Return the page of a record and, where there is an older one, of what changed."""
    first = figures.overview(record)[0]
    sections = [
        _head(record, first),
        _strips(record),
        _bars(record),
        _engines(record) if len(record.engines) > 1 else "",
        _stages(record),
        _peers(record) if record.peers or record.peers_missing else "",
        _checks(record) if record.checks else "",
        _changes(record, old) if old else "",
        _facts(record),
    ]
    return page("colvi-edge bench", record.created, sections, __package__)


def _head(record: Record, first: Overview) -> str:
    continuous = first.continuous
    tiles = [
        ("95 % within", _span(continuous.summary_ms["p95"])),
        ("slowest", _span(max(continuous.samples_ms))),
        (
            f"after {record.settings.idle_s:g} s of rest",
            _span(first.after_idle.median_ms) if first.after_idle else "",
        ),
        ("in a new process", _span(first.cold_start.median_ms) if first.cold_start else ""),
        ("in a burst", f"{1000 / first.burst.median_ms:.1f} <small>images/s</small>" if first.burst else ""),
        ("not the network", f"{100 * first.outside:.0f} <small>%</small>"),
    ]
    facts = figures.facts(record)
    return (
        f'<p class="quiet">{escape(facts["Measured"])}. {escape(facts["Machine"])}.</p>\n'
        f"{elements.notices(figures.warnings(record))}"
        f'<p class="lead">From file to JSON in <b>{three_digits(continuous.median_ms)} ms</b> on '
        f"{escape(first.engine)}, the median of {len(continuous.samples_ms)} images.</p>\n"
        f"{elements.tiles((name, value) for name, value in tiles if value)}"
    )


def _strips(record: Record) -> str:
    rows = [
        (row.engine, [way for way in figures.ways(record, row) if way[1].pattern != COLD_START])
        for row in figures.overview(record)
    ]
    scale = plots.Scale([sample for _, group in rows for _, series in group for sample in series.samples_ms])
    body = ""
    for engine, group in rows:
        body += f"<h3>{escape(engine)}</h3>"
        for way, series in group:
            name = way.removeprefix(f"{END_TO_END}, ")
            p50, p95 = (three_digits(series.summary_ms[which]) for which in ("p50", "p95"))
            words = f"{engine}, {name}: median {p50} ms, 95 % within {p95} ms"
            value = f'<b>{p50}</b> <span class="quiet">p95 {p95}</span>'
            body += elements.row(escape(name), plots.strip(series.samples_ms, scale, words), value)
        body += elements.row("", plots.axis(scale), "")
    return elements.section(
        "From file to JSON",
        "Each dot is one image, the first measured on top, the last at the bottom. Solid line: median; "
        "dashed: 95 % are faster. The axis is logarithmic.",
        body,
    )


def _bars(record: Record) -> str:
    bars = {
        (engine.name, given): _parts(record, engine.name, given)
        for engine in record.engines
        for given in record.inputs
    }
    whole = max(sum(parts.values()) for parts in bars.values())
    body = _legend()
    for engine in record.engines:
        body += f"<h3>{escape(engine.name)}</h3>"
        for given in record.inputs:
            parts = bars[engine.name, given]
            words = f"{engine.name}, {given}: " + ", ".join(
                f"{part} {ms:.1f} ms" for part, ms in parts.items()
            )
            classes = [(_PARTS.get(part, "rest"), ms) for part, ms in parts.items()]
            value = f"<b>{three_digits(sum(parts.values()))}</b>"
            body += elements.row(escape(given), plots.bar(classes, whole, words), value)
    return elements.section(
        "Where the time goes",
        "Medians of the stages in ms, one after the other. Their sum differs a little from the median of the "
        f"whole. {PREPARE.capitalize()}: what the engine takes beyond the network alone.",
        body,
    )


def _parts(record: Record, engine: str, given: str) -> dict[str, float]:
    """Return the milliseconds of each stage that has a colour, and of the others together."""
    parts = dict.fromkeys(_PARTS, 0.0) | {_REST: 0.0}
    for stage in figures.stages(record, engine, given):
        if not stage.within:
            parts[stage.name if stage.name in parts else _REST] += stage.median_ms
    write = parts.pop(WRITE)
    return {**parts, WRITE: write}


def _legend() -> str:
    names = [(name, style) for name, style in _PARTS.items() if name != WRITE]
    names += [(_REST, "rest"), (WRITE, _PARTS[WRITE])]
    side = 12
    drawn = [
        (f'<rect class="{style}" width="{side}" height="{side}" rx="2"/>', name) for name, style in names
    ]
    return legend(drawn, side, side)


def _engines(record: Record) -> str:
    rows = figures.overview(record)
    body = []
    for row in rows:
        parts = (row.continuous, row.after_idle, row.cold_start, row.burst, row.network)
        cells = [three_digits(part.median_ms) if part else "" for part in parts]
        body.append([row.engine, *cells, f"{row.continuous.median_ms / rows[0].continuous.median_ms:.2f}"])
    head = ["p50 in ms", END_TO_END, "after rest", "new process", "in a burst", "network", "ratio"]
    return elements.section(
        "Engines side by side",
        "They took turns, in a new order each round.",
        elements.table(head, elements.plain(body)),
    )


def _stages(record: Record) -> str:
    body = ""
    for engine, row in zip(record.engines, figures.overview(record), strict=True):
        rows = [("first", name, figures.summary(series)) for name, series in figures.ways(record, row)]
        for stage in figures.stages(record, engine.name, record.inputs[0]):
            alone = [three_digits(stage.median_ms), *[""] * 5]
            summary = figures.summary(stage.series) if stage.series else alone
            rows.append(("within" if stage.within else "", stage.name, summary))
        shown = elements.table(
            ["ms", *figures.COLUMNS, "of"],
            elements.plain([name, *cells] for _, name, cells in rows),
            row_styles=[style for style, *_ in rows],
        )
        words = escape(f"{engine.version} on {engine.device}. {engine.reason}.")
        body += elements.folded(
            engine.name, f'<p class="quiet">{words}</p>{shown}', is_open=engine == record.engines[0]
        )
    return elements.section(
        "Every stage",
        f"Stages of the input “{escape(record.inputs[0])}”. Indented ones are done at the same time, within "
        "the one above. p99 of fewer than 100 is the slowest.",
        body,
    )


def _peers(record: Record) -> str:
    first = figures.overview(record)[0]
    rows = [(f"colvi-edge, {first.engine}", first.network, "1")]
    rows += [
        (f"{peer.name} ({peer.version}, batch {peer.batch})", peer.network, interval(peer.ratio))
        for peer in figures.peer_ratios(record)
    ]
    whole = max(series.median_ms for _, series, _ in rows)
    body = "".join(
        elements.row(
            escape(name),
            plots.bar([(NETWORK, series.median_ms)], whole, f"{name}: {series.median_ms:.1f} ms"),
            f'<b>{three_digits(series.median_ms)}</b> <span class="quiet">x {ratio}</span>',
            "row wide",
        )
        for name, series, ratio in rows
    )
    body += "".join(
        f'<p class="quiet">Not measured: {escape(missing.name)}: {escape(missing.why)}.</p>'
        for missing in record.peers_missing
    )
    return elements.section(
        "Other runtimes",
        "The network alone, from normalised patches to probabilities of the same image; medians in ms, and "
        "how many times as long they are, with the interval that holds the ratio with 95 % confidence.",
        body,
    )


_VOTE_HEAD = ("compared with", "agree", "bands differ", "diagnoses flip", "largest Δp", "largest Δscore")
_SEGMENT_HEAD = ("compared with", "median Dice", "worst Dice", "boundary, px", "objects' F1", "unmatched")


def _checks(record: Record) -> str:
    segments = isinstance(record.checks[0], SegmentCheck)
    head = ["regions", *_SEGMENT_HEAD] if segments else ["votes", *_VOTE_HEAD]
    faults = [f"{check.engine}: {fault}" for check in record.checks for fault in check.faults]
    verdict = "".join(f'<p class="bad">{escape(fault)}.</p>' for fault in faults)
    return elements.section(
        "Decisions",
        "How each engine decides here.",
        elements.table(head, elements.plain(figures.decisions(record)))
        + (verdict or '<p class="good">Every engine decides as the trained network does.</p>'),
    )


def _changes(record: Record, old: Record) -> str:
    rows = []
    for change in compare.changes(record, old):
        cells = [three_digits(change.old_ms), three_digits(change.new.median_ms)]
        rows.append([compare.title(change.new), *cells, interval(change.ratio), change.words])
    notices = elements.notices(compare.caveats(record, old))
    return elements.section(
        f"Since {old.created:%Y-%m-%d %H:%M} UTC",
        f"Compared with {escape(old.software)}; the interval holds the ratio with 95 % confidence.",
        notices + elements.table(["p50 in ms", "was", "is", "ratio", ""], elements.plain(rows)),
    )


def _facts(record: Record) -> str:
    return elements.section("What this holds for", "", elements.facts(figures.facts(record)))


def _span(milliseconds: float) -> str:
    return f"{three_digits(milliseconds)} <small>ms</small>"
