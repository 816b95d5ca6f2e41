"""The one way from a raw file to a diagnosis, and to the files beside it."""

from colvi_edge.pipeline.diagnoser import Diagnoser
from colvi_edge.pipeline.raw_file import Kept, Outcome
from colvi_edge.pipeline.runner import process

__all__ = ["Diagnoser", "Kept", "Outcome", "process"]
