"""What `train` prints: a line a stage into a pipe, a bar on a terminal; then how the networks did."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from colvi_edge.cli.show.evaluation import show_record
from colvi_edge.errors import EXIT_DONE, EXIT_UNJUDGED, UsageError
from colvi_edge.export.commands.notes import FEW
from colvi_edge.export.commands.train import Told, Trained, train_model
from colvi_edge.export.commands.train_masks import EPOCHS, LEARNING_RATE, TrainedOnMasks, train_on_masks
from colvi_edge.export.data.dataset import SUBJECT, Image
from colvi_edge.export.data.division import VALIDATION, Division
from colvi_edge.export.data.masks import has_masks
from colvi_edge.export.training.folds import Finished, checkpoint_of
from colvi_edge.export.training.run import Epoch, Resumed, Settings, Step, kept
from colvi_edge.printable import counted, printable_name
from colvi_edge.system.writing import check_writable
from colvi_edge.terminal.console import error_console
from colvi_edge.terminal.progress import progress

PARTS = {"training": "to learn from", "validation": "to choose the epoch", "test": "to test on"}
"""What the parts of a division are for."""


class Measure(NamedTuple):
    """How well a network does, as people read it.

    Attributes:
        step: while it learns.
        validated: behind that, of the last epoch.
        epoch: of an epoch.
        scale: of what is told, 0..1.
    """

    step: str
    validated: str
    epoch: str
    scale: float


RIGHT = Measure("{:.0f} % right", "{:.0f} %", "{:.1f} % right", 100)
DICE = Measure("Dice {:.3f}", "{:.3f}", "Dice {:.3f}", 1)


def show_training(
    dataset: Path,
    output: Path,
    *,
    folds: int | None,
    baselines: bool,
    epochs: int | None,
    learning_rate: float | None,
    roles: Sequence[str] | None,
    classes: Sequence[str] | None,
    as_json: bool,
    html: Path | None,
    quiet: bool = False,
    **options: Any,
) -> int:
    """Train and test, and print how it goes and how the networks did; return the exit code.

    Args:
        dataset: with labels as for `train_model`, or with masks as for `train_on_masks`, as are the others.
        output: the same.
        folds: the same.
        baselines: the same; of labels alone.
        epochs: the same; None for what suits the kind of images.
        learning_rate: likewise.
        roles: the same; of masks alone.
        classes: likewise.
        as_json: print JSON.
        html: file for the page.
        quiet: print only what is wrong, and JSON.
        options: the same.

    Raises:
        ColviEdgeError: the dataset cannot be used; the checkpoint or the page cannot be written.
    """
    if html:
        check_writable(html)
    options["folds"] = folds
    trained: Trained | TrainedOnMasks
    if has_masks(dataset):
        if baselines:
            raise UsageError("--baselines judge patches with labels, and the dataset has masks; leave it out")
        epochs = epochs or EPOCHS
        teller = Teller(error_console(), epochs, folds or 1, DICE, quiet=quiet)
        options |= {"epochs": epochs, "learning_rate": learning_rate or LEARNING_RATE}
        trained = train_on_masks(dataset, output, **options, roles=roles, classes=classes, observer=teller)
        doubtful = False
    else:
        if roles or classes:
            raise UsageError("--input and --classes are of images with masks, and the dataset has none")
        epochs = epochs or Settings.epochs
        teller = Teller(error_console(), epochs, folds or 1, quiet=quiet)
        options |= {"epochs": epochs, "learning_rate": learning_rate or Settings.learning_rate}
        trained = train_model(dataset, output, **options, baselines=baselines, observer=teller)
        doubtful = trained.is_doubtful
    return _show(trained, teller, output, epochs, as_json=as_json, html=html, quiet=quiet, doubtful=doubtful)


def _show(
    trained: Trained | TrainedOnMasks,
    teller: "Teller",
    output: Path,
    epochs: int,
    *,
    as_json: bool,
    html: Path | None,
    quiet: bool,
    doubtful: bool,
) -> int:
    show_record(trained.record, as_json=as_json, html=html, quiet=quiet)
    where = f"the page {html}" if html else "the JSON" if as_json else "the page of --html and in --json"
    for sentence in (
        *teller.ready(output, is_doubtful=doubtful),
        f"Which image was for what stands in {where}.",
        *next_step(output, epochs, doubtful=doubtful),
    ):
        teller.say(sentence)
    return EXIT_DONE if trained.all_read else EXIT_UNJUDGED


def duration(seconds: float) -> str:
    """Return a time as people say it, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def division_told(images: Sequence[Image], division: Division) -> Iterator[str]:
    """Yield which images are for what: how many, of how many subjects, and their names where they are few."""
    nobodys = sum(not image.group.startswith(SUBJECT) for image in images)
    known = not nobodys
    parts: list[str] = []
    names = []
    for part, words in PARTS.items():
        chosen = [images[k] for k in getattr(division, part)]
        subjects = f" ({counted(len({image.group for image in chosen}), 'subject')})" if known else ""
        parts.append(f"{len(chosen) if parts else counted(len(chosen), 'image')}{subjects} {words}")
        if len(chosen) <= FEW:
            names.append(f"{words}: {', '.join(image.name for image in chosen)}")
    yield f"{', '.join(parts)}; no {'subject' if known else 'file'} is in two parts"
    has_classes = len({image.label for image in images}) > 1  # images with masks have no label
    if nobodys:
        truth = "label" if has_classes else "mask"
        yield (
            f"The subject of {counted(nobodys, 'image')} is not known, so one subject may be in two parts: "
            f"where a subject gave several images, name it in a table with the columns path,{truth},subject"
        )
    if not any(image.split for image in images) and _few(images, division):
        one = "subject" if known else "file"
        each = " of each class" if has_classes else ""
        yield f"Each part gets at least one {one}{each}: of so few the parts are not 72 : 8 : 20"
    yield from names


def _few(images: Sequence[Image], division: Division) -> bool:
    """Return whether a tenth of what is learnt from would be less than one subject or file of each class."""
    learnt = [images[k] for k in (*division.training, *division.validation)]
    groups = {(image.label, image.group) for image in learnt}
    labels = {image.label for image in images}
    return any(sum(of == label for of, _ in groups) < VALIDATION for label in labels)


def next_step(output: Path, epochs: int, *, doubtful: bool) -> Iterator[str]:
    """Yield what to do with a network, and on a line of its own the command to copy.

    Args:
        output: its checkpoint.
        epochs: that it had at most.
        doubtful: whether its test does not show it to be better than chance.
    """
    if doubtful:
        yield (
            "Next: let it learn more first, as its test does not show it to be better than chance: from more "
            f"images, or for more epochs (--epochs, {epochs} so far). Even so a bundle can be made, "
            "with other images as DIR, from which INT8 takes its ranges:"
        )
    else:
        yield "Next: make a bundle of it, with other images as DIR, from which INT8 takes its ranges:"
    yield f"colvi-edge export {quote(str(output))} -o my.colvi --calibration DIR"


class Teller:
    """Prints how a training goes, as its observer, and how long the rest takes at most.

    Attributes:
        console: on standard error.
        was_trained: whether each network so far was finished before.
    """

    def __init__(
        self, console: Console, epochs: int, folds: int, measure: Measure = RIGHT, *, quiet: bool = False
    ) -> None:
        """Begin.

        Args:
            console: on standard error.
            epochs: of each of the folds, at most.
            folds: how many networks there will be.
            measure: tells how well they did.
            quiet: print notes alone, which are on what is wrong.
        """
        self._quiet = quiet
        self.console = console
        self.was_trained = True
        self._epochs, self._folds, self._measure = epochs, folds, measure
        self._began = time.monotonic()
        self._watched_s: list[float] = []
        self._beside_s: list[float] = []

    @property
    def took(self) -> str:
        """Time since the beginning."""
        return duration(time.monotonic() - self._began)

    def ready(self, output: Path, *, is_doubtful: bool) -> Iterator[str]:
        """Yield where the networks are, the first with how they came to be."""
        done = "already trained, tested again" if self.was_trained else "trained and tested"
        is_there = "written" if is_doubtful else "ready"
        for fold in range(1, self._folds + 1):
            how = f": {done}, {self.took}" if fold == 1 else ""
            yield f"{checkpoint_of(output, fold)} is {is_there}{how}"

    def note(self, sentence: str) -> None:
        """Print a line."""
        self.console.print(printable_name(sentence), markup=False, soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print a line on how it goes."""
        if not self._quiet:
            self.note(sentence)

    @contextmanager
    def reading(self, files: int) -> Iterator[Callable[[], None]]:
        """Show a bar while files are read; gives what is called after each."""
        if not self.console.is_terminal:
            self.say(f"reading {counted(files, 'file')}")
        with progress("Reading", files, quiet=self._quiet) as advance:
            yield advance

    def divided(self, images: Sequence[Image], division: Division, fold: int) -> None:
        """Print which images are for what in a fold."""
        for sentence in division_told(images, division):
            self.say(f"{self._which(fold, ':')}{sentence}")

    @contextmanager
    def stage(self, words: str, fold: int | None = None) -> Iterator[None]:
        """Show a stage without parts, as long as it lasts on a terminal, else in a line.

        Args:
            words: what is done.
            fold: the one that it is part of; None if it is done once.
        """
        if fold:
            words = f"{self._which(fold, ':')}{words}"
        spinning: AbstractContextManager[object] = nullcontext()
        if self.console.is_terminal and not self._quiet:
            spinning = self.console.status(words)
        else:
            self.say(words)
        began = time.monotonic()
        with spinning:
            yield
        if fold:
            self._beside_s.append(time.monotonic() - began)

    @contextmanager
    def training(self, fold: int, path: Path) -> Iterator[Callable[[Told], None]]:
        """Show the training of a fold's network, for a checkpoint at a path; gives what is told of it."""
        which = self._which(fold, ",")
        columns = (TextColumn("{task.description}", markup=False), BarColumn(10), TimeRemainingColumn())
        hidden = self._quiet or not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as bar:
            task = bar.add_task(f"Training, {which}epoch 1 of {self._epochs}", total=self._epochs)
            began, resumed, validated = time.monotonic(), 0, ""
            done: list[Epoch] = []

            def watch(told: Told) -> None:
                nonlocal began, resumed, validated
                if isinstance(told, Step):
                    words = f"{which}epoch {told.epoch}/{self._epochs}: loss {told.loss:.3f}, "
                    words += f"{self._told('step', told.accuracy)}{validated}"
                    passed = told.epoch - 1 + told.share
                    # Of few images an epoch may end before the bar, drawn ten times a second, shows it.
                    bar.update(task, description=words, completed=passed, refresh=told.share == 1)
                elif isinstance(told, Epoch):
                    done.append(told)
                    validated = f"; validation {self._told('validated', told.validation_accuracy)}"
                    if told.number > resumed:
                        self._watched_s.append(time.monotonic() - began)
                        began = time.monotonic()
                    self.say(which + self._line(fold, told))
                elif isinstance(told, Resumed):
                    resumed = told.epochs
                    following = min(resumed + 1, self._epochs)
                    self.say(f"{which}goes on from epoch {following} of {self._epochs}; so far:")
                else:
                    self._finished(which, told, path)

            try:
                yield watch
            except KeyboardInterrupt:
                again = "goes on after the last epoch that is done"
                if not done:
                    again = f"begins {which.strip(', ') or 'the training'} anew, as no epoch of it is done"
                self.note(f"Interrupted; the same command {again}.")
                raise
        if done:
            best = kept(done)
            self.say(f"{which}kept: epoch {best.number}, {self._validated(best)}")
        self.was_trained &= not self._watched_s

    def _which(self, fold: int, mark: str) -> str:
        """Return which fold it is, before what is said of it; "" where there is one."""
        return f"fold {fold} of {self._folds}{mark} " if self._folds > 1 else ""

    def _line(self, fold: int, epoch: Epoch) -> str:
        left = ""
        if self._watched_s:
            each = sum(self._watched_s) / len(self._watched_s)
            beside = sum(self._beside_s) / fold * (self._folds - fold)
            epochs = self._epochs - epoch.number + self._epochs * (self._folds - fold)
            left = f"; at most {duration(each * epochs + beside)} left" if epochs else ""
        learnt = f"epoch {epoch.number} of {self._epochs}: loss {epoch.training_loss:.3f}"
        return f"{learnt}, {self._validated(epoch)}{left}"

    def _finished(self, which: str, told: Finished, path: Path) -> None:
        training = told.checkpoint.training
        self.say(
            f"{which}already trained: {path}, {counted(len(training['epochs']), 'epoch')} on "
            f"{counted(training['images'], 'image')}; to train anew, name another -o or remove the file"
        )

    def _validated(self, epoch: Epoch) -> str:
        return f"validation {epoch.validation_loss:.3f} and {self._told('epoch', epoch.validation_accuracy)}"

    def _told(self, place: str, share: float) -> str:
        words: str = getattr(self._measure, place)
        return words.format(self._measure.scale * share)
