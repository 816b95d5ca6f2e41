"""The commands that make a model: train, evaluate, explain, export, build."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from colvi_edge.choices import BuiltEngine, EngineName, PrecisionChoice
from colvi_edge.cli.options import open_for, option, words_of
from colvi_edge.errors import EngineUnavailableError


def export(
    model: Annotated[Path, typer.Argument(help="Checkpoint, TorchScript, .pt2, state_dict or Keras .h5.")],
    bundle: Annotated[
        Path,
        option("--output", "-o", of="export", help="The bundle, a folder NAME.colvi/."),
    ],
    calibration: Annotated[
        Path | None,
        option(
            "--calibration",
            of="export",
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Projections, best 40 or more; sub-folders control/ and patient/ also check the classes. "
            "Without it there is no INT8.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        option("--network", of="export", help="paper or published, for bare weights."),
    ] = None,
    classes: Annotated[
        str | None,
        option("--classes", of="export", help="Order of the outputs: control,patient."),
    ] = None,
    activation: Annotated[
        str | None,
        option("--activation", of="export", help="softmax, sigmoid or none."),
    ] = None,
    precision: Annotated[
        str,
        option("--precision", of="export", help="Which precisions the bundle shall hold.", metavar="LIST"),
    ] = "fp32,fp16,int8",
    normalisation: Annotated[
        str | None,
        option(
            "--normalisation",
            of="export",
            help="patch, patch-channel, fixed:MEAN,..:STD,.. or scale:DIVISOR:DTYPE.",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        option(
            "--channels",
            of="export",
            help="The network's inputs; two are collagen,nuclei, three empty,collagen,nuclei.",
        ),
    ] = None,
    pixel_size_um: Annotated[
        float | None,
        option("--pixel-size-um", of="export", min=0.001, help="Of the training images."),
    ] = None,
    name: Annotated[
        str | None,
        option("--name", of="export", help="The bundle's name, which stands in every result."),
    ] = None,
    engine: Annotated[
        BuiltEngine | None,
        option("--engine", of="export", help="Also build its engine for this machine."),
    ] = None,
) -> None:
    """Turn a trained network into a bundle.

    FP32, FP16 and INT8, each measured against torch.

    A precision that does not decide as the trained network does is written with its faults, is
    never taken by itself, and makes the exit code 5.
    """
    if engine:  # that TensorRT is missing is better said before the work than after it
        import colvi_edge.engines.tensorrt  # noqa: F401
    try:
        from colvi_edge.export.command import export_model
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxruntime", "h5py"):
            raise
        raise EngineUnavailableError(
            f"{error.name} is not installed, which the export needs; run: pip install 'colvi-edge[export]'"
        ) from error

    code = export_model(
        model,
        bundle,
        calibration=calibration,
        network=network,
        classes=words_of(classes),
        activation=activation,
        precisions=words_of(precision) or [],
        normalisation=normalisation,
        channels=words_of(channels),
        pixel_size_um=pixel_size_um,
        name=name,
    )
    if engine:
        build(str(bundle))
    raise typer.Exit(code)


def build(
    bundle: Annotated[str, typer.Argument(help="A bundle, or 'demo'.")],
    precision: Annotated[
        PrecisionChoice, option("--precision", help="auto takes fp16.")
    ] = PrecisionChoice.AUTO,
) -> None:
    """Build a TensorRT engine for this machine.

    It is kept in the state directory and, where there is a GPU, tried on the bundle's own patches.
    """
    from colvi_edge.bundle import open_bundle
    from colvi_edge.engines.nvidia import find_gpu
    from colvi_edge.engines.precisions import precision_for
    from colvi_edge.engines.tensorrt import build_for_this_machine
    from colvi_edge.terminal import progress_share

    opened = open_bundle(bundle)
    with progress_share("Building") as tell:
        engine = build_for_this_machine(opened, precision_for(EngineName.TENSORRT, precision), tell)
    typer.echo(engine)
    if find_gpu():
        with closing(open_for(opened, EngineName.TENSORRT, precision)) as running:
            typer.echo(f"decides as the trained network does: {running.info.reason}")
