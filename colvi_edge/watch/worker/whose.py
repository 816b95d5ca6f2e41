"""What stands beside a raw file: of which model it is, and of how many files it consists."""

from typing import NamedTuple

from colvi_edge.outputs.names import OutputKind, output_name
from colvi_edge.outputs.read_back import read_sidecar
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
        names = (output_name(raw_name, OutputKind.SIDECAR, entry.key) for entry in index.images)
        images = [cls.of(sidecar) for name in names if (sidecar := read_sidecar(name, folder_fd))]
        failed = sum(entry.status == "error" for entry in index.images)
        models = [image.model for image in images if image.model]
        models.sort(key=lambda model: model.sha256 == current)
        return cls(next(iter(models), None), 1 + failed + sum(image.files for image in images))


NOTHING = Whose(None, 0)
