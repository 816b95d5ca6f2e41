"""What `evaluate` prints of a network of any classes: confusion, and each class against the rest."""

from collections.abc import Sequence

from rich.text import Text

from colvi_edge.export.evaluation.class_record import ClassesRecord, ClassLevel
from colvi_edge.export.evaluation.record import between, figure
from colvi_edge.export.pages.classes import levels
from colvi_edge.terminal.console import PrintableConsole
from colvi_edge.terminal.tables import print_named, print_words

_FEW = 4
"""Classes whose names stand above the columns of a confusion matrix; those of more have numbers there."""
_MOST = 12
"""Classes of a matrix that fits 80 columns."""


def print_classes(console: PrintableConsole, record: ClassesRecord) -> None:
    """Print the figures of each level: what votes, and what it votes for."""
    for words, level in levels(record):
        _print_level(console, record.classes, words, level)
        console.print()


def _print_level(console: PrintableConsole, classes: Sequence[str], words: str, level: ClassLevel) -> None:
    interval = level.accuracy_interval
    sure = f" ({between(interval)})" if interval else ""
    print_words(
        console,
        Text(
            f"{level.right} of {level.n} {words} judged right: accuracy {figure(level.accuracy)}{sure}, "
            f"balanced accuracy {figure(level.balanced_accuracy)}, mean F1 {figure(level.f1)}"
        ),
    )
    heads = ["class", words, "precision", "recall", *(["95 % interval"] if interval else []), "F1", "AUC"]
    rows = [
        [
            Text(one.name),
            Text(str(one.n)),
            Text(figure(one.precision)),
            Text(figure(one.recall)),
            *([Text(between(one.recall_interval))] if interval else []),
            Text(figure(one.f1)),
            Text(figure(one.auc)),
        ]
        for one in level.classes
    ]
    print_named(console, heads, rows, right=range(1, len(heads)))
    console.print()
    if len(classes) > _MOST:
        console.print(f"The confusion of {len(classes)} classes stands in --json and on the page of --html.")
        return
    numbered = len(classes) > _FEW
    names = [f"{number} {name}" if numbered else name for number, name in enumerate(classes, 1)]
    heads = ["truth, and judged"] + ([str(n + 1) for n in range(len(classes))] if numbered else names)
    heads += ["undecided"] if level.undecided else []
    counts = [
        [Text(name), *(Text(str(count)) for count in row[: len(heads) - 1])]
        for name, row in zip(names, level.confusion, strict=True)
    ]
    print_named(console, heads, counts, right=range(1, len(heads)))
