"""Pieces of HTML that the pages of an evaluation and of a comparison share."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from colvi_edge.export.evaluation.intervals import LEVEL, NO_INTERVAL
from colvi_edge.export.evaluation.record import (
    Bin,
    Counts,
    Curve,
    Header,
    ImageJudged,
    Level,
    Pooled,
    Reading,
    Roc,
    between,
    figure,
)
from colvi_edge.pages import shell
from colvi_edge.pages.elements import facts, notices, row, section, table
from colvi_edge.printable import counted

from . import plots

FEWEST_FOR_CURVE = 10
"""With fewer images of a class than this an ROC curve of images has but a few steps, which luck draws."""
FEWEST_BINS = 3
"""With fewer, a reliability plot is a dot or two in an empty square."""

SIMULATED = "Simulated images: how a network does on real cultures, these figures do not say."
CALIBRATION = (
    "The overlay's colours are thresholds of probability: of the patches judged with a confidence of 0.8, "
    "80 % should be right."
)
SCORES = (
    "Each dot is one image at its score (100 = control), the share of control votes in percent. Controls "
    "belong to the right of the middle, patients to the left; rings are judged wrong."
)


def page(record: Header, title: str, body: Iterable[str]) -> str:
    """Return a page; `body` is HTML."""
    notes = [SIMULATED] if record.dataset.is_simulated else []
    return shell.page(
        title, record.created, [notices([*notes, *record.chance, *record.notes]), *body], __package__
    )


def side_by_side(*pieces: tuple[str, str]) -> str:
    """Return pieces, (heading, HTML), in columns; below each other on a phone."""
    shown = "".join(f"<div><h3>{escape(heading)}</h3>{piece}</div>" for heading, piece in pieces)
    return f'<div class="pair">{shown}</div>'


def confusion(counts: Counts, what: str) -> str:
    """Return the confusion matrix as a coloured table; `what` was judged, in the plural."""
    head = ("truth", "judged control", "judged patient", "all")
    rows = []
    for truth, right, wrong in (("control", counts.tn, counts.fp), ("patient", counts.tp, counts.fn)):
        cells = [shaded(right, right + wrong, "hit"), shaded(wrong, right + wrong, "miss")]
        rows.append([truth, *(cells if truth == "control" else cells[::-1]), f"{right + wrong:,}"])
    one = what.removesuffix("es") if what == "patches" else what.removesuffix("s")
    ties = f"{counts.undecided:,} {what} undecided by a tie count as wrong." if counts.undecided else ""
    if counts.undecided == 1:
        ties = f"1 {one} undecided by a tie counts as wrong."
    return table(head, rows, "confusion") + (f'<p class="quiet">{ties}</p>' if ties else "")


def curves(
    named: Mapping[str, Roc],
    auc: Mapping[str, tuple[float | None, float | None]],
    words: str,
    images: Counts,
) -> str:
    """Return the ROC curves of patches and of images, each with the area below it.

    Args:
        named: curves, by what they are of.
        auc: area at patch and at image level, by the same names.
        words: how to read them.
        images: that they are of; below a curve of few that is said.
    """
    controls, patients = images.tn + images.fp, images.tp + images.fn
    of_few = ""
    if min(controls, patients) < FEWEST_FOR_CURVE:
        of_few = (
            f'<p class="quiet">Of {counted(images.n, "image")}, {counted(controls, "control")} and '
            f"{counted(patients, 'patient')}: says little, even with a perfect corner.</p>"
        )
    pieces = []
    for place, (heading, level) in enumerate((("Patches", "patch"), ("Images", "image"))):
        drawn: list[Curve | None] = [getattr(one, level) for one in named.values()]
        areas = [f"{name}, AUC {figure(auc[name][place])}" for name in named]
        picture = plots.roc(drawn, f"ROC curves of {heading.lower()}: {'; '.join(areas)}")
        few = of_few if level == "image" else ""
        pieces.append((heading, f"{picture}{plots.legend(areas)}{few}"))
    return section("ROC curves", words, side_by_side(*pieces))


def calibration(bins: Sequence[Bin], what: str = "patches") -> str:
    """Return the reliability plot beside its numbers, or these alone where they are too few for one."""
    rows = [
        [f"{one.low:g} to {one.high:g}", f"{one.n:,}", figure(one.confidence), figure(one.accuracy)]
        for one in bins
    ]
    numbers = table(["confidence", what, "mean", "right"], rows)
    if len(bins) < FEWEST_BINS:
        return (
            f'{numbers}<p class="quiet">No plot: all confidences lie in {counted(len(bins), "bin")} of ten, '
            f"and one needs {FEWEST_BINS}.</p>"
        )
    return side_by_side(
        ("Reliability", plots.reliability(bins, "Reliability; the figures are in the table beside it", what)),
        ("In numbers", numbers),
    )


def scores(images: Sequence[ImageJudged]) -> str:
    """Return the images' scores, by class."""
    body = ""
    for truth in ("control", "patient"):
        group = [image for image in images if image.truth == truth]
        right = sum(image.right for image in group)
        words = f"Scores of {counted(len(group), 'image')} of class {truth}, {right} judged right"
        body += row(f"{truth}s", plots.strip(group, words), f"<b>{right}</b> of {len(group)} right")
    return body + row("", plots.score_axis(), "")


def how_sure(patches: Level | Pooled) -> str:
    """Return what the small figures are, and why those of patches are not there."""
    words = (
        f"Small: the {100 * LEVEL:.0f} % interval, which does not take images of one subject, or patches of "
        "one image, for independent."
    )
    return words if patches.interval else f"{words} {NO_INTERVAL}"


def with_interval(reading: Reading) -> str:
    """Return a figure with its spread and its interval, as far as it has them, as HTML."""
    value, sd, interval = reading
    spread = "" if sd is None else f" <small>± {figure(sd)}</small>"
    return figure(value) + spread + (f" <small>{between(interval)}</small>" if interval else "")


def what_was_evaluated(record: Header, images: Counts, **more: str) -> str:
    """Return a section of what was evaluated; `more` are other facts by their names."""
    classes = f"{counted(images.tn + images.fp, 'control')}, {counted(images.tp + images.fn, 'patient')}"
    return section("What was evaluated", "", dataset_facts(record, images.n, classes, more))


def dataset_facts(record: Header, images: int, classes: str, more: Mapping[str, str]) -> str:
    """Return facts of a dataset: so many images, of these classes, if any are named; `more` come before."""
    dataset = record.dataset
    subjects = f" of {counted(dataset.subjects, 'subject')}" if dataset.subjects is not None else ""
    named = {
        **more,
        "Dataset": dataset.name,
        "Images": f"{images}{subjects}" + (f": {classes}" if classes else ""),
        "Evaluated": f"{record.created:%Y-%m-%d %H:%M} UTC",
        "Software": record.software.label,
    }
    return facts(named)


def shaded(count: int, whole: int, style: str, *, with_share: bool = True) -> str:
    """Return a cell of a confusion matrix, the darker the larger its share of the whole; a hit or a miss."""
    share = 100 * count / whole if whole else 0.0
    words = f" <small>{share:.1f} %</small>" if with_share else ""
    return f'<div class="{style}" style="--share:{share:.1f}%">{count:,}{words}</div>'
