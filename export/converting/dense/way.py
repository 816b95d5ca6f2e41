"""Networks of windows and of whole images: how they are run in torch, calibrated and compared."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colvi_edge.bundle.compared import JoinsCompared, SegmentComparison
from colvi_edge.bundle.manifest import Config, Precision, VerificationRegion
from colvi_edge.bundle.task import Classify, Segment, TaskPart
from colvi_edge.bundle.window import Windows
from colvi_edge.engines.base import Engine, Keep, everything
from colvi_edge.engines.lanes import ThreadLanes
from colvi_edge.engines.scene import Scene
from colvi_edge.engines.windowed import plan_of, windowed_field
from colvi_edge.errors import UsageError
from colvi_edge.export.converting.calibration import Images
from colvi_edge.export.converting.manifest import npy
from colvi_edge.export.converting.onnx import refused_as_onnx, to_onnx
from colvi_edge.export.converting.patches import refuse_no_probabilities
from colvi_edge.export.converting.quantise import Held, stride_of
from colvi_edge.export.converting.way import Known
from colvi_edge.export.data.division import evenly_spread
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.onnx import NetworkError, check_dense_network, check_network
from colvi_edge.patches import project
from colvi_edge.tasks.classify.comparison import Tolerance
from colvi_edge.tasks.segment.comparison import COVERED, SegmentTolerance, dice
from colvi_edge.tasks.task import Classification, Compared, Segmenting

from .joins import largest_difference, step_across, two_each_way, whole_at_most

CALIBRATION_PX = 2**21
"""Pixels of all calibration windows: 32 of 256 x 256."""

_LARGEST_PX = 512
"""Edge of a calibration window at most: a U-Net of base 32 holds 700 MB of maps for it."""

_EXAMPLE_PX = 64
"""Edge of what is kept of the model zoo's test tensors."""

_MOST_NUMBERS = 2**19
"""Of the field of a verification region, 1 MiB in half precision; two windows to each side may need more."""

_REGION = "verification_region.npy", "verification_field.npy"


class Seen:
    """See `way.Way`."""

    seen, judged = "windows", 16

    def __init__(self, checkpoint: Checkpoint, config: Config, tolerance: Tolerance) -> None:
        """Take a network of windows or of whole images.

        Args:
            checkpoint: whose windows are no cells.
            config: of its bundle, with what precisions it may.
            tolerance: of the gate, for a network that answers for the whole image.
        """
        self._config = config
        self._network = checkpoint.probabilities()
        self.task = _held_to(config.task, tolerance)
        self._keep: Keep = self.task.keep or everything
        self.held: Sequence[Held | None] = ("", "heads") if config.is_dense else (None,)

    def to_onnx(self, *, half: bool = False) -> bytes:
        """See `Way.to_onnx`."""
        config, channels, classes = self._config, len(self._config.channels), len(self._config.task.classes)
        size = config.input.resize_px or (self._small_px, self._small_px)
        network = to_onnx(self._network, channels, size, half=half, dense=config.is_dense)
        if not half:
            try:
                if config.is_dense:
                    px = config.windows.px
                    window = None if px == "whole" else px
                    check_dense_network(network, channels, classes, window, config.windows.step_px)
                else:
                    check_network(network, channels, size, classes=classes)
            except NetworkError as error:
                raise refused_as_onnx(error) from error
        return network

    def reference(self, planes: NDArray[Any]) -> NDArray[Any]:
        """See `Way.reference`."""
        try:
            kept = self._field(planes, self._keep)
        except ValueError:  # which does not say what to do about it
            refuse_no_probabilities(self._field(planes, everything))
            raise
        if not self._config.is_dense:
            refuse_no_probabilities(kept)
        return kept

    def found(self, engine: Engine, planes: NDArray[Any]) -> NDArray[Any] | None:
        """See `Way.found`."""
        try:
            return engine.field(planes, self._keep)
        except ValueError:
            return None

    def compare(self, expected: list[NDArray[Any]], found: list[NDArray[Any] | None]) -> Compared:
        """See `Way.compare`."""
        return self.task.compare(
            [one[np.newaxis] for one in expected],
            [None if one is None else one[np.newaxis] for one in found],
        )

    def joins(
        self, compared: Compared, precision: Precision, open_with: Callable[[Windows], Engine], images: Images
    ) -> Compared:
        """See `Way.joins`."""
        windows = self._config.windows
        if not isinstance(compared, SegmentComparison) or windows.px == "whole" or compared.broken:
            return compared
        fitting: list[tuple[int, Windows, NDArray[Any]]] = []
        for planes in images.planes:
            rows, cols = planes.shape[2:]
            height, width = whole_at_most(rows, cols, windows.step_px)
            smaller = two_each_way(windows, height, width)
            if smaller and smaller.px != "whole":
                fitting.append((smaller.px, smaller, planes[:, :, :height, :width]))
        if not fitting:
            return compared.model_copy(update={"joins": JoinsCompared()})
        _, seen, crop = max(fitting, key=lambda one: one[0])
        with closing(open_with(seen)) as engine:
            joined = engine.field(crop)
        if windows.stride_px:
            found = JoinsCompared(step=step_across(joined, plan_of(self._config, *crop.shape[2:])))
        else:
            with closing(open_with(_as_a_whole(windows))) as engine:
                at_once = engine.field(crop)
            found = JoinsCompared(
                largest_dp=largest_difference(joined, at_once) if precision == "fp32" else None,
                flips=int(np.count_nonzero(self._class_of(joined) != self._class_of(at_once))),
            )
        return compared.model_copy(update={"joins": found})

    def calibration_windows(self, images: Images) -> NDArray[np.float32]:
        """See `Way.calibration_windows`: windows as they will be run, of the size that most of them have."""
        parts = [list(self._windows(planes)) for planes in images.planes]
        sizes = [window.shape for part in parts for window in part]
        common = max(sorted(set(sizes)), key=sizes.count)
        height, width = common[1:]
        stride = stride_of(height * width)
        most = max(stride, CALIBRATION_PX // (height * width) // stride * stride)
        fitting = [[window for window in part if window.shape == common] for part in parts]
        share = -(-most // sum(bool(part) for part in fitting))
        chosen = [part[k] for part in fitting if part for k in evenly_spread(len(part), share)][:most]
        whole = len(chosen) // stride * stride
        if not whole:
            raise UsageError(
                f"found {len(chosen)} calibration windows of {width} x {height} pixels, expected at least "
                f"{stride}; add images"
            )
        return np.stack(chosen[:whole])

    def apart(self, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[float, float]:
        """See `Way.apart`: 1 - Dice of the class that is worst off, and mean difference."""
        if not self._config.is_dense:
            return float(np.mean(found.argmax(1) != wanted.argmax(1))), float(np.abs(found - wanted).mean())
        a, b = (self._class_of(one.transpose(0, 2, 3, 1)) for one in (wanted, found))
        masks = [(a == number, b == number) for number in range(1, len(self._config.task.classes))]
        asked = [dice(*pair) for pair in masks if np.count_nonzero(pair[0]) >= COVERED * a.size]
        return 1 - min(asked, default=1.0), float(np.abs(found - wanted).mean())

    def is_close(self, apart: tuple[float, float]) -> bool:
        """See `Way.is_close`: half of what the gate allows."""
        return not self._config.is_dense or apart[0] <= (1 - SegmentTolerance().median_dice) / 2

    def known(self, images: Images, expected: list[Any]) -> Known:
        """See `Way.known`: the region with most of each class, two windows high and wide: they join in it.

        What is known of it is the whole region's answer, where windows can give that: engines, which see
        windows, are then tried for their joins, too.
        """
        region, windows = self._region(images, expected), self._config.windows
        height, width = region.shape[2:]
        fits = whole_at_most(height, width, windows.step_px) == (height, width)
        whole = _as_a_whole(windows) if fits and windows.reach_px is not None else None
        field = self._field(region, everything, whole).astype(np.float16)
        files = dict(zip(_REGION, (npy(region), npy(field)), strict=True))
        return Known(VerificationRegion(region=_REGION[0], field=_REGION[1]), files)

    def example(self, images: Images, expected: list[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Way.example`: a corner of an image, as small as the zoo may crop, or a whole one."""
        planes = images.planes[0]
        height, width = self._config.input.resize_px or (self._small_px, self._small_px)
        window = np.empty((len(self._config.channels), height, width), np.float32)
        Scene(planes, self._config.normalisation).put(window, 0, 0)
        example = window[np.newaxis]
        return example, self._answers(example)

    def worst(self, found: list[Any], expected: list[Any], images: Images) -> bytes | None:
        """See `Way.worst`: of maps nothing is kept."""
        return None

    @property
    def _small_px(self) -> int:
        """Edge of a small input: more than the halo takes away, and on the raster."""
        windows = self._config.windows
        small = 2 * windows.halo_px + _EXAMPLE_PX
        return -(-small // windows.step_px) * windows.step_px

    def _answers(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answers: NDArray[np.float32] = self._network(torch.from_numpy(windows)).numpy()
        return answers

    def _field(self, planes: NDArray[Any], keep: Keep, windows: Windows | None = None) -> NDArray[Any]:
        """Return what torch gives for an image, in the bundle's own windows or in others."""
        config = self._config.model_copy(update={"windows": windows or self._config.windows})
        with ThreadPoolExecutor(1, "torch") as thread:
            return windowed_field(
                planes, config, lambda shape, _: ThreadLanes(self._answers, shape, thread), keep
            )

    def _class_of(self, field: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the class of each pixel of fields (..., h, w, K)."""
        kept: NDArray[np.uint8] = self._keep(field.reshape(-1, *field.shape[-2:]))[..., 0]
        return kept.reshape(field.shape[:-1])

    def _windows(self, planes: NDArray[Any]) -> Sequence[NDArray[np.float32]]:
        """Return normalised windows (C, h, w) of an image, spread evenly: no more than are taken of all."""
        config = self._config
        px = config.windows.px
        if config.is_dense and (px == "whole" or px > _LARGEST_PX):
            step = config.windows.step_px
            smaller = Windows(px=max(_LARGEST_PX // step, 1) * step, step_px=step)
            config = config.model_copy(update={"windows": smaller})
        seen = config.windows
        if config.is_dense and seen.px != "whole":
            # Windows side by side are as small as their image allows; calibrated are those of full size.
            full = {"join": "blend", "stride_px": seen.px - 2 * seen.halo_px}
            config = config.model_copy(update={"windows": seen.model_copy(update=full)})
        scene, plan = Scene(planes, config.normalisation), plan_of(config, *planes.shape[2:])
        places, size = list(plan), plan.window
        chosen = evenly_spread(len(places), max(1, CALIBRATION_PX // (size[0] * size[1])))
        windows = [np.empty((planes.shape[1], *size), np.float32) for _ in chosen]
        for window, place in zip(windows, chosen, strict=True):
            row, col = places[place]
            scene.put(window, row.start, col.start)
        return windows

    def _region(self, images: Images, expected: list[Any]) -> NDArray[Any]:
        """Return raw pixels (1, C, h, w) of a dtype that holds sums over planes and that the bundle takes."""
        height, width = self._region_px
        best: tuple[float, NDArray[Any]] | None = None
        for planes, found in zip(images.planes, expected, strict=True):
            rows, cols = planes.shape[2:]
            for top in _places(rows, height):
                for left in _places(cols, width):
                    mixed = _mixed(found, slice(top, top + height), slice(left, left + width))
                    if best is None or mixed > best[0]:
                        best = mixed, planes[:, :, top : top + height, left : left + width]
        assert best is not None  # noqa: S101 - there are images
        summed = project(best[1])[np.newaxis]
        small = np.issubdtype(summed.dtype, np.integer) and summed.max() < 2**16
        raw: NDArray[Any] = summed.astype(
            self._config.normalisation.dtype or ("uint16" if small else "float32")
        )
        return raw

    @property
    def _region_px(self) -> tuple[int, int]:
        """Height and width of a region that two windows to each side see, and one of the two only in part."""
        config, windows = self._config, self._config.windows
        if config.input.resize_px:
            return config.input.resize_px
        most = int(np.sqrt(_MOST_NUMBERS / len(config.task.classes)))
        if windows.px == "whole":
            return (min(most, _LARGEST_PX),) * 2
        core = windows.stride_px or windows.px - 2 * windows.halo_px
        least = windows.px + windows.step_px
        edge = max(least, min(windows.px + core // 2 + 1, most))
        return edge, edge


def _held_to(task: TaskPart, tolerance: Tolerance) -> Classification | Segmenting:
    """Return a bundle's task with the tolerance of its gate."""
    match task:
        case Classify():
            return Classification(task, tolerance)
        case Segment():
            return Segmenting(task)


def _as_a_whole(windows: Windows) -> Windows:
    """Return the one window of a whole image, for the same network."""
    return Windows(px="whole", step_px=windows.step_px, reach_px=windows.reach_px)


def _places(length: int, size: int) -> tuple[int, ...]:
    """Return where a region may begin, along one axis: side by side, the last at the end."""
    last = max(length - size, 0)
    return *range(0, last, size), last


def _mixed(kept: NDArray[Any], rows: slice, cols: slice) -> float:
    """Return how much of each class is in a part of what is kept of an image: the entropy of its classes."""
    if kept.dtype != np.uint8:  # the probabilities of a whole image, of which the least certain is taken
        return -float(kept.max())
    counts = np.bincount(kept[rows, cols, 0].ravel())
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log(shares)).sum())
