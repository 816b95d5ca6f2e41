"""`colvi-edge train`: from labelled images to a checkpoint, and how good it is on unseen ones."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from colvi_edge import RESEARCH_USE_ONLY
from colvi_edge.errors import UsageError
from colvi_edge.outputs.folder import write_file
from colvi_edge.terminal import progress, wide_console

from .baselines import judge_baselines
from .checkpoint import Checkpoint, save_checkpoint
from .dataset import Image, read_dataset, read_images
from .division import FOLDS, Division, divide, given_division
from .evaluate_command import facts
from .evaluation import Judged, comparison_record, evaluate
from .evaluation.comparison_page import render
from .evaluation.record import Evaluation, to_json
from .evaluation.table import as_table
from .folds import checkpoint_of, gather, trained
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
    steps = Console(stderr=True)
    left_out: list[str] = []
    entries = read_dataset(dataset)
    with progress("Reading", len(entries)) as advance:
        data = gather(read_images(entries, LAYOUT, channels, left_out.append, advance))
    for sentence in left_out:
        steps.print(sentence, markup=False, soft_wrap=True)
    described = facts(dataset, entries)
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
            checkpoint = trained(path, data, division, settings, watch)
        evaluation = evaluate(judge(checkpoint, test), names)
        methods.setdefault(CNN, []).append(evaluation)
        told = _told(checkpoint, data.images, division, evaluation, described.is_simulated)
        if told != checkpoint.training:
            save_checkpoint(path, replace(checkpoint, training=told))

    record = comparison_record(methods, described, left_out)
    if html:
        write_file(html, render(record).encode())
    if as_json:
        sys.stdout.write(to_json(record).decode() + "\n")
    else:
        wide_console().print(as_table(record))
        wide_console().print(RESEARCH_USE_ONLY, style="dim")
        for fold, division in enumerate(divisions, 1):
            counts = ", ".join(f"{len(part)} images of {name}" for name, part in division._asdict().items())
            steps.print(f"{checkpoint_of(output, fold)}: {counts}", markup=False, soft_wrap=True)
    return int(bool(left_out))


def judge(checkpoint: Checkpoint, patches: PatchSet) -> Judged:
    """Return what a network of ours says of patches, in float32."""
    logits = predict_logits(checkpoint.network, patches, checkpoint.normalisation)
    p = torch.softmax(logits / checkpoint.temperature, dim=1).numpy()
    return Judged(p[:, 0], p[:, 1], patches.label, patches.image)


def _divisions(images: Sequence[Image], folds: int | None, seed: int) -> list[Division]:
    label, group, split = ([getattr(image, what) for image in images] for what in ("label", "group", "split"))
    if any(split):
        if folds:
            raise UsageError(
                "the table gives the split, and --folds asks for others; leave the option or the column out"
            )
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
                    highlight=False,
                    soft_wrap=True,
                )

        try:
            yield watch
        except KeyboardInterrupt:
            console.print("Interrupted; the same command goes on after the last epoch that is done.")
            raise


def _told(
    checkpoint: Checkpoint,
    images: Sequence[Image],
    division: Division,
    evaluation: Evaluation,
    is_simulated: bool,
) -> dict[str, Any]:
    """Return what a checkpoint tells of its data and its test: pictures by their hash, nothing by name."""
    seen = [images[k] for k in (*division.training, *division.validation)]
    sizes = sorted(round(image.pixel_size_um, 4) for image in seen if image.pixel_size_um)
    data = "synthetic images (colvi-edge simulate)" if is_simulated else "a laboratory's own images"
    patch = evaluation.patch
    return checkpoint.training | {
        "data": data,
        "split": {part: len(numbers) for part, numbers in division._asdict().items()},
        "seen": sorted(image.digest for image in seen),
        "pixel_size_um": sizes[len(sizes) // 2] if sizes else None,
        "test": {
            "dataset": data,
            "images": len(division.test),
            "image_accuracy": evaluation.image.accuracy,
            "patch_accuracy": patch.accuracy,
            "confusion": [[patch.tn, patch.fp], [patch.fn, patch.tp]],
            "expected_calibration_error": evaluation.calibration_error,
        },
    }
