"""`colvi-edge train`: from labelled images to a checkpoint, and how good it is on unseen ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from colvi_edge.cli.show.results import error_console
from colvi_edge.diagnosis import CLASSES
from colvi_edge.errors import UsageError
from colvi_edge.export.baselines.methods import judge_baselines
from colvi_edge.export.baselines.texture import textures
from colvi_edge.export.converting.familiarity import fit
from colvi_edge.export.data.dataset import Entry, Image, read_dataset, read_images
from colvi_edge.export.data.division import FOLDS, Division, divide, given_division
from colvi_edge.export.data.patch_set import LAYOUT, PatchSet
from colvi_edge.export.evaluation.chance import against_chance
from colvi_edge.export.evaluation.figures import Judged, comparison_record, evaluate
from colvi_edge.export.evaluation.record import Division as Named
from colvi_edge.export.evaluation.record import Evaluation
from colvi_edge.export.reading.checkpoint import Checkpoint, save_checkpoint
from colvi_edge.export.training.folds import Projections, checkpoint_of, existing, gather, trained
from colvi_edge.export.training.loop import Settings, computes_bfloat16
from colvi_edge.export.training.prediction import predict_logits
from colvi_edge.outputs.folder import check_writable
from colvi_edge.printable import counted, printable_name
from colvi_edge.quality.fibroblast import PIXEL_SIZE_FACTOR
from colvi_edge.terminal.progress import progress

from .evaluate import Said, facts
from .publish import publish
from .train_told import Teller, division_told, next_step

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
    said, teller = Said(), Teller(error_console(), epochs, folds or 1)
    entries = read_dataset(dataset)
    _check_targets(output, folds, html)
    # What is too few by the list of files is so before hours of reading, which can only take some away.
    _divisions(entries, folds, seed)
    if not teller.console.is_terminal:
        teller.say(f"reading {counted(len(entries), 'file')}")
    with said.told_at_the_end(), progress("Reading", len(entries)) as advance:
        data = gather(read_images(entries, LAYOUT, channels, said.left_out, advance))
    if off := _pixel_sizes_off(data.images):
        said.note(off)
    described = facts(dataset, entries, data.images)
    kind = "synthetic images (colvi-edge simulate)" if described.is_simulated else "a laboratory's own images"
    names, groups = ([getattr(image, what) for image in data.images] for what in ("name", "group"))
    divisions = _divisions(data.images, folds, seed)
    methods: dict[str, list[Judged]] = {}
    measured = None
    if baselines:
        with teller.stage(f"measuring the textures of {len(data.patches.label):,} patches"):
            measured = textures(data.patches)
    for fold, division in enumerate(divisions, 1):
        path = checkpoint_of(output, fold)
        which = f"fold {fold} of {folds}: " if folds else ""
        for sentence in division_told(data.images, division):
            teller.say(which + sentence)
        if measured:
            learnt = measured.of([*division.training, *division.validation])
            with teller.stage(f"{which}judging textures by four methods", each_fold=True):
                for name, judged in judge_baselines(learnt, measured.of(division.test), seed):
                    methods.setdefault(name, []).append(judged)
        with teller.fold(fold, path) as watch:
            checkpoint = trained(path, data, division, settings, _learnt_from(data, division, kind), watch)
        judged = judge(checkpoint, data.patches.of(division.test))
        methods.setdefault(CNN, []).append(judged)
        tested = checkpoint.training | {"test": _tested(evaluate(judged, names, groups), kind)}
        if tested != checkpoint.training:
            save_checkpoint(path, replace(checkpoint, training=tested))

    record = comparison_record(
        methods, names, described, said.sentences, groups=groups, divisions=_named(divisions, names)
    )
    publish(record, as_json=as_json, html=html)
    cnn = record.methods[-1]
    doubtful = any(against_chance({CNN: (cnn.image, cnn.image.mean)}))
    is_there = "written" if doubtful else "ready"
    _say_what_is_there(teller, output, folds or 1, html, is_there, as_json=as_json)
    for sentence in next_step(output, epochs, doubtful=doubtful):
        teller.say(sentence)
    return said.exit_code


def judge(checkpoint: Checkpoint, patches: PatchSet) -> Judged:
    """Return what a network of ours says of patches, in float32."""
    logits = predict_logits(checkpoint.network, patches, checkpoint.normalisation)
    p = torch.softmax(logits / checkpoint.temperature, dim=1).numpy()
    return Judged(p[:, 0], p[:, 1], patches.label, patches.image)


def _divisions(images: Sequence[Image | Entry], folds: int | None, seed: int) -> list[Division]:
    label = [CLASSES.index(one.label) if isinstance(one, Entry) else one.label for one in images]
    group, split = ([getattr(image, what) for image in images] for what in ("group", "split"))
    if any(split):
        if folds:
            raise UsageError("the dataset gives the split, and --folds asks for others; take one away")
        return given_division(label, group, split, seed)
    return divide(label, group, seed, folds or FOLDS)[: folds or 1]


def _named(divisions: Sequence[Division], names: Sequence[str]) -> list[Named]:
    """Return the names of the images of each part of each fold, for the record."""
    return [
        Named(
            **{
                part: tuple(printable_name(names[k]) for k in numbers)
                for part, numbers in one._asdict().items()
            }
        )
        for one in divisions
    ]


def _say_what_is_there(
    teller: Teller, output: Path, folds: int, html: Path | None, is_there: str, *, as_json: bool
) -> None:
    """Say where the networks are, and where the names of each part stand."""
    where = f"the page {html}" if html else "the JSON" if as_json else "the page of --html and in --json"
    done = "already trained, tested again" if teller.was_trained else "trained and tested"
    for fold in range(1, folds + 1):
        teller.say(
            f"{checkpoint_of(output, fold)} is {is_there}" + (f": {done}, {teller.took}" if fold == 1 else "")
        )
    teller.say(f"Which image was for what stands in {where}.")


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
