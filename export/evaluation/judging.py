"""Whatever can judge an image, for its evaluation: a checkpoint in torch, or a bundle on an engine."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition
from colvi_edge.acquisition.wanted import ASSAY, Wanted, wanted_by
from colvi_edge.bundle import DEMOS, Config, open_bundle
from colvi_edge.bundle.input import Input
from colvi_edge.bundle.task import Classify, TaskPart
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import Engine, open_engine
from colvi_edge.errors import PixelTypeError, UsageError
from colvi_edge.patches import Normalisation
from colvi_edge.pipeline.fields import kept_of_field
from colvi_edge.pipeline.sizing import Size, size_asked
from colvi_edge.tasks.classify import CLASSES, MAJORITY, Rule, rule_of
from colvi_edge.tasks.task import task_of

from .class_record import CellWord
from .record import Model


@dataclass(frozen=True)
class Judge:
    """What judges.

    Attributes:
        model: for the record.
        layout: channels that it takes.
        patch_px: edge of its patches.
        seen: digests of the pictures that it learnt from, as far as it says.
        probabilities: (Z, C, H, W) planes -> (rows, cols, K) float32, of a stack a plane below the other; a
            PixelTypeError for those of another dtype than it was made for.
        classes: K of them, in the order of its outputs.
        rule: by which they become a diagnosis.
        of: what each row and column of the probabilities is of.
        wanted: what it asks an image's channels to show.
        size_of: to which it wants an image's planes brought.
    """

    model: Model
    layout: tuple[str, ...]
    patch_px: int
    seen: Collection[str]
    probabilities: Callable[[NDArray[Any]], NDArray[np.float32]]
    classes: tuple[str, ...] = CLASSES
    rule: Rule = MAJORITY
    of: CellWord = "patch"
    wanted: Sequence[Wanted] = ASSAY
    size_of: Callable[[Acquisition], Size | None] = lambda _: None

    @property
    def is_paper(self) -> bool:
        """Whether it tells control from patient as the paper does, whose figures then are told."""
        return (self.classes, self.rule, self.of) == (CLASSES, MAJORITY, "patch")


@contextmanager
def open_judge(
    model: str,
    engine: EngineName,
    precision: PrecisionChoice,
    *,
    network: str | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: Normalisation | None = None,
) -> Iterator[Judge]:
    """Open a model.

    Args:
        model: a bundle, the word for a shipped one, or a model file that `read_model` reads.
        engine: of a bundle.
        precision: of a bundle.
        network: as for `read_model`, of a file that does not tell it.
        classes: the same.
        activation: the same.
        normalisation: the same.

    Raises:
        ColviEdgeError: it cannot be opened, or a file is given an engine.
    """
    path = Path(model)
    if model in DEMOS or path.is_dir():
        if network or classes or activation or normalisation:
            raise UsageError(
                f"{model} is a bundle, which says itself what its network is; leave --network, --classes, "
                "--outputs and --normalisation out"
            )
        bundle = open_bundle(model)
        task = _classifies(model, bundle.config.task)
        refuse_mask(model, bundle.config.input)
        with closing(open_engine(bundle, engine, precision)) as running:
            info = running.info
            runtime = f"{info.label} on {info.device}"
            yield Judge(
                Model(name=bundle.name, sha256=bundle.sha256, runtime=runtime, precision=info.precision),
                bundle.config.channels,
                bundle.config.patch_px if bundle.config.has_patches else 1,
                bundle.config.seen,
                lambda planes: _below_each_other(running, bundle.config, planes),
                task.classes,
                rule_of(task.decision),
                cells_of(bundle.config),
                wanted_by(bundle.config),
                partial(size_asked, bundle.config.input),
            )
        return
    refuse_choices(model, engine, precision)
    import torch

    from colvi_edge.export.converting.patches import reference
    from colvi_edge.export.networks.patch_cnn import PATCH_PX
    from colvi_edge.export.reading.model_file import read_model
    from colvi_edge.export.reading.questions import asked_without_channels

    with asked_without_channels(path):
        checkpoint = read_model(
            path, network=network, classes=classes, activation=activation, normalisation=normalisation
        )
    _classifies(model, checkpoint.task)

    def probabilities(planes: NDArray[Any]) -> NDArray[np.float32]:
        if why := checkpoint.unfit(planes.dtype):
            raise PixelTypeError(why)
        return reference(checkpoint, [planes])[0]

    yield Judge(
        Model(
            name=path.stem,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            runtime=f"torch {torch.__version__} on the CPU",
            precision="fp32",
        ),
        checkpoint.channels,
        PATCH_PX,
        checkpoint.training.get("seen", ()),
        probabilities,
    )


def _classifies(model: str, task: TaskPart) -> Classify:
    if not isinstance(task, Classify):
        raise UsageError(f"{model} outlines regions, and images with one label each are no truth for it")
    return task


def refuse_choices(model: str, engine: EngineName, precision: PrecisionChoice) -> None:
    """Refuse to choose an engine or a precision for what is no bundle.

    Raises:
        UsageError: one of them is named.
    """
    if engine is not EngineName.AUTO or precision is not PrecisionChoice.AUTO:
        raise UsageError(
            f"{model} is no bundle, and torch judges it in fp32; leave --engine and --precision out, or "
            "evaluate the bundle that was exported from it"
        )


def refuse_mask(model: str, asked: Input) -> None:
    """Refuse to evaluate a network on what it never sees.

    Raises:
        UsageError: it sees only the regions of another bundle.
    """
    if (mask := asked.mask) is not None:
        raise UsageError(
            f"{model} sees only the regions of {mask.bundle} (SHA-256 {mask.sha256[:12]}...), and is "
            "evaluated alone; evaluate a bundle without a mask"
        )


def cells_of(config: Config) -> CellWord:
    """Return what votes."""
    if config.has_patches:
        return "patch"
    return "slice" if config.input.planes == "each" else "image"


def _below_each_other(engine: Engine, config: Config, planes: NDArray[Any]) -> NDArray[np.float32]:
    field = kept_of_field(engine, config, task_of(config.task), planes, None)
    return field.reshape(-1, *field.shape[2:])
