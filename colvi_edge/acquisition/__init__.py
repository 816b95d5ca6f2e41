"""From a raw file to planes: gate, read, find the channels; or refuse with one sentence."""

from colvi_edge.acquisition.arrays import acquire_array
from colvi_edge.acquisition.model import Acquisition, Limits, Provenance, Refused, Role
from colvi_edge.acquisition.reading import acquire, acquire_opened

__all__ = [
    "Acquisition",
    "Limits",
    "Provenance",
    "Refused",
    "Role",
    "acquire",
    "acquire_array",
    "acquire_opened",
]
