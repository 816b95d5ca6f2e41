"""The patches of a judged image, and their votes."""

from typing import Literal

from pydantic import Field, model_validator

from colvi_edge.outputs.sidecar.values import MAX_PATCHES, Grid, Probability, SidecarPart
from colvi_edge.tasks.classify import Vote

BandName = Literal["cyan", "steelblue", "yellow", "orange", "red"]


class Votes(SidecarPart):
    """How many patches voted for what."""

    control: int = Field(ge=0, le=MAX_PATCHES)
    patient: int = Field(ge=0, le=MAX_PATCHES)
    tie: int = Field(
        ge=0, le=MAX_PATCHES, description="Patches whose two outputs were equal; they count for nobody."
    )


class Patches(SidecarPart):
    """The grid of patches, row-major from the top left; every grid is [row][col]."""

    size_px: int = Field(gt=0, le=2**31 - 1, description="Edge of one square patch, pixels.")
    rows: int = Field(gt=0, le=MAX_PATCHES)
    cols: int = Field(gt=0, le=MAX_PATCHES)
    p_control: Grid[Probability]
    p_patient: Grid[Probability]
    vote: Grid[Vote]
    band: Grid[BandName] = Field(description="Colour of p_control, decided once in float32.")

    @model_validator(mode="after")
    def _agree(self) -> "Patches":
        """Refuse grids of other shapes than the record says."""
        if self.rows * self.cols > MAX_PATCHES:
            raise ValueError(f"expected at most {MAX_PATCHES:,} patches")
        for grid in (self.p_control, self.p_patient, self.vote, self.band):
            if len(grid) != self.rows or any(len(row) != self.cols for row in grid):
                raise ValueError(f"expected {self.rows} x {self.cols} patches in every grid")
        return self
