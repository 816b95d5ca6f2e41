"""The command that turns a trained network into a bundle."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from colvi_edge.choices import PrecisionChoice
from colvi_edge.cli.extras import needs_torch
from colvi_edge.cli.line import completion
from colvi_edge.cli.line.options import (
    activation_option,
    classes_option,
    consent,
    network_option,
    normalisation_option,
    option,
    outputs_option,
)
from colvi_edge.cli.line.readings import activation_of, words_of
from colvi_edge.cli.line.telling import QuietOption


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
            autocompletion=completion.lists("fp32", "fp16", "int8"),
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
            autocompletion=completion.lists("collagen", "nuclei", "empty"),
            help="The network's inputs; two are collagen,nuclei, three empty,collagen,nuclei; with --task "
            "any words.",
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
    task: Annotated[
        Literal["classify", "segment"] | None,
        option(
            "--task",
            of="export",
            help="What a network of others is asked: a class for each patch or image, or for each pixel. "
            "Without it patches are control or patient.",
        ),
    ] = None,
    rule: Annotated[
        Literal["majority", "threshold", "share", "largest"] | None,
        option(
            "--rule",
            of="export",
            help="How it decides, with --task. majority of patches, or largest output of a pixel: the usual "
            "ones; threshold: of the last class, on images or pixels; share: of the first, over a stack.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        option("--threshold", of="export", min=0, max=1, help="Of such a rule; 0.5 without it."),
    ] = None,
    resize: Annotated[
        str | None,
        option(
            "--resize",
            of="export",
            metavar="H,W",
            help="Rows and columns that whole images are brought to, with --task classify.",
        ),
    ] = None,
    window: Annotated[
        str | None,
        option(
            "--window",
            of="export",
            metavar="PX",
            help="Edge of the windows that a segmentation sees, or whole; of the patches with --task "
            "classify, 64 without it.",
        ),
    ] = None,
    halo: Annotated[
        int | None,
        option(
            "--halo",
            of="export",
            metavar="PX",
            min=0,
            max=2048,
            help="Rim of a window's answer that is thrown away. Without it as far as the network looks, "
            "which is measured: windows then answer as the whole image does.",
        ),
    ] = None,
    join: Annotated[
        Literal["crop", "blend"],
        option(
            "--join",
            of="export",
            help="blend: windows overlap and are averaged, for networks that look at the whole image.",
        ),
    ] = "crop",
    freeze_norm: Annotated[
        bool,
        option(
            "--freeze-norm",
            of="export",
            help="Make constants of InstanceNorm and GroupNorm, from the calibration images; then the halo "
            "has an end.",
        ),
    ] = False,
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
    quiet: QuietOption = False,
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
        "task": task,
        "rule": rule,
        "threshold": threshold,
        "resize": resize,
        "window": window,
        "halo": halo,
        "join": join,
        "freeze_norm": freeze_norm,
        "force": force,
        "quiet": quiet,
    }
    from colvi_edge.cli.confined import foreign

    if foreign.is_foreign(model):
        code = foreign.export(model, bundle, **options)
    else:
        with needs_torch("the export"):
            from colvi_edge.cli.show.export import show_export

        code = show_export(model, bundle, **options)
    if engine:
        show_build(str(bundle), PrecisionChoice.AUTO, quiet=quiet)
    raise typer.Exit(code)
