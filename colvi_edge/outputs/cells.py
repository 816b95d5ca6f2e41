"""What every view says of a sidecar: its patches one by one, and the result in a few words."""

from collections.abc import Iterator
from typing import NamedTuple

from colvi_edge.outputs.sidecar import BandName, Sidecar
from colvi_edge.tasks.classify import Vote


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
    if sidecar.score is None:
        return "rejected, not judged (research use only)"
    return f"{sidecar.diagnosis}, score {sidecar.score:.1f} (research use only)"
