"""`openvino`, imported in silence: whoever of us needs it takes it from here.

`import openvino` writes into the home folder and tells a server on the internet that it was imported, by
openvino-telemetry, unless that is missing. A program beside a microscope does neither. So it is missing for
as long as the import takes; afterwards it is what it was, for whoever else lives in this process.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _missing(name: str) -> Iterator[None]:
    """Make a module seem not to be installed, for the time of a `with` block."""
    absent = name not in sys.modules
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment] # which makes importing it an ImportError
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before  # type: ignore[assignment] # None as well, if that was there


with _missing("openvino_telemetry"):
    import openvino
    from openvino import opset13 as ops
    from openvino.preprocess import PrePostProcessor

__all__ = ["PrePostProcessor", "openvino", "ops"]
