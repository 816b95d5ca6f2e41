"""Export a model: from its file and the options to a bundle, and what was found."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bundle import Precision
from colvi_edge.bundle.expected import Expected
from colvi_edge.bundle.manifest import Evaluation
from colvi_edge.bundle.window import Windows
from colvi_edge.errors import UsageError
from colvi_edge.export.converting.bundle_folder import refuse_foreign
from colvi_edge.export.converting.calibration import (
    Calibration,
    calibrated_on,
    read_calibration,
    read_samples,
)
from colvi_edge.export.converting.dense.halo import Asked
from colvi_edge.export.converting.dense.prepared import prepared
from colvi_edge.export.converting.familiarity import Fitted, fit
from colvi_edge.export.converting.manifest import Description
from colvi_edge.export.converting.package import Report, Settings, package
from colvi_edge.export.converting.parity import NEVER_ON_TENSORRT, WINDOWS_NEVER_ON_TENSORRT
from colvi_edge.export.converting.replacement import refuse_loss
from colvi_edge.export.converting.titles import TITLE, refuse_title
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.any_task import parse_window, question_of
from colvi_edge.export.reading.checkpoint import CONTROL_OR_PATIENT, Checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.export.reading.questions import parse_normalisation

_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "int8": ("int8-trt", "int8-cpu"),
}


@dataclass(frozen=True)
class Exported:
    """What was found while a bundle was made.

    Attributes:
        report: of its precisions.
        calibrated_on: images that INT8's ranges were taken from.
        measured_on: others, that the precisions were measured on; 0 where two simulated ones stood for them.
        familiarity: what the training images were like, or those of the calibration where that is not known;
            None if neither is.
        of_training: they are the checkpoint's own.
        told: what the checkpoint says of its training; "" for nothing.
        windows: what the network sees at once, where that is no patch.
    """

    report: Report
    calibrated_on: int
    measured_on: int
    familiarity: Fitted | None
    of_training: bool
    told: str
    windows: Windows | None


def export_model(
    model: Path,
    bundle: Path,
    *,
    calibration: Path | None,
    network: str | None,
    classes: Sequence[str] | None,
    activation: str | None,
    precisions: Sequence[str] | None,
    normalisation: str | None,
    channels: Sequence[str] | None,
    pixel_size_um: float | None,
    name: str | None,
    task: Literal["classify", "segment"] | None = None,
    rule: Literal["majority", "threshold", "share", "largest"] | None = None,
    threshold: float | None = None,
    resize: str | None = None,
    window: str | None = None,
    halo: int | None = None,
    join: Literal["crop", "blend"] = "crop",
    freeze_norm: bool = False,
    force: bool = False,
    place: Path | None = None,
    tell: Callable[[str], None],
    step: Callable[[str], None],
) -> Exported:
    """Export a model; see `colvi-edge export --help` for the arguments.

    `place` is where the bundle will stand in the end, where that is not the folder that it is made in; `tell`
    is called with a sentence on each calibration image that is left out, `step` with what is begun.

    Raises:
        ColviEdgeError: an option, the model or the calibration images cannot be used.
    """
    wanted = _wanted(precisions, calibrated=calibration is not None)
    refuse_title(name)
    place = place or bundle
    refuse_foreign(place)
    checkpoint = read_model(
        model,
        network=network,
        channels=channels,
        classes=classes,
        activation=activation,
        normalisation=parse_normalisation(normalisation),
        question=question_of(task, rule, threshold, resize, window),
    )
    asked = Asked(parse_window(window), halo, join)
    if not checkpoint.is_dense and (asked != Asked(asked.px if task else None) or freeze_norm):
        raise UsageError("--window, --halo, --join and --freeze-norm are of networks that draw regions")
    if not force and not freeze_norm:  # better said before the calibration than after it
        refuse_loss(place, checkpoint, wanted, calibrated=calibration is not None)
    images = None
    if calibration is not None:
        step("Reading calibration images")
        images = read_calibration(
            calibration,
            checkpoint.channels,
            checkpoint.normalisation,
            tell,
            None if checkpoint.task == CONTROL_OR_PATIENT else checkpoint.input,
            checkpoint.windows.cell_px,
        )
    if checkpoint.is_dense:
        step("Measuring the network's reach")
        checkpoint = prepared(checkpoint, asked, images if freeze_norm else None, freeze_norm=freeze_norm)
    if not force and freeze_norm:
        refuse_loss(place, checkpoint, wanted, calibrated=True)
    expected = Expected(pixel_size_um=pixel_size_um or checkpoint.training.get("pixel_size_um"))
    familiarity = _familiarity(
        checkpoint, calibration, lambda done, of: step(f"Measuring images: {done} of {of}")
    )
    report = package(
        checkpoint,
        bundle,
        _description(model, checkpoint, name, images, wanted),
        Settings(wanted, expected, _evaluation(checkpoint), familiarity),
        images,
        lambda words: step(f"Exporting: {words}"),
    )
    used, held_out = (len(images.calibrating.names), len(images.held_out.names)) if images else (0, 0)
    windows = None if checkpoint.windows.cell_px else checkpoint.windows
    of_training = bool(checkpoint.training.get("familiarity"))
    return Exported(report, used, held_out, familiarity, of_training, checkpoint.told, windows)


def _familiarity(
    checkpoint: Checkpoint, calibration: Path | None, progress: Callable[[int, int], None]
) -> Fitted | None:
    """Return what a checkpoint of ours tells of its images, else what those for the calibration tell.

    Only of images of the assay: of others nothing is measured.
    """
    if checkpoint.task != CONTROL_OR_PATIENT:
        return None
    if told := checkpoint.training.get("familiarity"):
        return Fitted.from_plain(told)
    return fit(read_samples(calibration, progress)) if calibration else None


def _wanted(precisions: Sequence[str] | None, *, calibrated: bool) -> list[Precision]:
    """Return the bundle's precisions; FP32 always comes along, and INT8 unasked where it is calibrated."""
    words = precisions if precisions is not None else [*_PRECISIONS][: None if calibrated else -1]
    unknown = [word for word in words if word not in _PRECISIONS]
    if unknown or not words:
        both = any(word in _PRECISIONS["int8"] for word in unknown)
        raise UsageError(
            f"--precision {','.join(words)}: expected some of {', '.join(_PRECISIONS)}"
            f"{'; int8 makes both, int8-cpu and int8-trt' if both else ''}"
        )
    if "int8" in words and not calibrated:
        raise UsageError(
            f"--precision {','.join(words)}: INT8 is calibrated on images, and none are given; give "
            "projections with --calibration DIR, or leave int8 out"
        )
    return [precision for word in _PRECISIONS if word in {"fp32", *words} for precision in _PRECISIONS[word]]


def _description(
    model: Path,
    checkpoint: Checkpoint,
    name: str | None,
    images: Calibration | None,
    precisions: Collection[Precision],
) -> Description:
    title = name or _zoo_name(model.stem)
    trained_on = checkpoint.training.get("data", "images that the export knows nothing of")
    summary = f"{_does(checkpoint)}: the {checkpoint.name} network, trained on {trained_on}."
    if checkpoint.told:
        summary = f"{summary} {checkpoint.told}"
    said = [f"# {title}", summary]
    if images is not None and "int8-trt" in precisions:
        never = WINDOWS_NEVER_ON_TENSORRT if checkpoint.is_dense else NEVER_ON_TENSORRT
        counts = len(images.calibrating.names), len(images.held_out.names)
        said.append(f"INT8: {calibrated_on(*counts)} {never}")
    documentation = "\n\n".join([*said, f"{RESEARCH_USE_ONLY}\n"])
    return Description(title, "1.0.0", summary, documentation, checkpoint.name)


def _does(checkpoint: Checkpoint) -> str:
    """Return what a network does, as a sentence begins."""
    classes, px = checkpoint.task.classes, checkpoint.windows.cell_px
    if checkpoint.task == CONTROL_OR_PATIENT:
        return f"Judges {PATCH_PX} x {PATCH_PX} patches of fibroblast cultures as control or patient"
    if checkpoint.is_dense:
        shown = " and ".join(role for role in checkpoint.channels if role != "empty")
        return f"Draws {', '.join(classes[1:])} in images of {shown}"
    seen = f"{px} x {px} patches" if px else "whole images"
    return f"Judges {seen} as {', '.join(classes)}"


def _zoo_name(stem: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_+() -]", "-", stem)[:128]
    return plain if TITLE.fullmatch(plain) else f"model {plain}"


def _evaluation(checkpoint: Checkpoint) -> Evaluation | None:
    """Return what a checkpoint of ours says of its test; None for any other network, and without votes."""
    test = None if checkpoint.is_dense else checkpoint.training.get("test")
    return test and Evaluation.model_validate(test)
