"""What every view says of a sidecar: its patches one by one, and the result in a few words."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from colvi_edge.outputs.sidecar import BandName, ObjectsRecord, RegionRecord, Sidecar
from colvi_edge.printable import counted
from colvi_edge.tasks.classify import Vote

_MOST_TOLD = 4  # classes
_PLURALS = {"nucleus": "nuclei"}


class Cell(NamedTuple):
    """One patch as a sidecar records it; x and y are its top left pixel, origin top left."""

    row: int
    col: int
    x: int
    y: int
    size_px: int
    p_control: float
    p_patient: float
    vote: Vote
    band: BandName

    @property
    def name(self) -> str:
        """Its name in other programs, such as r02_c01; from 100 rows on one digit longer."""
        return f"r{self.row:02}_c{self.col:02}"


def cells(sidecar: Sidecar) -> Iterator[Cell]:
    """Yield the patches of a judged image, row-major.

    Raises:
        ValueError: the image was rejected; it has none.
    """
    grid = sidecar.patches
    if grid is None:
        raise ValueError(f"{sidecar.image.name} was rejected: it has no patches")
    for row in range(grid.rows):
        columns = zip(grid.p_control[row], grid.p_patient[row], grid.vote[row], grid.band[row], strict=True)
        for col, patch in enumerate(columns):
            yield Cell(row, col, col * grid.size_px, row * grid.size_px, grid.size_px, *patch)


def headline(sidecar: Sidecar) -> str:
    """Return the result in a few words, fit to stand alone: `patient, score 10.5 (research use only)`."""
    return f"{_answer(sidecar)} (research use only)"


def _answer(sidecar: Sidecar) -> str:
    if sidecar.regions is not None:
        return regions_answer(sidecar.regions, sidecar.objects)
    if sidecar.score is None:
        return "rejected, not judged"
    return f"{sidecar.diagnosis}, score {sidecar.score:.1f}"


def regions_answer(regions: Sequence[RegionRecord], objects: ObjectsRecord | None) -> str:
    """Return how many objects there are and how much of the image is of their class.

    Of one class `412 nuclei, 11.3 % of the image`; of several `12 glands, 3 vessels`, or, without objects,
    `QF 10.1 %, SA 2.3 % of the image`; of many those that cover most.
    """
    told = sorted(regions, key=lambda region: -region.pixels)[:_MOST_TOLD]
    more = f" and {len(regions) - len(told)} more" if len(regions) > len(told) else ""
    if objects is None:
        return ", ".join(f"{one.name} {percent(one.share)}" for one in told) + f" of the image{more}"
    counts = ", ".join(counted_objects(objects.by_class[one.name], one.name) for one in told)
    return f"{counts}{more}" if len(regions) > 1 else f"{counts}, {percent(told[0].share)} of the image"


def counted_objects(count: int, class_name: str) -> str:
    """Return how many objects of a class there are, in words: `1 vesicle`, `412 nuclei`."""
    return counted(count, class_name, _PLURALS.get(class_name, "") or _plural(class_name))


def percent(share: float) -> str:
    """Return a share in words: `11.3 %`."""
    return f"{100 * share:.1f} %"


def _plural(name: str) -> str:
    is_word = name.isalpha() and name.islower() and name[-1] not in "sia"
    return f"{name}s" if is_word else name  # an abbreviation, or a plural as it is
