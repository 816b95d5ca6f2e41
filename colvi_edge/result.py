"""What was found of one image, as a notebook or a program takes it: values, arrays, views, and files."""

import base64
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.acquisition import Refused
from colvi_edge.choices import OverlayChoice
from colvi_edge.errors import AcquisitionError
from colvi_edge.outputs.names import image_label, record_name
from colvi_edge.outputs.picture import overlay
from colvi_edge.outputs.sidecar import ErrorRecord, QualityFlag, Sidecar, as_plain
from colvi_edge.outputs.views import views_of
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.pipeline.raw_file import JudgedImage
from colvi_edge.pipeline.records import error_record
from colvi_edge.pipeline.writing import write_error, write_result
from colvi_edge.tasks.classify import Diagnosis
from colvi_edge.tasks.objects import Objects
from colvi_edge.tasks.segment import Region, Segmentation


class Result:
    """What was found of one image, and the views of it; nothing is written before `save`.

    What does not apply is None: a result of regions has no diagnosis, one of patches no regions, and one that
    was rejected, or failed, neither. In a notebook a result shows its overlay.

    Research use only. Not for use in diagnostic procedures.

    Attributes:
        task: of the bundle, classify or segment; None where the image failed.
        error: why the image has no result, where `status` is "error".
    """

    def __init__(
        self,
        judged: JudgedImage | Refused,
        raw_name: str,
        task: Literal["classify", "segment"] | None = None,
    ) -> None:
        """Keep what was found; `Diagnoser` makes results."""
        self.task = task
        self.error: AcquisitionError | None = judged.error if isinstance(judged, Refused) else None
        self._judged, self._raw_name = judged, raw_name

    @property
    def name(self) -> str:
        """How lists call the image: the file's name, and of a container also which image."""
        record = self._record
        return image_label(record.image.name, record.image.key)

    @property
    def status(self) -> Literal["ok", "rejected", "error"]:
        """ok; rejected, by a quality rule, which `flags` names; or error, see `error`."""
        return self._record.status

    @property
    def flags(self) -> tuple[QualityFlag, ...]:
        """Findings about the image itself, each with name, severity (warn, reject), value, limit, words."""
        return tuple(self._sidecar.quality) if self._sidecar else ()

    @property
    def diagnosis(self) -> str | None:
        """The class that has the diagnosis, such as control or patient; unsure where nobody has it."""
        return None if self._diagnosed is None else self._diagnosed.name

    @property
    def score(self) -> float | None:
        """0 to 100; of control and patient the share of the patches that vote control, in per cent."""
        return None if self._diagnosed is None else self._diagnosed.score

    @property
    def votes(self) -> dict[str, int] | None:
        """How many patches (or images, or slices) voted for each class, and tie."""
        found = self._diagnosed
        return None if found is None else dict(zip(found.votes, found.counts, strict=True))

    @property
    def classes(self) -> tuple[str, ...] | None:
        """What the bundle tells apart, in the order of the last axis of `probabilities`, or of `labels`."""
        answer = self._answer
        return None if answer is None else answer.classes

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """(rows, cols, K) float32, 0..1, of each patch and class; they need not sum to 1."""
        return None if self._diagnosed is None else self._diagnosed.probabilities

    @property
    def p_control(self) -> NDArray[np.float32] | None:
        """(rows, cols) float32, 0..1, of a bundle that tells control from patient."""
        return self._of_class("control")

    @property
    def p_patient(self) -> NDArray[np.float32] | None:
        """(rows, cols) float32, likewise."""
        return self._of_class("patient")

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """(Z, H, W) uint8, each pixel's class as an index into `classes`; Z is 1 where planes were summed."""
        return None if self._segmented is None else self._segmented.labels

    @property
    def regions(self) -> tuple[Region, ...] | None:
        """All that is of one class, for each but the background: name, pixels, share, area_um2, parts."""
        return None if self._segmented is None else self._segmented.regions

    @property
    def objects(self) -> Objects | None:
        """Single objects, where the bundle tells them apart: `labels` (Z, H, W) int32, and `rows`."""
        return None if self._segmented is None else self._segmented.objects

    def overlay(self) -> NDArray[np.uint8]:
        """Return the picture that `run` leaves beside a raw file, drawn anew at each call.

        Returns:
            (height, width, 3) uint8 RGB: pixel (y, x) is that of the image, and a caption stands below.

        Raises:
            AcquisitionError: the image failed, see `error`.
        """
        if isinstance(self._judged, Refused):
            raise self._judged.error
        return views_of(self._judged.sidecar, self._judged.shown, self._judged.result).draw()

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `run` leaves as JSON, see the sidecar's schema; its `outputs` are empty."""
        return as_plain(self._record)

    def save(self, folder: "str | PathLike[str]") -> Path:
        """Write the files that `run` leaves beside a raw file into a folder, the record last.

        Args:
            folder: is made where it is missing. A result of the same image that lies there gives way to a
                result, never to an error. The index of a container is not written, and goes.

        Returns:
            Where the record is: `X.tif.colvi.json`, or `X.tif.colvi.error.json` of an image that failed.

        Raises:
            OutputError: a file cannot be written; the older ones are as they were.
        """
        file = InputFile(Path(self._raw_name), Path(folder))
        if isinstance(self._judged, Refused):
            record = write_error(
                self._judged.error, file, self._judged.image_key, self._judged.provenance
            ).record
        else:
            record = write_result(self._judged, file, OverlayChoice.PNG).sidecar
        return file.folder / record_name(self._raw_name, record.status, record.image.key)

    def __repr__(self) -> str:
        return f"<Result {self._words}>"

    def _repr_png_(self) -> bytes | None:
        return self._png

    def _repr_html_(self) -> str:
        if self._png is None:
            return f"<p>{escape(self._words)}</p>"
        data = base64.b64encode(self._png).decode()
        return f'<img style="max-width: 100%" alt="{escape(self._words)}" src="data:image/png;base64,{data}">'

    @cached_property
    def _png(self) -> bytes | None:
        return None if self._sidecar is None else overlay.encode(self.overlay(), self._sidecar)

    @property
    def _words(self) -> str:
        if self.error is not None:
            return f"{self.name}: {self.status}, {self.error.words}"
        if self.diagnosis is not None:
            found = f"{self.diagnosis}, score {self.score:.1f}"
        elif self.regions is not None:
            found = ", ".join(f"{region.name} {region.share:.1%}" for region in self.regions)
        else:
            found = ", ".join([self.status, *(flag.name for flag in self.flags if flag.severity == "reject")])
        return f"{self.name}: {found}. {RESEARCH_USE_ONLY}"

    @cached_property
    def _record(self) -> Sidecar | ErrorRecord:
        if isinstance(self._judged, JudgedImage):
            return self._judged.sidecar
        return error_record(
            self._raw_name, self._judged.error, self._judged.image_key, self._judged.provenance
        )

    @property
    def _sidecar(self) -> Sidecar | None:
        return self._record if isinstance(self._record, Sidecar) else None

    @property
    def _answer(self) -> Diagnosis | Segmentation | None:
        return self._judged.result if isinstance(self._judged, JudgedImage) else None

    @property
    def _diagnosed(self) -> Diagnosis | None:
        return self._answer if isinstance(self._answer, Diagnosis) else None

    @property
    def _segmented(self) -> Segmentation | None:
        return self._answer if isinstance(self._answer, Segmentation) else None

    def _of_class(self, name: str) -> NDArray[np.float32] | None:
        found = self._diagnosed
        if found is None or name not in found.classes:
            return None
        return found.probabilities[..., found.classes.index(name)]
