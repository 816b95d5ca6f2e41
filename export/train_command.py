"""`colvi-edge train`: from labelled images to a checkpoint, and how good it is on unseen ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from colvi_edge.errors import UsageError
from colvi_edge.outputs.folder import check_writable
from colvi_edge.printable import printable_name
from colvi_edge.quality import PIXEL_SIZE_FACTOR
from colvi_edge.terminal import error_console, progress

from .baselines import judge_baselines
from .checkpoint import Checkpoint, save_checkpoint
from .dataset import Image, read_dataset, read_images
from .division import FOLDS, Division, divide, given_division
from .evaluate_command import Said, facts
from .evaluation import Judged, comparison_record, evaluate
from .evaluation.publish import publish
from .evaluation.record import Evaluation
from .familiarity import fit
from .folds import Projections, checkpoint_of, existing, gather, trained
from .patch_set import LAYOUT, PatchSet
from .prediction import predict_logits
from .texture import textures
from .training import Epoch, Settings, Step, computes_bfloat16

CNN = "CNN"


def train_model(
    dataset: Path,
    output: Path,
    *,
    folds: int | None,
    baselines: bool,
    seed: int,
    epochs: int,
    learning_rate: float,
    channels: Sequence[str] | None,
    as_json: bool,
    html: Path | None,
) -> int:
    """Train and test; see `colvi-edge train --help` for the arguments.

    Returns:
        The exit code: 1 where a file could not be read, else 0.

    Raises:
        ColviEdgeError: the dataset cannot be used, or the checkpoint cannot be written.
    """
    settings = Settings(learning_rate=learning_rate, epochs=epochs, seed=seed, bfloat16=computes_bfloat16())
    steps, said = error_console(), Said()
    entries = read_dataset(dataset)
    _check_targets(output, folds, html)
    with progress("Reading", len(entries)) as advance:
        data = gather(read_images(entries, LAYOUT, channels, said.left_out, advance))
    if off := _pixel_sizes_off(data.images):
        said.note(off)
    described = facts(dataset, entries, data.images)
    kind = "synthetic images (colvi-edge simulate)" if described.is_simulated else "a laboratory's own images"
    names = [image.name for image in data.images]
    divisions = _divisions(data.images, folds, seed)
    methods: dict[str, list[Evaluation]] = {}
    measured = None
    if baselines:
        with steps.status("Measuring textures"):
            measured = textures(data.patches)
    for fold, division in enumerate(divisions, 1):
        path = checkpoint_of(output, fold)
        test = data.patches.of(division.test)
        if measured:
            learnt = measured.of([*division.training, *division.validation])
            with steps.status(f"Baselines of fold {fold}"):
                for name, judged in judge_baselines(learnt, measured.of(division.test), seed):
                    methods.setdefault(name, []).append(evaluate(judged, names))
        with _watched(steps, settings.epochs, f"fold {fold} of {len(divisions)}, " if folds else "") as watch:
            learnt_from = _learnt_from(data, division, kind)
            checkpoint = trained(path, data, division, settings, learnt_from, watch)
        evaluation = evaluate(judge(checkpoint, test), names)
        methods.setdefault(CNN, []).append(evaluation)
        tested = checkpoint.training | {"test": _tested(evaluation, kind)}
        if tested != checkpoint.training:
            save_checkpoint(path, replace(checkpoint, training=tested))

    record = comparison_record(methods, described, said.sentences)
    publish(record, as_json=as_json, html=html)
    for fold, division in enumerate(divisions, 1):
        counts = ", ".join(f"{len(part)} images of {name}" for name, part in division._asdict().items())
        steps.print(printable_name(f"{checkpoint_of(output, fold)}: {counts}"), markup=False, soft_wrap=True)
    return said.exit_code


def judge(checkpoint: Checkpoint, patches: PatchSet) -> Judged:
    """Return what a network of ours says of patches, in float32."""
    logits = predict_logits(checkpoint.network, patches, checkpoint.normalisation)
    p = torch.softmax(logits / checkpoint.temperature, dim=1).numpy()
    return Judged(p[:, 0], p[:, 1], patches.label, patches.image)


def _divisions(images: Sequence[Image], folds: int | None, seed: int) -> list[Division]:
    label, group, split = ([getattr(image, what) for image in images] for what in ("label", "group", "split"))
    if any(split):
        if folds:
            raise UsageError("the dataset gives the split, and --folds asks for others; take one away")
        return given_division(label, group, split, seed)
    return divide(label, group, seed, folds or FOLDS)[: folds or 1]


@contextmanager
def _watched(console: Console, epochs: int, fold: str) -> Iterator[Callable[[Step | Epoch], None]]:
    """Show steps as a bar and epochs as lines."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"Training, {fold}epoch 1 of {epochs}", total=epochs)

        def watch(told: Step | Epoch) -> None:
            if isinstance(told, Step):
                words = f"Training, {fold}epoch {told.epoch} of {epochs}: loss {told.loss:.3f}, "
                words += f"accuracy {told.accuracy:.1%}"
                bar.update(task, description=words, completed=told.epoch - 1 + told.share)
            else:
                console.print(
                    f"{fold}epoch {told.number} of {epochs}: loss {told.training_loss:.3f}, accuracy "
                    f"{told.training_accuracy:.1%}; validation loss {told.validation_loss:.3f}, accuracy "
                    f"{told.validation_accuracy:.1%}",
                    soft_wrap=True,
                )

        try:
            yield watch
        except KeyboardInterrupt:
            console.print("Interrupted; the same command goes on after the last epoch that is done.")
            raise


def _check_targets(output: Path, folds: int | None, html: Path | None) -> None:
    """Refuse before hours of work what could not be written after them."""
    for path in (output, *([html] if html else [])):
        check_writable(path)
    for fold in range(1, (folds or 1) + 1):
        if checkpoint_of(output, fold).exists():
            existing(checkpoint_of(output, fold))


def _pixel_sizes_off(images: Sequence[Image]) -> str | None:
    """Return what is wrong if the images were not all taken at one magnification."""
    sizes = [image.pixel_size_um for image in images if image.pixel_size_um]
    if not sizes or max(sizes) <= PIXEL_SIZE_FACTOR * min(sizes):
        return None
    return (
        f"Pixel sizes run from {min(sizes):g} to {max(sizes):g} um: a network judges one magnification; take "
        "images of one"
    )


def _learnt_from(data: Projections, division: Division, kind: str) -> dict[str, Any]:
    """Return what a checkpoint tells of its data: pictures by their hash and measures, nothing by name."""
    seen = [*division.training, *division.validation]
    sizes = sorted(round(size, 4) for k in seen if (size := data.images[k].pixel_size_um))
    fitted = fit([measured for k in seen if (measured := data.samples[k])])
    return {
        "data": kind,
        "split": {part: len(numbers) for part, numbers in division._asdict().items()},
        "seen": sorted(data.images[k].digest for k in seen),
        "pixel_size_um": sizes[len(sizes) // 2] if sizes else None,
        "familiarity": fitted and fitted.as_plain(),
    }


def _tested(evaluation: Evaluation, data: str) -> dict[str, Any]:
    """Return what a checkpoint, and its bundle, tell of its test."""
    patch = evaluation.patch
    return {
        "dataset": data,
        "images": len(evaluation.images),
        "image_accuracy": evaluation.image.accuracy,
        "patch_accuracy": patch.accuracy,
        "confusion": [[patch.tn, patch.fp], [patch.fn, patch.tp]],
        "expected_calibration_error": evaluation.calibration_error,
    }
