"""What is left of a result beside its sidecar, by the kind of the result: which files, and what makes each.

patches, votes, bands      ->  picture with frames, patch table, tiles, rectangles
regions and objects        ->  picture with lines, objects' table, polygons, polygons, labels
nothing: it was rejected   ->  a picture that says why
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.outputs.cells import Cell, cells
from colvi_edge.outputs.names import OutputKind
from colvi_edge.outputs.patches import geojson as patch_geojson
from colvi_edge.outputs.patches import rois as patch_rois
from colvi_edge.outputs.patches import table as patch_table
from colvi_edge.outputs.picture import overlay
from colvi_edge.outputs.regions import geojson as region_geojson
from colvi_edge.outputs.regions import labels_tiff
from colvi_edge.outputs.regions import rois as region_rois
from colvi_edge.outputs.regions import table as region_table
from colvi_edge.outputs.regions.outlined import Outlined
from colvi_edge.outputs.shown import Shown
from colvi_edge.outputs.sidecar import Sidecar
from colvi_edge.tasks.segment import Segmentation
from colvi_edge.tasks.task import Answer

Tables = Mapping[OutputKind, Callable[[], bytes]]
"""What makes each file beside the picture, in the order in which they are written."""


class Views(Protocol):
    """What one result leaves."""

    def draw(self) -> NDArray[np.uint8]:
        """Return the overlay as (height, width, 3), fit for `overlay.encode`."""
        ...

    @property
    def tables(self) -> Tables:
        """See `Tables`; none of a rejected image."""
        ...

    def ome_tiff(self) -> bytes:
        """Return the overlay as data, where it is asked for."""
        ...


def views_of(sidecar: Sidecar, shown: Shown, result: Answer | None = None) -> Views:
    """Return what a result leaves.

    Args:
        sidecar: its record.
        shown: the image.
        result: as the task gave it; of patches the record says all.
    """
    kind = sidecar.task.kind if sidecar.task is not None else "classify"
    match kind:
        case "classify":
            return _CellViews(sidecar, shown)
        case "segment":
            return _RegionViews(sidecar, shown, result if isinstance(result, Segmentation) else None)


class _CellViews:
    def __init__(self, sidecar: Sidecar, shown: Shown) -> None:
        self._sidecar, self._shown = sidecar, shown
        is_assay = {"collagen", "nuclei"} == set(shown.roles) - {"empty"}
        self._assay = (shown.channel("collagen"), shown.channel("nuclei")) if is_assay else None

    def draw(self) -> NDArray[np.uint8]:
        if self._assay is not None:
            return overlay.draw(self._sidecar, *self._assay)
        return overlay.draw_shown(self._sidecar, self._shown)

    @property
    def tables(self) -> Tables:
        if self._sidecar.status != "ok":
            return {}
        return {
            OutputKind.TABLE: lambda: patch_table.render(self._sidecar, self._listed),
            OutputKind.GEOJSON: lambda: patch_geojson.render(self._sidecar, self._listed),
            OutputKind.ROIS: lambda: patch_rois.render(self._sidecar, self._listed),
        }

    @cached_property
    def _listed(self) -> list[Cell]:
        """The cells, for all tables: listing the 256 of an image takes half a millisecond."""
        return list(cells(self._sidecar))

    def ome_tiff(self) -> bytes:
        from colvi_edge.outputs import ome_tiff  # its XML and TIFF writers take 30 ms that few need

        if self._assay is not None:
            return ome_tiff.render(self._sidecar, *self._assay, self._shown.pixel_height_um)
        return ome_tiff.render_shown(self._sidecar, self._shown, None)


class _RegionViews:
    def __init__(self, sidecar: Sidecar, shown: Shown, result: Segmentation | None) -> None:
        self._sidecar, self._shown, self._result = sidecar, shown, result
        self._outlined = None if result is None else Outlined(result)

    def draw(self) -> NDArray[np.uint8]:
        return overlay.draw_shown(self._sidecar, self._shown, self._result)

    @property
    def tables(self) -> Tables:
        result, outlined = self._result, self._outlined
        if result is None or outlined is None:
            return {}
        return {
            OutputKind.TABLE: lambda: region_table.render(self._sidecar, result),
            OutputKind.GEOJSON: lambda: region_geojson.render(self._sidecar, outlined),
            OutputKind.ROIS: lambda: region_rois.render(outlined),
            OutputKind.LABELS: lambda: labels_tiff.render(self._sidecar, result, self._shown.pixel_height_um),
        }

    def ome_tiff(self) -> bytes:
        from colvi_edge.outputs import ome_tiff

        return ome_tiff.render_shown(self._sidecar, self._shown, self._outlined)
