"""Is this an image that can be judged at all? Flags, each with value, limit and words."""

from colvi_edge.quality.fibroblast import Assessment, Flag, assess

__all__ = ["Assessment", "Flag", "assess"]
