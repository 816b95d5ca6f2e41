"""The page of an evaluation of a network that outlines regions, and objects in them."""

from html import escape

from colvi_edge.export.evaluation.mask_figures import FIGURES
from colvi_edge.export.evaluation.mask_record import ImageOutlined, MasksRecord
from colvi_edge.export.evaluation.record import figure
from colvi_edge.pages.elements import facts, folded, section, table, tiles
from colvi_edge.printable import counted

from .elements import dataset_facts, page

HEADINGS = dict(zip(FIGURES, ("Dice", "IoU", "precision", "recall"), strict=True))

WORST = 10
"""Images that stand open on the page; the rest is folded."""


def render(record: MasksRecord) -> str:
    """Return the page of an evaluation, or of a training's test."""
    return page(
        record,
        "colvi-edge evaluation of outlines",
        [
            _head(record),
            _regions(record),
            *_objects(record),
            _images(record),
            _evaluated(record),
            *_divisions(record),
        ],
    )


def signed(share: float | None) -> str:
    """Return a count's error as people read it, in percent with its sign."""
    return "-" if share is None else f"{100 * share:+.1f} %"


def _head(record: MasksRecord) -> str:
    named = [(f"Dice of {escape(one.name)}", figure(one.pooled.dice)) for one in record.regions]
    lead = f"<b>{counted(len(record.images), 'image')}</b> outlined."
    if record.objects:
        pooled = record.objects.pooled
        named += [("F1 of objects", figure(pooled.f1)), ("count", signed(pooled.count_error))]
        lead = (
            f"<b>{pooled.matched:,} of {pooled.there:,}</b> objects found in "
            f"{counted(len(record.images), 'image')}, and {pooled.found - pooled.matched:,} that are none."
        )
    return f'<p class="lead">{lead}</p>\n{tiles(named)}'


def _regions(record: MasksRecord) -> str:
    rows = [
        [escape(one.name), words, *(figure(getattr(figures, name)) for name in FIGURES)]
        for one in record.regions
        for words, figures in (
            ("all pixels together", one.pooled),
            (f"mean of {counted(one.images, 'image')}", one.mean),
        )
    ]
    return section(
        "Regions",
        "Dice = 2 TP / (2 TP + FP + FN) of the pixels of a class, IoU = TP / (TP + FP + FN). What nobody "
        "annotated is not counted.",
        table(["class", "of", *HEADINGS.values()], rows),
    )


def _objects(record: MasksRecord) -> list[str]:
    if not record.objects:
        return []
    all_of, pooled = record.objects, record.objects.pooled
    named = {
        "Objects": f"{pooled.there:,} there, {pooled.found:,} found, {pooled.matched:,} of them matched",
        "F1": f"{figure(pooled.f1)} of all together, {figure(all_of.mean_f1)} the mean of the images",
        "Precision, recall": f"{figure(pooled.precision)}, {figure(pooled.recall)}",
        "AJI": f"{figure(pooled.aji)} of all together, {figure(all_of.mean_aji)} the mean of the images",
        "Count": f"{signed(pooled.count_error)} of all together; an image errs by "
        f"{figure(all_of.mean_count_error)} of its objects in the mean",
        "Diameter": f"differs by {figure(pooled.diameter_error)} of the larger of a pair in the mean, "
        "objects at the border left out",
    }
    words = "An object is found if intersection over union with one that is there is at least 0.5."
    return [section("Objects", words, facts(named))]


def _images(record: MasksRecord) -> str:
    ordered = sorted(record.images, key=_least_dice)
    body = _listed(record, ordered[:WORST])
    if more := ordered[WORST:]:
        body += folded(f"{len(more)} more", _listed(record, more))
    return section("Images", "Those with the least Dice first.", body)


def _least_dice(image: ImageOutlined) -> tuple[float, str]:
    return min((dice for dice in image.dice if dice is not None), default=2.0), image.name


def _listed(record: MasksRecord, images: list[ImageOutlined]) -> str:
    heads = ["image", *(f"Dice of {escape(one.name)}" for one in record.regions)]
    if record.objects:
        heads += ["there", "found", "matched", "F1", "AJI"]
    rows = []
    for image in images:
        row = [escape(image.name), *map(figure, image.dice)]
        if one := image.objects:
            row += [str(one.there), str(one.found), str(one.matched), figure(one.f1), figure(one.aji)]
        rows.append(row + [""] * (len(heads) - len(row)))
    return table(heads, rows)


def _evaluated(record: MasksRecord) -> str:
    more = {
        "Model": f"{record.model.name} {record.model.sha256[:12]}",
        "Runtime": f"{record.model.runtime}, {record.model.precision}",
    }
    return section("What was evaluated", "", dataset_facts(record, len(record.images), "", more))


def _divisions(record: MasksRecord) -> list[str]:
    body = ""
    for number, division in enumerate(record.divisions, 1):
        for part in ("training", "validation", "test"):
            names = getattr(division, part)
            which = f"fold {number}, " if len(record.divisions) > 1 else ""
            body += folded(f"{which}{part}: {counted(len(names), 'image')}", escape(", ".join(names)))
    return [section("Which image was for what", "", body)] if body else []
