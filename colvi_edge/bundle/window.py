"""What a network sees at once, and what of its answer is kept."""

from math import isqrt
from typing import Literal

from pydantic import Field, model_validator

from colvi_edge.bundle.parts import Part
from colvi_edge.patches import SMALLEST_PATCH_PX
from colvi_edge.windows import MOST_WHOLE_PX

LARGEST_WINDOW_PX = isqrt(MOST_WHOLE_PX)
"""Edge of a window that has as many pixels as an image may have that is one."""

MOST_TIMES = 64
"""So often is a pixel of a large image computed at most; by windows that the export blends, 16 times."""


class Windows(Part):
    """Squares of the image that the network is given, all of one size; see `colvi_edge.windows`."""

    px: int | Literal["whole"] = Field(description='Edge of a window; "whole" is the image.')
    cell_px: int | None = Field(
        default=None, description="Edge of the square that one answer stands for, in patches; else a pixel."
    )
    halo_px: int = Field(
        default=0, ge=0, le=LARGEST_WINDOW_PX // 2, description="Rim of an answer that is thrown away."
    )
    step_px: int = Field(default=1, ge=1, le=1024, description="Raster on which a window may begin.")
    reach_px: int | None = Field(
        default=None,
        ge=0,
        le=2 * LARGEST_WINDOW_PX,
        description="How far from a pixel its answer depends on the input, as the export measured it; "
        "absent where that has no end, or nobody asked.",
    )
    join: Literal["crop", "blend"] = Field(
        default="crop", description="Windows side by side, or overlapping and averaged by weight."
    )
    stride_px: int | None = Field(default=None, ge=1, description="From window to window, to blend them.")

    @model_validator(mode="after")
    def _fit(self) -> "Windows":
        if self.px == "whole":
            if self.cell_px is not None or self.halo_px or self.join != "crop":
                raise ValueError("a window of the whole image has no cells, no halo and nothing to join")
        elif not SMALLEST_PATCH_PX <= self.px <= LARGEST_WINDOW_PX:
            raise ValueError(
                f"px: found {self.px}, expected {SMALLEST_PATCH_PX} to {LARGEST_WINDOW_PX}, or 'whole'"
            )
        elif self.cell_px is not None:
            seen = self.cell_px, self.halo_px, self.step_px, self.join, self.reach_px
            if seen != (self.px, 0, 1, "crop", None):
                raise ValueError(
                    "patches are cells as large as their windows, without halo, step, join and reach"
                )
        elif self.px <= 2 * self.halo_px or self.px % self.step_px or self.halo_px % self.step_px:
            raise ValueError(
                f"expected windows and halo to be multiples of the step, and something between the halos; "
                f"found {self.px}, {self.halo_px} and {self.step_px} px"
            )
        if (self.join == "blend") != (self.stride_px is not None):
            raise ValueError("stride_px belongs to join: blend, and to no other")
        if self.stride_px is not None and self.px != "whole":
            kept = self.px - 2 * self.halo_px
            if self.stride_px > kept or self.stride_px % self.step_px:
                raise ValueError(
                    f"stride_px: found {self.stride_px}, expected a multiple of the step to {kept}"
                )
        if self.times_computed > MOST_TIMES:
            raise ValueError(
                f"each pixel would be computed {self.times_computed:.0f} times, at most {MOST_TIMES} times "
                "it may be"
            )
        return self

    @property
    def times_computed(self) -> float:
        """How often each pixel of a large image is computed."""
        if self.px == "whole":
            return 1.0
        return (self.px / (self.stride_px or self.px - 2 * self.halo_px)) ** 2
