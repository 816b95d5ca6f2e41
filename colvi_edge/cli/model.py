"""The commands about models: train, evaluate, explain, build."""

from pathlib import Path
from typing import Annotated, Any

import typer

from colvi_edge.choices import EngineName, PrecisionChoice, words_in
from colvi_edge.cli.extras import needs_torch
from colvi_edge.cli.line import completion
from colvi_edge.cli.line.options import (
    ChannelsOption,
    DatasetArgument,
    EngineOption,
    JsonOption,
    OutputDirOption,
    PrecisionOption,
    activation_option,
    classes_option,
    html_option,
    network_option,
    normalisation_option,
    option,
    outputs_option,
)
from colvi_edge.cli.line.readings import activation_of, place_of, roles_of, words_of
from colvi_edge.cli.line.telling import QuietOption
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
            help="Passes over the images at most; without it 7, and 20 of images with masks.",
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
            "simulated images. Without it 0.001, and 0.002 of images with masks.",
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
            metavar="CLASS,CLASS",
            help="Names of the classes in masks, the background first.",
        ),
    ] = None,
    channels: ChannelsOption = None,
    json: JsonOption = False,
    html: Annotated[Path | None, html_option("train")] = None,
    quiet: QuietOption = False,
) -> None:
    """Train a network on a lab's own images.

    The paper's network; or, on images with masks, a U-Net that outlines what these show. Images are divided
    by subject, never patches or windows. Ended in any way, the same command goes on.
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
            quiet=quiet,
        )
    )


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=completion.bundles,
            help="A bundle, 'demo', 'demo-nuclei', or a model file as export reads them.",
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
    quiet: QuietOption = False,
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
        "quiet": quiet,
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
    quiet: QuietOption = False,
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
        foreign.explain(image, model, quiet=quiet, **options)
        return
    with needs_torch("explaining"):
        from colvi_edge.export.explanation.explain import explain as draw

    def tell(words: str) -> None:
        if not quiet:
            typer.echo(printable_name(words))

    draw(image, model, **options, progress=tell)


def build(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE",
            autocompletion=completion.bundles,
            help="A bundle, 'demo' or 'demo-nuclei'.",
        ),
    ],
    precision: Annotated[
        PrecisionChoice,
        option(
            "--precision",
            help=f"{words_in(PrecisionChoice)}; auto takes fp16, int8 is the bundle's int8-trt.",
        ),
    ] = PrecisionChoice.AUTO,
    quiet: QuietOption = False,
) -> None:
    """Build a TensorRT engine for this machine.

    It is kept in the state directory and, where there is a GPU, tried on the bundle's own patches.
    """
    from colvi_edge.cli.show.build import show_build

    show_build(bundle, precision, quiet=quiet)
