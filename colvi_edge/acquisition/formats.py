"""What every format's reader is asked, and how."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from colvi_edge.acquisition.model import Acquisition, Limits, Refused
from colvi_edge.acquisition.source import Source
from colvi_edge.acquisition.wanted import Asking
from colvi_edge.errors import AcquisitionError


@dataclass(frozen=True)
class Request:
    """What is asked of a raw file, whatever its format.

    Attributes:
        name: of the file, without folders; it may refer to itself by it.
        shown: the same, printable.
        channels: role of each channel as the operator names it; None to find out.
        asking: what each of those who judge asks for.
        limits: what the file may ask for.
        is_final: asked of an error whether no later look can help.
    """

    name: str
    shown: str
    channels: Sequence[str] | None
    asking: Sequence[Asking]
    limits: Limits
    is_final: Callable[[AcquisitionError], bool]


class Reader(Protocol):
    """What a format is read by; it stands in the format's own room."""

    def __call__(self, source: Source, request: Request) -> Iterator[Acquisition | Refused]:
        """Return the images of a raw file.

        The file is open when this is called, and closed when its images are taken: what is needed of it at
        once is read at once. An image that is read later opens the source anew.

        Args:
            source: the file, open.
            request: what is asked of it.

        Raises:
            AcquisitionError: nothing in it can be used; the sentence lacks the file's name.
        """
        ...
