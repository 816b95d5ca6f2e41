"""Whatever can outline an image, for its evaluation: a checkpoint in torch, or a bundle on an engine."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.acquisition.wanted import Wanted, wanted_by, wanted_of
from colvi_edge.bundle import DEMOS, open_bundle
from colvi_edge.bundle.task import Segment
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import open_engine
from colvi_edge.errors import PixelTypeError, UsageError
from colvi_edge.patches import normalise_image, project
from colvi_edge.pipeline.fields import kept_of_field
from colvi_edge.pipeline.sizing import Size, brought_back, brought_to, size_asked
from colvi_edge.tasks.segment import Segmentation, keeping, segmentation
from colvi_edge.tasks.task import task_of

from .judging import refuse_choices, refuse_mask
from .record import Model

if TYPE_CHECKING:  # torch, which a bundle does not need
    from colvi_edge.export.reading.checkpoint import Checkpoint


@dataclass(frozen=True)
class Outliner:
    """What outlines.

    Attributes:
        model: for the record.
        layout: channels that it takes.
        seen: digests of the pictures that it learnt from, as far as it says.
        task: what it is asked.
        outline: (Z, C, H, W) planes, and the size that they are brought to or None -> what they show, at
            their own pixels; a PixelTypeError for those of another dtype than it was made for.
        wanted: what it asks an image's channels to show.
        size_of: to which it wants an image's planes brought.
    """

    model: Model
    layout: tuple[str, ...]
    seen: Collection[str]
    task: Segment
    outline: Callable[[NDArray[Any], Size | None], Segmentation]
    wanted: Sequence[Wanted]
    size_of: Callable[[Acquisition], Size | None]


@contextmanager
def open_outliner(model: str, engine: EngineName, precision: PrecisionChoice) -> Iterator[Outliner]:
    """Open a model that segments.

    Args:
        model: a bundle, the word for a shipped one, or a checkpoint of `train`.
        engine: of a bundle.
        precision: of a bundle.

    Raises:
        ColviEdgeError: it cannot be opened or does not segment, or a file is given an engine.
    """
    path = Path(model)
    if model in DEMOS or path.is_dir():
        bundle = open_bundle(model)
        task = _segments(model, bundle.config.task)
        refuse_mask(model, bundle.config.input)
        if bundle.config.input.planes == "each":
            raise UsageError(f"{model} outlines planes one by one, and a mask has one; give it no stacks")
        with closing(open_engine(bundle, engine, precision)) as running:
            info = running.info
            known_as = Model(
                name=bundle.name,
                sha256=bundle.sha256,
                runtime=f"{info.label} on {info.device}",
                precision=info.precision,
            )
            answer = task_of(task)
            yield Outliner(
                known_as,
                bundle.config.channels,
                bundle.config.seen,
                task,
                lambda planes, size: segmentation(
                    task, kept_of_field(running, bundle.config, answer, planes, size), None
                ),
                wanted_by(bundle.config),
                partial(size_asked, bundle.config.input),
            )
        return
    refuse_choices(model, engine, precision)
    from colvi_edge.export.reading.checkpoint import load_checkpoint

    yield outliner_of(load_checkpoint(path), path)


def outliner_of(checkpoint: "Checkpoint", path: Path) -> Outliner:
    """Return what outlines as a checkpoint of ours does, in torch: each image whole.

    Args:
        checkpoint: of a network that segments.
        path: that it was read from, or written to.

    Raises:
        UsageError: it does not segment, or sees only the regions of another bundle.
    """
    import torch

    from colvi_edge.export.networks.unet import step_of
    from colvi_edge.export.networks.whole import whole

    task = _segments(str(path), checkpoint.task)
    refuse_mask(str(path), checkpoint.input)
    network, keep = checkpoint.probabilities(), keeping(task)
    step_px = step_of(int(checkpoint.parameters["depth"]))

    def outline(planes: NDArray[Any], size: Size | None) -> Segmentation:
        if why := checkpoint.unfit(planes.dtype):
            raise PixelTypeError(why)
        given = planes if size is None else brought_to(planes, size)
        inputs = normalise_image(project(given), checkpoint.normalisation)
        kept = keep(whole(network, inputs, step_px).movedim(0, -1).numpy())[np.newaxis]
        return segmentation(task, kept if size is None else brought_back(kept, Size(*planes.shape[2:])), None)

    return Outliner(
        Model(
            name=path.stem,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            runtime=f"torch {torch.__version__} on the CPU",
            precision="fp32",
        ),
        checkpoint.channels,
        checkpoint.training.get("seen", ()),
        task,
        outline,
        wanted_of(checkpoint.input),
        partial(size_asked, checkpoint.input),
    )


def _segments(model: str, task: object) -> Segment:
    if not isinstance(task, Segment):
        raise UsageError(
            f"{model} classifies, and masks are no truth for it; give images with one label each"
        )
    return task
