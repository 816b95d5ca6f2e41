"""The page of an evaluation of a network of any classes."""

from collections.abc import Sequence
from html import escape

from colvi_edge.export.evaluation.class_record import CellWord, ClassesRecord, ClassLevel, ImageOfClass
from colvi_edge.export.evaluation.intervals import LEVEL
from colvi_edge.export.evaluation.record import Reading, figure
from colvi_edge.pages.elements import folded, section, table, tiles

from .elements import calibration, dataset_facts, page, shaded, side_by_side, with_interval

PLURALS: dict[CellWord, str] = {"patch": "patches", "image": "images", "slice": "slices"}
_FEW = 4
"""Classes whose names stand above the columns of a matrix, and two of whose matrices stand side by side."""
_CALIBRATION = "Of what is judged with a confidence of 0.8, 80 % should be right."


def render(record: ClassesRecord) -> str:
    """Return the page of an evaluation."""
    return page(
        record,
        "colvi-edge evaluation",
        [
            _head(record),
            _confusions(record),
            *(_of_each(words, level) for words, level in levels(record)),
            section(
                "Calibration",
                f"{_CALIBRATION} Calibration error {figure(record.calibration_error)}.",
                calibration(record.reliability, PLURALS[record.of]),
            ),
            _images(record),
            section("What was evaluated", "", _facts(record)),
        ],
    )


def levels(record: ClassesRecord) -> list[tuple[str, ClassLevel]]:
    """Return what was judged, in the plural, with its figures: what votes, and what it votes for."""
    images = "stacks" if record.of == "slice" else "images"
    cells = [(PLURALS[record.of], record.cells)] if record.cells else []
    return [*cells, (images, record.image)]


def _head(record: ClassesRecord) -> str:
    image, *cells = [level for _, level in reversed(levels(record))]
    interval = image.accuracy_interval
    named = [
        ("accuracy", with_interval(Reading(image.accuracy, None, interval))),
        ("balanced accuracy", figure(image.balanced_accuracy)),
        ("mean F1", figure(image.f1)),
        ("calibration error", f"{figure(record.calibration_error)} <small>{PLURALS[record.of]}</small>"),
    ]
    images, whose = ("image", "its") if image.n == 1 else ("images", "their")
    votes = "".join(
        f", and <b>{100 * level.right / level.n:.1f} %</b> of {whose} {level.n:,} {PLURALS[record.of]}"
        for level in cells
    )
    return (
        f'<p class="lead"><b>{image.right} of {image.n}</b> {images} judged right{votes}.</p>\n'
        f'{tiles(named)}\n<p class="quiet">Of images. Small: the {100 * LEVEL:.0f} % interval, which does '
        "not take images of one subject for independent. Balanced accuracy is the mean recall of the "
        "classes.</p>"
    )


def _confusions(record: ClassesRecord) -> str:
    shown = [(words.capitalize(), _confusion(record.classes, level)) for words, level in levels(record)]
    many = "".join(f"<h3>{words}</h3>{table}" for words, table in shown)
    return section(
        "Right and wrong",
        "The darker, the larger the share of a class.",
        side_by_side(*shown) if len(record.classes) <= _FEW else many,
    )


def _confusion(classes: Sequence[str], level: ClassLevel) -> str:
    """Return the matrix; of many classes with their numbers above the columns, and without the shares."""
    many = len(classes) > _FEW
    names = [f"{number} {escape(name)}" if many else escape(name) for number, name in enumerate(classes, 1)]
    heads = [str(number) if many else f"judged {name}" for number, name in enumerate(names, 1)]
    heads += ["undecided"] if level.undecided else []
    rows = []
    for number, (name, row) in enumerate(zip(names, level.confusion, strict=True)):
        cells = [
            shaded(count, sum(row), "hit" if place == number else "miss", with_share=not many)
            for place, count in enumerate(row[: len(heads)])
        ]
        rows.append([name, *cells, f"{sum(row):,}"])
    return table(["truth", *heads, "all"], rows, "confusion many" if many else "confusion")


def _of_each(words: str, level: ClassLevel) -> str:
    rows = [
        [
            escape(one.name),
            f"{one.n:,}",
            figure(one.precision),
            with_interval(Reading(one.recall, None, one.recall_interval)),
            figure(one.f1),
            figure(one.auc),
        ]
        for one in level.classes
    ]
    return section(
        f"Each class of {words}",
        "Precision is the share of a class among all judged it, recall the share of it that was; AUC is of "
        "the class against the rest.",
        table(["class", words, "precision", "recall", "F1", "AUC"], rows, "spread"),
    )


def _images(record: ClassesRecord) -> str:
    wrong = [image for image in record.images if not image.right]
    right = [image for image in record.images if image.right]
    listed = _listed(wrong, record.score_of) if wrong else '<p class="good">Every image is judged right.</p>'
    if right:
        listed += folded(f"{len(right)} judged right", _listed(right, record.score_of))
    return section("Images", f"{len(wrong)} judged wrong or undecided.", listed)


def _listed(images: Sequence[ImageOfClass], score_of: str) -> str:
    rows = [
        [escape(image.name), escape(image.truth), escape(image.diagnosis), f"{image.score:.1f}"]
        for image in sorted(images, key=lambda image: (image.truth, image.name))
    ]
    return table(["image", "truth", "judged", f"score ({escape(score_of)})"], rows)


def _facts(record: ClassesRecord) -> str:
    classes = ", ".join(f"{one.n} {one.name}" for one in record.image.classes)
    more = {
        "Model": f"{record.model.name} {record.model.sha256[:12]}",
        "Runtime": f"{record.model.runtime}, {record.model.precision}",
        "Rule": f"{record.rule} of {PLURALS[record.of]}",
    }
    return dataset_facts(record, record.image.n, classes, more)
