"""colvi-edge: collagen VI diagnosis of fibroblast cultures, beside the microscope.

Importing this package does no work: no runtime is loaded, nothing is read or logged. `Diagnoser`, `Result`
and `open_bundle` come from `colvi_edge.api`, which is imported when one of them is first asked for.
"""

import importlib
import os
from typing import Any

__version__ = "0.2.0"

RESEARCH_USE_ONLY = "Research use only. Not for use in diagnostic procedures."

_OF_THE_API = ("Diagnoser", "Result", "open_bundle")

__all__ = ["RESEARCH_USE_ONLY", "Diagnoser", "Result", "__version__", "errors", "open_bundle"]

# ONNX Runtime (1.29 to 1.32, at least) keeps a mark of the machine in the home folder and can tell a server
# on the internet what runs, unless this stands here before it is loaded. A program beside a microscope does
# neither.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    if name in _OF_THE_API:
        return getattr(importlib.import_module("colvi_edge.api"), name)
    if name == "errors":
        return importlib.import_module("colvi_edge.errors")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
