"""A raw file as the pipeline takes it, and what becomes of each of its images."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from colvi_edge.acquisition import Provenance, Refused
from colvi_edge.errors import ColviEdgeError
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Image, Index, Sidecar
from colvi_edge.tasks.task import Answer


class RawFile(Protocol):
    """A raw file, and where its results go: `inputs.InputFile`, or the daemon's, which trusts no path."""

    @property
    def name(self) -> str:
        """Name of the raw file, without folders."""
        ...

    def open(self) -> int:
        """Return a new descriptor of it, opened with `acquisition.source.OPEN_FLAGS`."""
        ...

    def may_be(self, image: Image) -> bool:
        """Return whether, as far as can be told without reading it, this is what a record is of."""
        ...

    def results(self) -> AbstractContextManager[int]:
        """Hold the folder for its results open; an OSError in there becomes an OutputError."""
        ...

    def confirm(self) -> None:
        """Raise a ColviEdgeError if nothing may be written any more; asked before each change."""
        ...

    def is_final(self, error: ColviEdgeError) -> bool:
        """Return whether an error is to be recorded, or the file will be tried again."""
        ...

    def note(self, words: str) -> None:
        """Keep words that are to be told beside the result."""
        ...


File = TypeVar("File", bound=RawFile)


@dataclass(frozen=True)
class JudgedImage:
    """An image with its result, not yet written.

    Attributes:
        sidecar: complete but for its outputs.
        shown: the image, for the files that show it.
        result: what was found, as arrays; None for an image that was rejected.
    """

    sidecar: Sidecar
    shown: Shown
    result: Answer | None


@dataclass(frozen=True)
class Kept:
    """A result of the same content that stood and was kept: its image was not judged.

    Attributes:
        sidecar: as it stands.
        is_other_model: it is of another model than the one that judges; else of this very one.
    """

    sidecar: Sidecar
    is_other_model: bool


@dataclass(frozen=True)
class Outcome(Generic[File]):
    """What became of an image: a sidecar as it was written or kept, or why there is none.

    Of a file that holds several images there is one for each, with its key, and then one for the file
    itself: its index.

    Attributes:
        file: the raw file.
        result: what was written or kept, or went wrong.
        image_key: which image of a file that holds several; else "".
        stands: the result of the same content that an error left as it was.
        replaced: what stood before was another result; its sidecar is now `X.colvi.prev.json`.
        gone: how many results of other content an error took the place of; their sidecars likewise.
        slot: of the bundle that judged.
    """

    file: File
    result: Sidecar | Index | Kept | ColviEdgeError
    image_key: str = ""
    stands: Sidecar | Index | None = None
    replaced: bool = False
    gone: int = 0
    slot: str = ""


@dataclass(frozen=True)
class End:
    """All images of a file that holds several were seen.

    Attributes:
        source: the file; what has length and hash.
    """

    source: Provenance | Image


Done: TypeAlias = JudgedImage | Kept | Refused | Index | End | ColviEdgeError
"""What the last step takes: of an image; or of a whole file the index that is kept, its end, or an error."""
