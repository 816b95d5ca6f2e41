"""The page of an evaluation."""

from collections.abc import Sequence
from html import escape

from colvi_edge.export.evaluation.record import HEADINGS, METRICS, EvaluationRecord, ImageJudged, figure
from colvi_edge.pages.elements import folded, section, table, tiles

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


def render(record: EvaluationRecord) -> str:
    """Return the page of an evaluation."""
    return page(
        record,
        "colvi-edge evaluation",
        [
            _head(record),
            _confusions(record),
            curves(
                {record.model.name: record.roc},
                {record.model.name: (record.patch.auc, record.image.auc)},
                "How many patients are found for how many controls taken for patients, at every threshold of "
                "p_patient - p_control, or of the score. The diagonal is chance.",
                record.image,
            ),
            _calibration(record),
            section("Scores of the images", SCORES, scores(record.images)),
            _images(record),
            what_was_evaluated(
                record,
                record.image,
                Model=f"{record.model.name} {record.model.sha256[:12]}",
                Runtime=f"{record.model.runtime}, {record.model.precision}",
            ),
        ],
    )


def _head(record: EvaluationRecord) -> str:
    image, patch = record.image, record.patch
    named = [
        (
            heading,
            f"{with_interval(patch.read(name))} <small>images {with_interval(image.read(name))}</small>",
        )
        for heading, name in zip(HEADINGS, METRICS, strict=True)
    ]
    if record.calibration_error is not None:
        named.append(("calibration error", f"{figure(record.calibration_error)} <small>patches</small>"))
    images, whose = ("image", "its") if image.n == 1 else ("images", "their")
    return (
        f'<p class="lead"><b>{image.right} of {image.n}</b> {images} judged right, and '
        f"<b>{100 * patch.right / patch.n:.1f} %</b> of {whose} {patch.n:,} patches.</p>\n"
        f'{tiles(named)}\n<p class="quiet">{how_sure(record.patch)}</p>'
    )


def _confusions(record: EvaluationRecord) -> str:
    return section(
        "Right and wrong",
        "Patients are the positive class: precision is the share of patients among all judged patient, "
        "sensitivity the share of patients found, specificity the share of controls judged control.",
        side_by_side(
            ("Patches", confusion(record.patch, "patches")), ("Images", confusion(record.image, "images"))
        ),
    )


def _calibration(record: EvaluationRecord) -> str:
    if record.reliability is None:
        return ""
    error = f"Calibration error {figure(record.calibration_error)}."
    return section("Calibration", f"{CALIBRATION} {error}", calibration(record.reliability))


def _images(record: EvaluationRecord) -> str:
    wrong = [image for image in record.images if not image.right]
    right = [image for image in record.images if image.right]
    body = _listed(wrong) if wrong else '<p class="good">Every image is judged right.</p>'
    if right:
        body += folded(f"{len(right)} judged right", _listed(right))
    return section(
        "Images", f"{len(wrong)} judged wrong or undecided; those nearest to the middle first.", body
    )


def _listed(images: Sequence[ImageJudged]) -> str:
    rows = [
        [escape(image.name), image.truth, image.diagnosis, f"{image.score:.1f}"]
        for image in sorted(images, key=lambda image: (abs(image.score - 50), image.name))
    ]
    return table(["image", "truth", "judged", "score (100 = control)"], rows)
