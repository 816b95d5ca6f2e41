"""What torch says of a file, cut down to what a person reads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from colvi_edge.printable import printable_name

FROM_ONE_OUTPUT = (
    "wrap a network of one sigmoid and save that: def forward(self, x): p = self.network(x); "
    "return torch.cat([1 - p, p], 1)"
)
"""What makes two outputs of one; p is the probability of the class that is named second."""


def last_line(error: BaseException) -> str:
    """Return the last line of an error, or what kind it is."""
    line = next(iter(reversed(str(error).strip().splitlines())), type(error).__name__)
    return printable_name(line.strip())[:300]


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Silence what torch says of TorchScript, which the ONNX exporter cannot do without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "The TorchScript type system", UserWarning)
        yield
