"""Options that several commands share; `readings` is how their words are read."""

from pathlib import Path
from typing import Annotated, Any

import typer

from colvi_edge.choices import EngineName, Outputs, OverlayChoice, PrecisionChoice, words_in
from colvi_edge.cli.line import completion
from colvi_edge.cli.line.readings import refuse_place
from colvi_edge.cli.line.variables import whole_bundles


def option(*names: str, of: str = "", **settings: Any) -> Any:
    """Return an option that a variable can set as well: COLVI_EDGE_CHANNELS for --channels.

    What means another thing in one command has its own variable there: the export's channels are
    the network's, not a file's.
    """
    words = ["COLVI_EDGE", of, names[0].removeprefix("--")]
    variable = "_".join(word for word in words if word).upper().replace("-", "_")
    return typer.Option(*names, envvar=variable, **{"metavar": _put_in(names[0], settings), **settings})


def consent(*names: str, help: str) -> Any:  # as typer calls it
    """Return an option that agrees to a loss; it has no variable, as that may be a forgotten one."""
    return typer.Option(*names, help=help)


def _put_in(name: str, settings: dict[str, Any]) -> str:
    """Return what the help calls that which is put in: FILE, FOLDER, NUMBER, or as the option is called."""
    if not settings.get("dir_okay", True):
        return "FILE"
    if not settings.get("file_okay", True):
        return "FOLDER"
    return "NUMBER" if "min" in settings else name.removeprefix("--").upper()


def html_option(command: str) -> Any:
    """Return --html of a command that evaluates."""
    return option(
        "--html", of=command, dir_okay=False, callback=_is_for_page, help="Also write a page with plots."
    )


def _is_for_page(html: Path | None) -> Path | None:
    from colvi_edge.outputs.named import Named

    refuse_place("--html", Named.PAGE, html)
    return html


def network_option(command: str) -> Any:
    """Return --network of a command that reads a model file."""
    return option(
        "--network",
        of=command,
        metavar="NAME",
        autocompletion=completion.words("paper", "published"),
        help="paper or published: whose weights a state_dict holds.",
    )


def classes_option(command: str) -> Any:
    """Return --classes of a command that reads a model file."""
    return option(
        "--classes",
        of=command,
        metavar="CLASS,CLASS",
        autocompletion=completion.lists("control", "patient"),
        help="Which class each output is: control,patient or patient,control"
        + ("; others with --task, of a segmentation the background first." if command == "export" else "."),
    )


def outputs_option(command: str) -> Any:
    """Return --outputs of a command that reads a model file."""
    words = "; ".join(f"{outputs.value}: {outputs.words}" for outputs in Outputs)
    return option(
        "--outputs",
        of=command,
        metavar="KIND",
        autocompletion=completion.words(*(outputs.value for outputs in Outputs)),
        help=f"What the outputs are. {words}.",
    )


def activation_option(command: str) -> Any:
    """Return --activation of a command that reads a model file."""
    return option(
        "--activation",
        of=command,
        metavar="KIND",
        help="The old name of --outputs: none, softmax or sigmoid.",
    )


def normalisation_option(command: str) -> Any:
    """Return --normalisation of a command that reads a model file."""
    return option(
        "--normalisation",
        of=command,
        metavar="HOW",
        autocompletion=completion.words("patch", "patch-channel", "image", "image-range"),
        help="How patches were made the network's input: patch (zero mean, unit variance; the default), "
        "patch-channel, fixed:MEAN,..:STD,.. or scale:DIVISOR:DTYPE; of whole images image or image-range.",
    )


FolderArgument = Annotated[
    Path, typer.Argument(help="The folder that the microscope saves into.", file_okay=False)
]
BundleOption = Annotated[
    str,
    option(
        "--bundle",
        metavar="PATH|demo",
        autocompletion=completion.bundles,
        help="A bundle (the folder NAME.colvi/ that export made of a model), or 'demo', the shipped "
        "synthetic demo model. 'demo-nuclei' outlines nuclei.",
    ),
]
BundlesOption = Annotated[
    list[Path],  # which a variable gives as PATH is given: separated by colons
    option(
        "--bundle",
        path_type=str,  # ./demo is no word
        callback=whole_bundles,
        metavar="PATH|demo",
        autocompletion=completion.bundles,
        help="A bundle (the folder NAME.colvi/ that export made of a model), or 'demo', the shipped "
        "synthetic demo model. 'demo-nuclei' outlines nuclei. May be given several times: each judges every "
        "image; the first leaves X.colvi.json and so on, a further one X.NAME.colvi.json. In the variable "
        "':' stands between them.",
    ),
]
EngineOption = Annotated[
    EngineName,
    option(
        "--engine",
        help=f"What runs the network: {words_in(EngineName)}; auto says which and why.",
    ),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    option(
        "--precision",
        help=f"{words_in(PrecisionChoice)}; auto is int8 where it decides as fp32 does here, else fp32.",
    ),
]
ChannelsOption = Annotated[
    str | None,
    option(
        "--channels",
        metavar="ROLE,ROLE",
        autocompletion=completion.lists("nuclei", "collagen", "other"),
        help="Role of each channel of the files: collagen, nuclei, or other. Without it the file is asked; "
        "two channels without names are nuclei,collagen.",
    ),
]
PixelSizeOption = Annotated[
    float | None,
    option(
        "--pixel-size-um",
        metavar="UM",
        min=0.001,
        max=1000,
        help="Edge of a pixel in micrometres, where the files do not say it; where one says another, this "
        "counts, and the result tells both.",
    ),
]
OutputDirOption = Annotated[
    Path | None,
    option(
        "--output-dir",
        file_okay=False,
        help="Put the results here, folders mirrored, instead of beside the raw files.",
    ),
]
OverlayOption = Annotated[
    OverlayChoice,
    option(
        "--overlay",
        help="png, or ome-tiff, which also writes the overlay as data: raw channels, frames as ROIs.",
    ),
]
SampleOption = Annotated[
    str | None,
    option(
        "--sample",
        metavar="PATTERN",
        help=r"Regular expression that finds sample and date in names, such as "
        r"'(?P<sample>[^_]+)_(?P<date>\d{8})'; without it the sample is what stands before 2026-11-20 or "
        r"20261120.",
    ),
]
LimitOption = Annotated[
    list[str] | None,
    option(
        "--limit",
        metavar="NAME=NUMBER",
        help="Let a raw file ask for more, or less: file_bytes, pixels, decoded_bytes, expansion, pages, "
        "container_bytes or images. May be given several times.",
    ),
]
StaleOption = Annotated[
    bool,
    option(
        "--stale",
        help="Leave what this model judged, also to go on after Ctrl-C; judge what another one judged, what "
        "failed and what is new.",
    ),
]
AgainOption = Annotated[
    bool,
    option("--again", help="Judge everything anew, whichever model judged it."),
]
DryRunOption = Annotated[
    bool,
    option("--dry-run", help="Tell what would be done, and do nothing: nothing is written or removed."),
]
JsonOption = Annotated[
    bool,
    option("--json", help="Print JSON, one record a line, instead of a table."),
]
DatasetArgument = Annotated[
    Path,
    typer.Argument(
        help="A folder with control/ and patient/, or with training/, validation/ and test/ that hold "
        "them; or a CSV with the columns path,label and, if known, subject and split. Images with masks: "
        "masks/ beside the folders of images, or a column mask.",
        exists=True,
    ),
]
ImagesOption = Annotated[
    int,
    option("--images", min=1, help="Projections in all, half of each class."),
]
DifficultyOption = Annotated[
    float,
    option("--difficulty", min=0, max=1, help="How alike the classes look, from 0 to 1."),
]
SeverityOption = Annotated[
    float | None,
    option(
        "--severity",
        min=0,
        max=1,
        help="How ill the patients are, up to 1: collagen nearly absent. Without it each patient differs.",
    ),
]
MasksOption = Annotated[
    bool,
    option("--masks", help="Also write OUT/masks: for each image which pixel belongs to which nucleus."),
]
SeedOption = Annotated[int, option("--seed", min=0, help="Same seed, same images.")]
