"""`colvi-edge export`: from a model file and the options to a bundle, and what was found, said."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.bundle import Precision
from colvi_edge.bundle.manifest import Evaluation, Expected
from colvi_edge.cli.show.results import error_console, wide_console
from colvi_edge.errors import ParityError, UsageError
from colvi_edge.export.converting.bundle_folder import refuse_foreign
from colvi_edge.export.converting.calibration import Calibration, read_calibration, read_samples
from colvi_edge.export.converting.familiarity import AT_LEAST as LIMITS_AT_LEAST
from colvi_edge.export.converting.familiarity import ENOUGH as LIMITS_ENOUGH
from colvi_edge.export.converting.familiarity import Fitted, fit
from colvi_edge.export.converting.manifest import Description
from colvi_edge.export.converting.package import Report, Settings, package
from colvi_edge.export.converting.parity import NEVER_ON_TENSORRT, as_sentences, as_table
from colvi_edge.export.converting.replacement import refuse_loss
from colvi_edge.export.converting.titles import TITLE, refuse_title
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.export.reading.questions import outputs_of, parse_normalisation
from colvi_edge.printable import printable_name

from .export_words import calibrated_on, say, what_helps, what_is_next

_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "int8": ("int8-trt", "int8-cpu"),
}


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
    force: bool = False,
    place: Path | None = None,
) -> int:
    """Export a model; see `colvi-edge export --help` for the arguments.

    `place` is where the bundle will stand in the end, where that is not the folder that it is made in.

    Returns:
        The exit code: 0, or that of a ParityError where a precision failed the gate.

    Raises:
        ColviEdgeError: an option, the model or the calibration images cannot be used.
    """
    console, steps = wide_console(), error_console()
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
    )
    if not force:  # better said before the calibration than after it
        refuse_loss(place, checkpoint, wanted, calibrated=calibration is not None)
    images = None
    if calibration is not None:
        with steps.status("Reading calibration images"):
            images = read_calibration(
                calibration,
                checkpoint.channels,
                checkpoint.normalisation,
                lambda text: steps.print(printable_name(text), markup=False, soft_wrap=True),
            )
    elif precisions is None:
        console.print("No INT8: it is calibrated on images; give projections with --calibration DIR.")
    expected = Expected(pixel_size_um=pixel_size_um or checkpoint.training.get("pixel_size_um"))
    with steps.status("Measuring images") as status:
        familiarity = _familiarity(
            checkpoint, calibration, lambda done, of: status.update(f"Measuring images: {done} of {of}")
        )
    settings = Settings(wanted, expected, _evaluation(checkpoint), familiarity)
    with steps.status("Exporting") as status:
        report = package(
            checkpoint,
            bundle,
            _description(model, checkpoint, name, images, wanted),
            settings,
            images,
            lambda step: status.update(f"Exporting: {step}"),
        )
    console.print(as_table(report.rows))
    again = _command(
        model,
        place,
        calibration=calibration,
        network=network,
        classes=classes,
        outputs=outputs_of(activation),
        normalisation=normalisation,
        channels=channels,
        pixel_size_um=pixel_size_um,
        name=name,
    )
    used, held_out = (len(images.calibrating.names), len(images.held_out.names)) if images else (0, 0)
    for said in (
        *as_sentences(report.rows),
        *report.left_out,
        *_measured_on(report, used, held_out),
        *([checkpoint.told] if checkpoint.told else []),
        _told(familiarity),
        *what_helps(report, used + held_out, place, again),
        f"{place}: {', '.join(dict.fromkeys(row.precision for row in report.rows))}",
        *what_is_next(place),
    ):
        say(console, said)
    return ParityError.exit_code if report.failed else 0


def _familiarity(
    checkpoint: Checkpoint, calibration: Path | None, progress: Callable[[int, int], None]
) -> Fitted | None:
    """Return what a checkpoint of ours tells of its images, else what those for the calibration tell."""
    if told := checkpoint.training.get("familiarity"):
        return Fitted.from_plain(told)
    return fit(read_samples(calibration, progress)) if calibration else None


def _measured_on(report: Report, used: int, held_out: int) -> Iterator[str]:
    if not held_out:
        yield "Measured on two simulated images; --calibration DIR measures on yours."
        return
    yield calibrated_on(used, held_out)
    if report.labels.told:
        yield report.labels.told


def _command(model: Path, place: Path, **options: object) -> list[str]:
    """Return the command that exports a model, with the options that are given."""
    words = ["colvi-edge", "export", str(model), "-o", str(place)]
    for name, value in options.items():
        if value is not None:
            text = ",".join(value) if isinstance(value, list | tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return words


def _told(fitted: Fitted | None) -> str:
    if fitted is None:
        return (
            "The bundle does not know what its training images were like, and will judge whatever looks like "
            f"nuclei: give {LIMITS_AT_LEAST} of them or more with --calibration DIR, better {LIMITS_ENOUGH}."
        )
    images, left_out = fitted.familiarity.images, fitted.familiarity.rejected_left_out
    were = "was" if left_out == 1 else "were"
    words = (
        f"An image that is unlike {images} training images will be rejected as unfamiliar. Tried on these "
        f"themselves, each by the limits that others set: {left_out} of {images} {were} rejected."
    )
    if images < LIMITS_ENOUGH:
        words += f" Of {LIMITS_ENOUGH} images or more these limits would be narrower."
    return words


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
    summary = (
        f"Judges {PATCH_PX} x {PATCH_PX} patches of fibroblast cultures as control or patient: the "
        f"{checkpoint.name} network, trained on {trained_on}."
    )
    if checkpoint.told:
        summary = f"{summary} {checkpoint.told}"
    said = [f"# {title}", summary]
    if images is not None and "int8-trt" in precisions:
        counts = len(images.calibrating.names), len(images.held_out.names)
        said.append(f"INT8: {calibrated_on(*counts)} {NEVER_ON_TENSORRT}")
    return Description(title, "1.0.0", summary, "\n\n".join([*said, f"{RESEARCH_USE_ONLY}\n"]))


def _zoo_name(stem: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_+() -]", "-", stem)[:128]
    return plain if TITLE.fullmatch(plain) else f"model {plain}"


def _evaluation(checkpoint: Checkpoint) -> Evaluation | None:
    """Return what a checkpoint of ours says of its test; None for any other network."""
    test = checkpoint.training.get("test")
    return test and Evaluation.model_validate(test)
