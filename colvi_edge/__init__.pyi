# What a type checker sees: names that the package imports when they are first asked for.
from colvi_edge import errors as errors
from colvi_edge.api import Diagnoser as Diagnoser
from colvi_edge.api import Result as Result
from colvi_edge.api import open_bundle as open_bundle

__version__: str
RESEARCH_USE_ONLY: str
