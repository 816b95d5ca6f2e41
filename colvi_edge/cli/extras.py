"""What only an extra of the package brings, said where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from colvi_edge.errors import EngineUnavailableError

_BROUGHT_BY_EXPORT = ("torch", "onnx", "onnxruntime", "h5py", "scipy", "sklearn", "skimage", "matplotlib")


@contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Raise an error that says how to install what only the extra `export` brings, where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _BROUGHT_BY_EXPORT:
            raise
        raise EngineUnavailableError(
            f"{error.name} is not installed, which {what} needs; run: pip install 'colvi-edge[export]'"
        ) from error
