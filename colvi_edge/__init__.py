"""colvi-edge: collagen VI diagnosis of fibroblast cultures, beside the microscope.

Importing this package does no work: no runtime is loaded, nothing is read or logged.
"""

import os

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "Research use only. Not for use in diagnostic procedures."

__all__ = ["RESEARCH_USE_ONLY", "__version__"]

# ONNX Runtime (1.29 to 1.32, at least) keeps a mark of the machine in the home folder and can tell a server
# on the internet what runs, unless this stands here before it is loaded. A program beside a microscope does
# neither.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
