"""One image on the page: what of its record is shown, bounded and printable, and nothing else.

Records lie in folders that others can write to. What they say is shown as text of a bounded length; what is
a number or one of our own words was checked when the record was read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from colvi_edge.bands import BANDS
from colvi_edge.outputs.cells import answer, cells, classes_of, counts_of, decided_by, scored
from colvi_edge.outputs.names import OutputKind, record_label
from colvi_edge.outputs.palette import class_colour, class_colours
from colvi_edge.outputs.sidecar import Cells, ErrorRecord, Image, Patches, RegionRecord, Sidecar
from colvi_edge.printable import printable_name, unambiguous_name
from colvi_edge.report.samples import NamePattern
from colvi_edge.tasks.classify import TIE, scored_class

DEMO_MODEL = "colvi-edge synthetic demo model"
DEMO_MODELS = (DEMO_MODEL, "synthetic demo nuclei")
"""Names of the bundles that are shipped. By them, and not by a hash, results of the demo models of all
versions are known, and of one that somebody trained anew."""

_TEXT = 400  # characters
_FLAGS = 20
_PATCHES = 1 << 14  # 8192 x 8192 pixels; the tooltips of more would fill the page
_BAND_NUMBERS: dict[str, str] = {band.name: str(number) for number, band in enumerate(BANDS)}


class Overlay(NamedTuple):
    """The overlay that a record lists.

    Attributes:
        path: relative to the folder reported on.
        sha256: what the file must have.
        size_px: (width, height) of the picture, without the caption below it; None if that is not known.
    """

    path: str
    sha256: str
    size_px: tuple[int, int] | None


class Entry(NamedTuple):
    """One image.

    Attributes:
        created: when its record was made.
        shown: what the page is told of it, fit for JSON; elements.js lists the keys.
        overlay: None if there is none.
    """

    created: datetime
    shown: Mapping[str, Any]
    overlay: Overlay | None

    @property
    def key(self) -> tuple[str, str]:
        """Folder and name, which no other image has."""
        return self.shown["folder"], self.shown["name"]


def entry(record: Sidecar | ErrorRecord, folder: str, file: str, pattern: NamePattern) -> Entry:
    """Return what is shown of a record.

    Args:
        record: as it was read.
        folder: that it lies in, relative to the one reported on; "" is that itself.
        file: its name.
        pattern: finds sample and date.

    Raises:
        UsageError: the pattern did not come to an end on the name.
    """
    image = record.image
    shown: dict[str, Any] = {
        "name": _key(record_label(file, image.name, image.key, record.slot or "")),
        "folder": _key(folder),
        "created": record.created.isoformat(timespec="seconds"),
        **({"slot": record.slot} if record.slot else {}),
        **_visit(image, folder, pattern),
    }
    if isinstance(record, ErrorRecord):
        sentence = record.error.message.removeprefix(f"{image.name}: ")
        shown |= {"result": "error", "flags": [["error", _text(record.error.kind), _sentence(sentence)]]}
        return Entry(record.created, shown, None)
    overlay = _overlay(record, folder, file)
    shown |= {
        "result": "rejected" if record.status == "rejected" else record.diagnosis or "measured",
        "flags": [
            [flag.severity, _text(flag.name), _sentence(flag.words)] for flag in record.quality[:_FLAGS]
        ],
        "model": [_text(record.model.name), _text(record.model.version), record.model.sha256],
        "demo": record.model.name in DEMO_MODELS or None,
        "kind": "segment" if record.task is not None and record.task.kind == "segment" else None,
        "size": overlay.size_px if overlay else None,
    }
    if record.votes and record.score is not None:
        shown |= {"score": round(record.score, 1), "votes": list(counts_of(record).values())}
    if isinstance(record.patches, Patches):
        shown |= _patches(record, record.patches)
    elif record.patches:
        shown |= {"task": _task(record, record.patches), **_cells(record, record.patches)}
    if record.regions is not None:
        shown |= _regions(record, record.regions)
    return Entry(record.created, {key: value for key, value in shown.items() if value is not None}, overlay)


def link(path: str) -> str:
    """Return a relative path as a URL: no name in it can be taken for a scheme, a query or an entity."""
    return "./" + quote(path.encode(errors="surrogateescape"))


def _visit(image: Image, folder: str, pattern: NamePattern) -> dict[str, str]:
    # The images of one container are told apart by its key, 0003-NAME; most often only the file is dated.
    names = filter(None, (image.key.partition("-")[2], image.name))
    visit = next((found for name in names if (found := pattern.visit(folder, name))), None)
    return {"sample": _text(visit.sample), "date": visit.day.isoformat()} if visit else {}


def _overlay(sidecar: Sidecar, folder: str, file: str) -> Overlay | None:
    name = file.removesuffix(OutputKind.SIDECAR.value) + OutputKind.OVERLAY.value
    listed = {output.name: output.sha256 for output in sidecar.outputs}
    sha256 = listed.get(printable_name(name))
    if sha256 is None:
        return None
    return Overlay(f"{folder}/{name}" if folder else name, sha256, _size_px(sidecar.image))


def _size_px(image: Image) -> tuple[int, int] | None:
    lengths = dict(zip(image.axes or "", image.shape or (), strict=False))
    width, height = lengths.get("X", 0), lengths.get("Y", 0)
    return (width, height) if width > 0 and height > 0 else None


def _patches(sidecar: Sidecar, grid: Patches) -> dict[str, Any]:
    """Return the grid, row-major: p_control in thousandths, band and vote as one letter each."""
    if grid.rows * grid.cols > _PATCHES:
        return {}
    found = list(cells(sidecar))
    return {
        "patches": [grid.rows, grid.cols, grid.size_px],
        "p": [_thousandths(cell.probabilities["control"]) for cell in found],
        "bands": "".join(_BAND_NUMBERS[str(cell.band)] for cell in found),
        "voted": "".join(cell.vote[0] for cell in found),
    }


def _task(sidecar: Sidecar, grid: Cells) -> dict[str, Any]:
    """Return what the page says once of all images that were asked the same."""
    classes = classes_of(sidecar)
    colours = class_colours(classes)
    return {
        "classes": list(classes),
        "colours": [list(colours[name]) for name in (*classes, TIE)],
        "scored": scored(sidecar),
        "of": scored_class(classes, decided_by(sidecar)),
        "cell": grid.of,
    }


def _cells(sidecar: Sidecar, grid: Cells) -> dict[str, Any]:
    """Return the cells: of patches each one's vote, and its probability in thousandths, row-major.

    A whole image has the probability of each class; slices are told by their votes alone.
    """
    if grid.of == "image":
        return {"likely": [_thousandths(cell[0][0]) for cell in grid.probabilities.values()]}
    if grid.size_px is None or grid.rows * grid.cols > _PATCHES:
        return {}
    number = {name: place for place, name in enumerate((*classes_of(sidecar), TIE))}
    found = list(cells(sidecar))
    return {
        "patches": [grid.rows, grid.cols, grid.size_px],
        "p": [_thousandths(max(cell.probabilities.values())) for cell in found],
        "classed": [number[cell.vote] for cell in found],
    }


def _regions(sidecar: Sidecar, regions: Sequence[RegionRecord]) -> dict[str, Any]:
    """Return what was found in words, and of each class its share, its area and its objects."""
    objects = sidecar.objects
    spread = objects and (objects.diameter_um or objects.diameter_px)
    unit = "\u00b5m" if objects and objects.diameter_um else "px"
    found: dict[str, Any] = {
        "answer": answer(sidecar),
        "covered": round(sum(region.share for region in regions), 6),
        "regions": [
            [
                _text(region.name),
                list(class_colour(index)),
                region.share,
                region.area_um2,
                None if objects is None else objects.by_class[region.name],
            ]
            for index, region in enumerate(regions, 1)
        ],
    }
    if objects is not None:
        found |= {"objects": objects.count, "at_border": objects.count - objects.counted}
    if spread:
        quartiles = spread.first_quartile, spread.third_quartile
        found["diameter"] = [f"{spread.median:.3g} {unit}", *(f"{value:.3g}" for value in quartiles)]
    return found


def _thousandths(p: float) -> int:
    return int(1000 * p + 1e-9)  # cut, not rounded: 0.8999 is steel blue, and 0.900 would not be


def _key(name: str) -> str:
    """Return a name bounded as any text, but so that no other is shown alike: it finds an image."""
    shown = unambiguous_name(name)
    if len(shown) <= _TEXT:
        return shown
    return f"{shown[:_TEXT]} ... {sha256(shown.encode()).hexdigest()[:16]}"


def _sentence(words: str) -> str:
    """Return a finding, bounded in its middle: what it begins with was found, what it ends with helps."""
    shown = printable_name(words)
    return shown if len(shown) <= _TEXT else f"{shown[: _TEXT // 2]} ... {shown[-_TEXT // 2 :]}"


def _text(text: str) -> str:
    shown = printable_name(text)
    return shown if len(shown) <= _TEXT else f"{shown[:_TEXT]} ..."
