"""`colvi-edge explain`: why a network votes as it does, as pictures beside the raw image.

    X.tif.colvi.saliency.png       which pixels of the whole projection the votes hang on
    X.tif.colvi.patch-RR-CC.png    what each convolution makes of one patch

After Figures 10 and 11 of Bazaga et al. 2019 (arXiv 1901.11074). Gradients need the trained network
itself: a bundle has none.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, acquire
from colvi_edge.bundle import DEMOS
from colvi_edge.errors import PixelTypeError, UsageError
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.export.reading.checkpoint import CONTROL_OR_PATIENT, Checkpoint
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.export.reading.questions import asked_without_channels, parse_normalisation
from colvi_edge.outputs.names import explanation_name, image_label
from colvi_edge.patches import Normalisation, grid_shape, network_input, project
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.system.atomic import write_atomically
from colvi_edge.tasks.classify import CLASSES, Diagnosis, diagnose

from .pictures import Explained, draw_patch, draw_saliency, encode
from .saliency import MARGIN, find_saliency, find_stages


def explain(
    image: Path,
    model: Path,
    *,
    patch: tuple[int, int] | None = None,
    channels: Sequence[str] | None = None,
    output_dir: Path | None = None,
    network: str | None = None,
    classes: Sequence[str] | None = None,
    activation: str | None = None,
    normalisation: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write two pictures for each image; return where they are.

    No quality rule is asked: an image that `run` would reject is explained as any other.

    Args:
        image: a raw file, or a folder that holds some.
        model: a checkpoint of ours, or another file that `read_model` reads.
        patch: row and column, from 0, of the patch whose layers are shown; None for the one that votes
            most clearly for the image's diagnosis.
        channels: role of each channel of the raw file, where it does not say it itself.
        output_dir: gets the pictures; None leaves them beside the raw file.
        network: as for `read_model`, for files that do not tell it.
        classes: the same.
        activation: the same.
        normalisation: the same, in the words of the option.
        progress: called with the path of each picture when it is there.

    Raises:
        UsageError: the model is a bundle, lacks an option or is asked something else than control or patient
            in patches; the patch is not in the image.
        ModelError: the model cannot be read, or has no gradient.
        AcquisitionError: the image cannot be read, or the network was not made for its kind.
        OutputError: a picture cannot be written.
    """
    checkpoint = _read(model, network, classes, activation, parse_normalisation(normalisation))
    written = []
    for file in find_inputs([image], output_dir):
        for acquisition in acquire(file.raw, channels=channels):
            explained = _explained(acquisition, checkpoint, model.name, patch)
            stages = find_stages(checkpoint, explained.patches[explained.chosen_index])
            row, col = explained.chosen
            pictures = {
                "saliency": draw_saliency(explained),
                f"patch-{row:02}-{col:02}": draw_patch(explained, stages),
            }
            with file.results() as folder_fd:
                for subject, picture in pictures.items():
                    name = explanation_name(file.name, subject, acquisition.image_key)
                    write_atomically(folder_fd, name, encode(picture))
                    written.append(file.folder / name)
                    progress(str(written[-1]))
    return written


def _read(
    model: Path,
    network: str | None,
    classes: Sequence[str] | None,
    activation: str | None,
    normalisation: Normalisation | None,
) -> Checkpoint:
    if model.is_dir() or str(model) in DEMOS:
        raise UsageError(
            f"{model} is a bundle, or another folder, and has no gradients to explain; name the model file "
            "that it was exported from, such as model.pt"
        )
    with asked_without_channels(model):
        checkpoint = read_model(
            model, network=network, classes=classes, activation=activation, normalisation=normalisation
        )
    if checkpoint.task != CONTROL_OR_PATIENT:
        raise UsageError(
            f"{model} tells {', '.join(checkpoint.task.classes)} apart, and only votes of patches for "
            f"{' or '.join(CLASSES)} are explained; name a model that was trained for these"
        )
    return checkpoint


def _explained(
    acquisition: Acquisition, checkpoint: Checkpoint, model: str, patch: tuple[int, int] | None
) -> Explained:
    acquisition.check_holds_patch(PATCH_PX)
    planes = acquisition.laid_out(checkpoint.channels)
    normalisation = checkpoint.normalisation
    if why := checkpoint.unfit(planes.dtype):
        raise PixelTypeError(f"{acquisition.name}: {why}")
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], PATCH_PX)
    if patch is not None and not (0 <= patch[0] < rows and 0 <= patch[1] < cols):
        raise UsageError(
            f"--patch {patch[0]},{patch[1]} is not in {acquisition.name}, which has rows 0 to {rows - 1} and "
            f"columns 0 to {cols - 1}; name one of them as ROW,COL"
        )
    patches = network_input(planes, PATCH_PX, normalisation)
    saliency = find_saliency(checkpoint, patches)
    diagnosis = diagnose(saliency.probabilities.reshape(rows, cols, 2))
    if patch is None:
        chosen = _clearest(diagnosis, saliency.margin)
        votes = "votes" if diagnosis.name == "unsure" else f"votes {diagnosis.name}"
        reason = f"{votes} more clearly than any other"
    else:
        chosen, reason = patch, "was named by --patch"
    return Explained(
        label=image_label(acquisition.name, acquisition.image_key),
        model=model,
        trained_on=checkpoint.training.get("data", ""),
        channels=checkpoint.channels,
        projection=project(planes),
        patches=patches,
        saliency=saliency,
        diagnosis=diagnosis,
        margin=MARGIN[checkpoint.activation],
        unit=_unit(normalisation),
        chosen=chosen,
        reason=reason,
    )


def _clearest(diagnosis: Diagnosis, margin: NDArray[np.float32]) -> tuple[int, int]:
    """Return row and column of the patch that votes most clearly for the diagnosis."""
    clearness = {"control": margin, "patient": -margin, "unsure": np.abs(margin)}[diagnosis.name]
    row, col = np.unravel_index(np.argmax(clearness), diagnosis.vote.shape)
    return int(row), int(col)


def _unit(normalisation: Normalisation) -> str:
    """Return what 1 is in the network's input."""
    return {
        "patch": "standard deviation of its patch",
        "patch-channel": "standard deviation of its channel in the patch",
        "fixed": "standard deviation of its channel in the training images",
        "scale": f"unit of {normalisation.divisor:g} counts",
    }[normalisation.kind]
