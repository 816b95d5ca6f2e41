"""The commands that make a model: train, evaluate, explain, export, build."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli.extras import needs_torch
from colvi_edge.cli.line.options import (
    ChannelsOption,
    DatasetArgument,
    EngineOption,
    JsonOption,
    OutputDirOption,
    PrecisionOption,
    activation_of,
    activation_option,
    classes_option,
    consent,
    html_option,
    network_option,
    normalisation_option,
    option,
    outputs_option,
    place_of,
    roles_of,
    words_of,
)
from colvi_edge.printable import printable_name


def train(
    dataset: DatasetArgument,
    output: Annotated[
        Path, option("--output", "-o", of="train", dir_okay=False, help="The checkpoint, such as model.pt.")
    ],
    folds: Annotated[
        int | None,
        option(
            "--folds",
            of="train",
            min=3,
            help="Cross-validate: so many networks, each tested on another part. Without it one, tested on a "
            "fifth.",
        ),
    ] = None,
    baselines: Annotated[
        bool,
        option(
            "--baselines",
            of="train",
            help="Also judge by texture, as the paper did: LBP and FOS+GLCM with random forest and SVM.",
        ),
    ] = False,
    seed: Annotated[
        int, option("--seed", of="train", min=0, help="Same seed, data and machine, same network.")
    ] = 0,
    epochs: Annotated[
        int | None,
        option(
            "--epochs",
            of="train",
            min=1,
            help="Passes over the images at most.  [default: 7; of images with masks 20]",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        option(
            "--learning-rate",
            of="train",
            min=1e-6,
            max=1,
            help="Of Adam, in the first epoch. The paper's is 0.01, with which nothing was learnt on 40 "
            "simulated images.  [default: 0.001; of images with masks 0.002]",
        ),
    ] = None,
    roles: Annotated[
        str | None,
        option(
            "--input",
            of="train",
            metavar="ROLE,ROLE",
            help="Channels that the network sees, of images with masks, such as nuclei; without it both.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        option(
            "--classes",
            of="train",
            metavar="NAME,NAME",
            help="Names of the classes in masks, the background first.",
        ),
    ] = None,
    channels: ChannelsOption = None,
    json: JsonOption = False,
    html: Annotated[Path | None, html_option("train")] = None,
) -> None:
    """Train the paper's network on a lab's own images, or a U-Net on images with masks.

    Images are divided by subject, never patches. Ended in any way, the same command goes on.
    """
    with needs_torch("training"):
        from colvi_edge.cli.show.training import show_training

    raise typer.Exit(
        show_training(
            dataset,
            output,
            folds=folds,
            baselines=baselines,
            seed=seed,
            epochs=epochs,
            learning_rate=learning_rate,
            channels=roles_of(channels),
            roles=words_of(roles),
            classes=words_of(classes),
            as_json=json,
            html=html,
        )
    )


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundle, 'demo', 'demo-nuclei', or a model file as export reads them."
        ),
    ],
    dataset: DatasetArgument,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    channels: ChannelsOption = None,
    network: Annotated[str | None, network_option("evaluate")] = None,
    classes: Annotated[str | None, classes_option("evaluate")] = None,
    outputs: Annotated[str | None, outputs_option("evaluate")] = None,
    activation: Annotated[str | None, activation_option("evaluate")] = None,
    normalisation: Annotated[str | None, normalisation_option("evaluate")] = None,
    json: JsonOption = False,
    html: Annotated[Path | None, html_option("evaluate")] = None,
) -> None:
    """Tell how good a model is on labelled images.

    Confusion, accuracy, sensitivity, specificity, AUC and calibration, of patches and of images. Images
    that the model has learnt from are left out.
    """
    options: dict[str, Any] = {
        "engine": engine,
        "precision": precision,
        "channels": roles_of(channels),
        "as_json": json,
        "html": html,
        "network": network,
        "classes": words_of(classes),
        "activation": activation_of(outputs, activation),
        "normalisation": normalisation,
    }
    from colvi_edge.cli.confined import foreign

    if foreign.is_foreign(Path(model)):
        raise typer.Exit(foreign.evaluate(model, dataset, **options))
    with needs_torch("evaluating a model file"):
        from colvi_edge.cli.show.evaluation import show_evaluation

        code = show_evaluation(model, dataset, **options)
    raise typer.Exit(code)


def explain(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A raw file.", dir_okay=False, exists=True)],
    model: Annotated[
        Path,
        option(
            "--model",
            of="explain",
            metavar="FILE",
            help="A model file as export reads them; a bundle cannot be explained.",
        ),
    ],
    patch: Annotated[
        str | None,
        option(
            "--patch",
            of="explain",
            metavar="ROW,COL",
            help="Whose layers are shown, counted from 0; without it the one that votes most clearly for the "
            "diagnosis.",
        ),
    ] = None,
    channels: ChannelsOption = None,
    output_dir: OutputDirOption = None,
    network: Annotated[str | None, network_option("explain")] = None,
    classes: Annotated[str | None, classes_option("explain")] = None,
    outputs: Annotated[str | None, outputs_option("explain")] = None,
    activation: Annotated[str | None, activation_option("explain")] = None,
    normalisation: Annotated[str | None, normalisation_option("explain")] = None,
) -> None:
    """Draw why a network votes as it does.

    Saliency of the whole projection, and what each layer makes of one patch, as PNGs beside the image.
    """
    options: dict[str, Any] = {
        "patch": place_of(patch),
        "channels": roles_of(channels),
        "output_dir": output_dir,
        "network": network,
        "classes": words_of(classes),
        "activation": activation_of(outputs, activation),
        "normalisation": normalisation,
    }
    from colvi_edge.cli.confined import foreign

    if foreign.is_foreign(model):
        foreign.explain(image, model, **options)
        return
    with needs_torch("explaining"):
        from colvi_edge.export.explanation.explain import explain as draw

    draw(image, model, **options, progress=lambda words: typer.echo(printable_name(words)))


def export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A checkpoint of train, ONNX (also from Keras), TorchScript, .pt2, a state_dict, or the "
            "published code's Keras weights (.h5).",
        ),
    ],
    bundle: Annotated[
        Path,
        option("--output", "-o", of="export", metavar="BUNDLE", help="The bundle, a folder NAME.colvi/."),
    ],
    calibration: Annotated[
        Path | None,
        option(
            "--calibration",
            of="export",
            exists=True,
            file_okay=False,
            help="Projections, best 40 or more; sub-folders control/ and patient/ also check the classes. "
            "Without it there is no INT8.",
        ),
    ] = None,
    network: Annotated[str | None, network_option("export")] = None,
    classes: Annotated[str | None, classes_option("export")] = None,
    outputs: Annotated[str | None, outputs_option("export")] = None,
    activation: Annotated[str | None, activation_option("export")] = None,
    precision: Annotated[
        str | None,
        option(
            "--precision",
            of="export",
            metavar="LIST",
            help="Which precisions the bundle shall hold: fp32,fp16,int8, of which int8 makes two, int8-cpu "
            "and int8-trt. Without it all that can be made.",
        ),
    ] = None,
    normalisation: Annotated[str | None, normalisation_option("export")] = None,
    channels: Annotated[
        str | None,
        option(
            "--channels",
            of="export",
            metavar="ROLE,ROLE",
            help="The network's inputs; two are collagen,nuclei, three empty,collagen,nuclei.",
        ),
    ] = None,
    pixel_size_um: Annotated[
        float | None,
        option(
            "--pixel-size-um",
            of="export",
            metavar="UM",
            min=0.001,
            max=1000,
            help="Edge of a pixel of the training images, micrometres.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        option(
            "--name", of="export", metavar="NAME", help="The bundle's name, which stands in every result."
        ),
    ] = None,
    force: Annotated[
        bool,
        consent(
            "--force",
            help="Replace the bundle of another model, or one whose INT8 gets lost; never another folder.",
        ),
    ] = False,
    engine: Annotated[
        Literal["tensorrt"] | None,
        option("--engine", of="export", help="tensorrt: also build the engine for this machine."),
    ] = None,
) -> None:
    """Turn a trained network into a bundle.

    FP32, FP16 and INT8, each measured against torch.

    A precision that does not decide as the trained network does is written with its faults, is
    never taken by itself, and makes the exit code 5.
    """
    from colvi_edge.export.converting.titles import refuse_title

    refuse_title(name)
    if engine:  # that TensorRT is missing is better said before the work than after it
        from colvi_edge.cli.show.build import show_build
    options: dict[str, Any] = {
        "calibration": calibration,
        "network": network,
        "classes": words_of(classes),
        "activation": activation_of(outputs, activation),
        "precisions": None if precision is None else words_of(precision) or [],
        "normalisation": normalisation,
        "channels": words_of(channels),
        "pixel_size_um": pixel_size_um,
        "name": name,
        "force": force,
    }
    from colvi_edge.cli.confined import foreign

    if foreign.is_foreign(model):
        code = foreign.export(model, bundle, **options)
    else:
        with needs_torch("the export"):
            from colvi_edge.cli.show.export import show_export

        code = show_export(model, bundle, **options)
    if engine:
        show_build(str(bundle), PrecisionChoice.AUTO)
    raise typer.Exit(code)


def build(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, 'demo' or 'demo-nuclei'.")],
    precision: Annotated[
        PrecisionChoice,
        option(
            "--precision",
            help="auto, fp32, fp16 or int8; auto takes fp16, int8 is the bundle's int8-trt.",
        ),
    ] = PrecisionChoice.AUTO,
) -> None:
    """Build a TensorRT engine for this machine.

    It is kept in the state directory and, where there is a GPU, tried on the bundle's own patches.
    """
    from colvi_edge.cli.show.build import show_build

    show_build(bundle, precision)
