"""The page of several methods on the same folds: the paper's table, for a laboratory's own images."""

from collections.abc import Sequence
from html import escape

from colvi_edge.export.evaluation.record import (
    HEADINGS,
    METRICS,
    Bin,
    ComparisonRecord,
    ImageJudged,
    Method,
    figure,
)
from colvi_edge.pages.elements import folded, section, table

from .elements import (
    CALIBRATION,
    SCORES,
    calibration,
    confusion,
    curves,
    how_sure,
    page,
    scores,
    side_by_side,
    what_was_evaluated,
    with_interval,
)

_MEAN_CURVE = (
    "Mean over the folds of the sensitivity at each false positive rate, and of the areas. The diagonal is "
    "chance."
)


def render(record: ComparisonRecord) -> str:
    """Return the page of a comparison."""
    return page(
        record,
        f"colvi-edge {_kind(record)}",
        [
            _lead(record),
            _figures(record),
            curves(
                {method.name: method.roc for method in record.methods},
                {method.name: (method.patch.mean.auc, method.image.mean.auc) for method in record.methods},
                _MEAN_CURVE if len(record.methods[0].folds) > 1 else "The diagonal is chance.",
                record.methods[0].image,
            ),
            _folds(record),
            _wrong(record),
            _who(record),
            what_was_evaluated(record, record.methods[0].image, **_number_of_folds(record)),
        ],
    )


def _kind(record: ComparisonRecord) -> str:
    """Return what it is: only several methods are compared."""
    if len(record.methods) > 1:
        return "comparison"
    return "cross-validation" if len(record.methods[0].folds) > 1 else "training"


def _number_of_folds(record: ComparisonRecord) -> dict[str, str]:
    folds = len(record.methods[0].folds)
    return {"Folds": str(folds)} if folds > 1 else {}


def _lead(record: ComparisonRecord) -> str:
    folds = len(record.methods[0].folds)
    best = max(record.methods, key=lambda method: method.patch.mean.accuracy or 0.0)
    mean = 100 * (best.patch.mean.accuracy or 0.0)
    among = f", the best of {len(record.methods)} methods" if len(record.methods) > 1 else ""
    over = f", the mean of {folds} folds" if folds > 1 else ""
    images = "image" if best.image.n == 1 else "images"
    return (
        f'<p class="lead">{escape(best.name)} judges <b>{mean:.1f} %</b> of the patches right and '
        f"<b>{best.image.right} of {best.image.n}</b> {images}{among}{over}.</p>"
    )


def _figures(record: ComparisonRecord) -> str:
    body, several, folds = "", len(record.methods) > 1, len(record.methods[0].folds)
    for heading, level in (("Patches", "patch"), ("Images, by the majority of their patches", "image")):
        best = {
            name: max((getattr(getattr(method, level).mean, name) or 0.0) for method in record.methods)
            for name in METRICS
        }
        rows = []
        for method in record.methods:
            pooled = getattr(method, level)
            cells = []
            for name in METRICS:
                cell, mean = with_interval(pooled.read(name)), getattr(pooled.mean, name)
                cells.append(f"<b>{cell}</b>" if several and mean == best[name] else cell)
            rows.append([escape(method.name), *cells])
        body += f"<h3>{heading}</h3>" + table(["method", *HEADINGS], rows, "spread")
    words = "Patient is the positive class."
    if folds > 1:
        words += " Mean ± standard deviation over the folds, whose images the intervals take together."
    if several:
        words += " The best of each column is bold."
    title = "Methods side by side" if several else "Figures"
    return section(title, f"{words} {how_sure(record.methods[0].patch)}", body)


def _wrong(record: ComparisonRecord) -> str:
    """Return the images that some method judged wrong, those that most did first."""
    judged: dict[tuple[int, str], dict[str, ImageJudged]] = {}
    for method in record.methods:
        for number, fold in enumerate(method.folds):
            for image in fold.images:
                judged.setdefault((number, image.name), {})[method.name] = image
    missed = [by for by in judged.values() if not all(image.right for image in by.values())]
    missed.sort(key=lambda by: sum(image.right for image in by.values()))
    rows = []
    for by in missed:
        first = next(iter(by.values()))
        cells = [_score(by[method.name]) for method in record.methods]
        rows.append([escape(first.name), first.truth, *cells])
    listed = table(["image", "truth", *(escape(method.name) for method in record.methods)], rows)
    whose = "By at least one method, with their scores" if len(record.methods) > 1 else "With their scores"
    every = (
        "Every method judges every image right."
        if len(record.methods) > 1
        else "Every image is judged right."
    )
    return section(
        "Images judged wrong",
        f"{whose}, the share of control votes in percent (100 = control); bold if wrong.",
        folded(f"{len(rows)} of {len(judged)}", listed) if rows else f'<p class="good">{every}</p>',
    )


def _score(image: ImageJudged) -> str:
    return f"{image.score:.1f}" if image.right else f'<span class="bad">{image.score:.1f}</span>'


def _folds(record: ComparisonRecord) -> str:
    is_open = len(record.methods) == 1
    body = "".join(folded(method.name, _method(method), is_open=is_open) for method in record.methods)
    title = "Fold by fold" if len(record.methods[0].folds) > 1 else "The test"
    return section(title, "", body)


def _who(record: ComparisonRecord) -> str:
    """Return which images were for what."""
    body = ""
    for number, division in enumerate(record.divisions, 1):
        rows = [
            [words, str(len(names)), escape(", ".join(names))]
            for words, names in (
                ("to learn from", division.training),
                ("to choose the epoch", division.validation),
                ("to test on", division.test),
            )
        ]
        heading = f"Fold {number}" if len(record.divisions) > 1 else "Names"
        listed = table(["part", "images", "names"], rows, "names")
        body += folded(heading, listed)
    return body and section(
        "Which images were for what", "No subject, where it is known, and no file is in two parts.", body
    )


def _method(method: Method) -> str:
    several = len(method.folds) > 1
    rows = [
        [
            f"fold {number}",
            *(with_interval(fold.patch.read(name)) for name in METRICS),
            f"{fold.image.right} of {fold.image.n}",
            figure(fold.calibration_error),
        ]
        for number, fold in enumerate(method.folds, 1)
    ]
    all_folds = " of all folds" if several else ""
    mean, sd = method.calibration_error_mean, method.calibration_error_sd
    error = "This method gives no probabilities."
    if mean is not None:
        error = f"{CALIBRATION} Calibration error {figure(mean)}{'' if sd is None else f' ± {figure(sd)}'}."
    bins = _together([one for fold in method.folds for one in fold.reliability or ()])
    return (
        (
            table(["patches", *HEADINGS, "images right", "calibration error"], rows, "spread")
            if several
            else ""
        )
        + side_by_side(
            (f"Patches{all_folds}", confusion(method.patch, "patches")),
            (f"Images{all_folds}", confusion(method.image, "images")),
        )
        + f'<h3>Scores of the images</h3><p class="quiet">{SCORES}</p>'
        + scores([image for fold in method.folds for image in fold.images])
        + f'<h3>Calibration</h3><p class="quiet">{error}</p>'
        + (calibration(bins) if bins else "")
    )


def _together(bins: Sequence[Bin]) -> list[Bin]:
    """Return the bins of several folds as those of all their patches."""
    together = []
    for low, high in sorted({(one.low, one.high) for one in bins}):
        same = [one for one in bins if one.low == low]
        n = sum(one.n for one in same)
        confidence, accuracy = (
            sum(one.n * getattr(one, name) for one in same) / n for name in ("confidence", "accuracy")
        )
        together.append(Bin(low=low, high=high, n=n, confidence=confidence, accuracy=accuracy))
    return together
