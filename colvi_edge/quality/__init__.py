"""Is this an image that can be judged at all? Flags, each with value, limit and words."""

from colvi_edge.quality.fibroblast import assess
from colvi_edge.quality.flags import Assessment, Flag

__all__ = ["Assessment", "Flag", "assess"]
