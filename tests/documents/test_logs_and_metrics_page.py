"""docs/how-to/logs-and-metrics.md tells each state, metric and field of the log, and none that is not."""

import ast
import re
from pathlib import Path

import colvi_edge.watch
from colvi_edge.watch.supervisor.telling.metrics import Metrics
from colvi_edge.watch.words import OUTCOMES, TROUBLES

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "logs-and-metrics.md").read_text(encoding="utf-8")
WATCH = Path(colvi_edge.watch.__file__).parent


def rows(head: str) -> list[list[str]]:
    """Return the cells of each row of the table whose first column is called so."""
    (table,) = re.findall(rf"(?m)^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE)
    return [line.strip("|\n ").split(" | ") for line in table.splitlines()]


def named(cell: str) -> list[str]:
    """Return what stands in code's letters."""
    return re.findall(r"`([^`]+)`", cell)


def logged() -> dict[str, set[str]]:
    """Return the fields that the daemon's modules give the journal, each with the words that stand there."""
    found: dict[str, set[str]] = {}
    for path in WATCH.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
                if isinstance(key, ast.Constant) and re.match("COLVI_(?!EDGE_)", str(key.value)):
                    words = [str(value.value)] if isinstance(value, ast.Constant) else []
                    found.setdefault(str(key.value), set()).update(words)
    return found


def test_its_states_are_those_of_the_daemon() -> None:
    """In any order: those of one remedy stand in one row."""
    assert sorted(state for first, *_ in rows("state") for state in named(first)) == sorted(TROUBLES)


def test_its_metrics_are_those_that_are_written() -> None:
    """Each with the labels by which it is told apart, but for folder and bundle, which all have."""
    metrics = Metrics("/data")
    metrics.of("nuclei")
    written: dict[str, set[str]] = {}
    for name, labels in re.findall(r"(?m)^(\w+)\{(.*)\}", metrics.text(1, set(), {".nd2": 1})):
        name = re.sub("_(bucket|sum|count)$", "", name)
        written.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))

    told = [re.findall(r"\w+", one) for first, _ in rows("metric") for one in named(first)]
    assert {name: set(labels) for name, *labels in told} == {
        name: labels - {"folder", "bundle", "le"} for name, labels in written.items()
    }


def test_its_fields_are_those_of_the_log() -> None:
    """And the words of the two that people search for."""
    fields = {name: words for first, words in rows("field") for name in named(first)}
    found = logged()

    assert set(fields) == set(found)
    assert set(named(fields["COLVI_EVENT"])) - {"--once"} == found["COLVI_EVENT"]
    assert sorted(named(fields["COLVI_OUTCOME"])) == sorted(OUTCOMES)
