"""What stands beside a raw file: of which model it is, and of how many files it consists."""

from functools import partial
from typing import NamedTuple

from colvi_edge.outputs.read_back import standing_record
from colvi_edge.outputs.sidecar import Index, Sidecar
from colvi_edge.watch.ipc.model import Model


class Whose(NamedTuple):
    """A result.

    Attributes:
        model: that judged; None if nothing is known to be judged.
        files: of which the result consists: each record, and what it lists; 0 is not known.
    """

    model: Model | None
    files: int

    @classmethod
    def of(cls, sidecar: Sidecar) -> "Whose":
        """Return what the result of one image is."""
        model = sidecar.model
        return cls(Model.of(model.name, model.version, model.sha256), 1 + len(sidecar.outputs))

    @classmethod
    def of_index(cls, index: Index, folder_fd: int, raw_name: str, current: str) -> "Whose":
        """Return what the result of several images is: of one model only if all of them are.

        Args:
            index: of the images.
            folder_fd: descriptor of its folder.
            raw_name: of the raw file, without folders.
            current: SHA-256 of the model that judges now; where images are of several, another one is told.
        """
        standing = partial(standing_record, Sidecar, folder_fd, raw_name, slot=index.slot or "")
        images = [cls.of(sidecar) for entry in index.images if (sidecar := standing(entry.key))]
        failed = sum(entry.status == "error" for entry in index.images)
        models = [image.model for image in images if image.model]
        models.sort(key=lambda model: model.sha256 == current)
        return cls(next(iter(models), None), 1 + failed + sum(image.files for image in images))


NOTHING = Whose(None, 0)
