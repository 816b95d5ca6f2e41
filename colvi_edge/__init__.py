"""colvi-edge: collagen VI diagnosis of fibroblast cultures, beside the microscope.

Importing this package does no work: no runtime is loaded, nothing is read or logged.
"""

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "Research use only. Not for use in diagnostic procedures."

__all__ = ["RESEARCH_USE_ONLY", "__version__"]
