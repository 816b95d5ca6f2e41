"""What each pixel is: regions of one class, and the objects among them."""

from colvi_edge.tasks.segment.comparison import SegmentTolerance, compare
from colvi_edge.tasks.segment.segmentation import (
    NoProbabilitiesError,
    Region,
    Segmentation,
    keeping,
    segmentation,
)

__all__ = [
    "NoProbabilitiesError",
    "Region",
    "SegmentTolerance",
    "Segmentation",
    "compare",
    "keeping",
    "segmentation",
]
