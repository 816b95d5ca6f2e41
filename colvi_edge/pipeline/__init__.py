"""The one way from a raw file to a diagnosis, and to the files beside it."""

from colvi_edge.pipeline.diagnoser import Diagnoser, process
from colvi_edge.pipeline.raw_file import Kept, Outcome

__all__ = ["Diagnoser", "Kept", "Outcome", "process"]
