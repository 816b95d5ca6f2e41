"""What `train` says of its parts, of the epoch that it kept and of an interruption, without a training."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from colvi_edge.cli.show.training import Teller, division_told
from colvi_edge.export.data.dataset import Image
from colvi_edge.export.data.division import divide
from colvi_edge.export.data.masks import UNLABELLED
from colvi_edge.export.training.run import Epoch, Resumed, kept


def images(number: int, group: str, split: str = "") -> list[Image]:
    """Return so many images, each of a group of its own, of both classes in turn."""
    return [Image(f"{k}.tif", k % 2, f"{group} {k}", split, f"{k:016x}", 0.3) for k in range(number)]


def told(data: Sequence[Image]) -> list[str]:
    """Return what is said of the first of five divisions."""
    division = divide([image.label for image in data], [image.group for image in data], 0)[0]
    return list(division_told(data, division))


def epochs(*losses: float) -> list[Epoch]:
    """Return epochs with these losses of validation."""
    return [Epoch(number, 0.7, 0.5, loss, 0.625) for number, loss in enumerate(losses, 1)]


@pytest.fixture
def teller() -> Teller:
    """Return one that writes into a text."""
    return Teller(Console(file=io.StringIO(), width=80), 3, 1)


def said(teller: Teller) -> list[str]:
    """Return the lines so far."""
    assert isinstance(teller.console.file, io.StringIO)
    return teller.console.file.getvalue().splitlines()


def test_a_quiet_teller_tells_notes_alone() -> None:
    """How it goes is not said: only what a reader of the figures must know."""
    quiet = Teller(Console(file=io.StringIO(), width=80, force_terminal=True), 3, 1, quiet=True)
    data = images(12, "file")
    with quiet.reading(12) as advance:
        advance()
    quiet.divided(data, divide([image.label for image in data], [image.group for image in data], 0)[0], 1)
    with quiet.stage("testing", 1), quiet.training(1, Path("model.pt")) as watch:
        watch(epochs(0.5)[0])

    assert said(quiet) == []
    quiet.note("left out: a.tif: is not a TIFF file")
    assert said(quiet) == ["left out: a.tif: is not a TIFF file"]


def test_parts_of_few_files_are_explained() -> None:
    """Of 12 the parts are 6, 3 and 3, for each has both classes; how to say whose they are is told."""
    first, subjects, least, *_ = told(images(12, "file"))

    assert first == ("6 images to learn from, 3 to choose the epoch, 3 to test on; no file is in two parts")
    assert subjects == (
        "The subject of 12 images is not known, so one subject may be in two parts: where a subject gave "
        "several images, name it in a table with the columns path,label,subject"
    )
    assert least == "Each part gets at least one file of each class: of so few the parts are not 72 : 8 : 20"


def test_a_table_of_masks_has_other_columns() -> None:
    """Images without a label have a mask."""
    data = [replace(image, label=0) for image in images(12, "file")]
    division = divide([0] * 12, [image.group for image in data], 0, classes=UNLABELLED)[0]

    told = list(division_told(data, division))

    assert told[1].endswith("several images, name it in a table with the columns path,mask,subject")


def test_parts_of_many_need_no_explanation() -> None:
    """Of 200 subjects the parts are as promised, and no subject is in two."""
    [only] = [line for line in told(images(200, "subject")) if not line.startswith("to ")]

    assert only == (
        "144 images (144 subjects) to learn from, 16 (16 subjects) to choose the epoch, 40 (40 subjects) to "
        "test on; no subject is in two parts"
    )


def test_few_images_that_were_divided_by_hand_are_no_surprise() -> None:
    """Who gave the split knows its sizes."""
    assert not [line for line in told(images(12, "subject", "training")) if "72 : 8" in line]


@pytest.mark.parametrize(("losses", "number"), [((0.6, 0.7, 0.65), 1), ((0.7, 0.6, 0.6), 2), ((0.7,), 1)])
def test_the_kept_epoch_is_told(teller: Teller, losses: tuple[float, ...], number: int) -> None:
    """It is the one with the least validation loss, the first of equals."""
    history = epochs(*losses)
    with teller.training(1, Path("m.pt")) as watch:
        for epoch in history:
            watch(epoch)

    assert kept(history) is history[number - 1]
    assert said(teller)[-1] == f"kept: epoch {number}, validation {min(losses):.3f} and 62.5 % right"


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (0, "Interrupted; the same command begins the training anew, as no epoch of it is done."),
        (1, "Interrupted; the same command goes on after the last epoch that is done."),
    ],
)
def test_an_interruption_says_what_the_same_command_does(teller: Teller, done: int, words: str) -> None:
    """It goes on only from an epoch that is done; an epoch of an earlier run is one."""

    def interrupted() -> None:
        with teller.training(1, Path("m.pt")) as watch:
            if done:
                watch(Resumed(done))
                watch(epochs(0.6)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert said(teller)[-1] == words
    assert not [line for line in said(teller) if line.startswith("kept")]
