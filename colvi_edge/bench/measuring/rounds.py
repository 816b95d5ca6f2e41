"""One image, diagnosed again and again by engines that take turns, so that drift hits all alike.

Each image goes from its file to the renamed JSON, into a folder of its own, as a new file's result does.
Turns are taken in a new order each round. A turn begins with an image that is not counted: it finds the
cores and caches as whoever was before left them.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from colvi_edge.acquisition import Refused
from colvi_edge.bench.record import END_TO_END, ENGINE, NETWORK, READ, REST, WRITE, Pattern, Series, timed
from colvi_edge.engines import Engine
from colvi_edge.errors import ColviEdgeError, UsageError
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import InputFile

Patches = NDArray[np.float32]
Tell = Callable[[str, float], None]

WARM_UP_IMAGES = 3
FEWEST_ROUNDS, MOST_ROUNDS = 20, 200
ROUNDS_S = 30.0
"""The rounds take about this long, unless their number is given."""

IDLE_GAPS = 5
BURSTS, BURST_IMAGES = 3, 16


class Bench:
    """Engines, the files of one image, and all samples so far."""

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, Path],
        diagnosers: Mapping[str, tuple[Diagnoser, Engine]],
        patches: Patches,
        peers: Mapping[str, Callable[[Patches], Patches]],
    ) -> None:
        """Keep what is measured.

        Args:
            folder: gets the results, and is left empty.
            files: of the image, by what they are called.
            diagnosers: by the engines' names.
            patches: (N, C, P, P) normalised, of the image: the networks' input.
            peers: other runtimes of the network, by name.
        """
        self._folder = folder
        self._files = files
        self._diagnosers = diagnosers
        self._patches = patches
        self._peers = peers
        self._samples: dict[tuple[str, str, Pattern, str, str], list[float]] = defaultdict(list)
        self._order = random.Random(0)  # noqa: S311 - an order, not a secret

    def series(self) -> list[Series]:
        """Return what was measured: engine by engine, input by input, whatever the order of the turns was."""
        turns, inputs = [*self._diagnosers, *self._peers], [*self._files, ""]
        found = [
            timed(engine, given, pattern, stage, samples, within)
            for (engine, given, pattern, stage, within), samples in self._samples.items()
        ]
        return sorted(found, key=lambda series: (turns.index(series.engine), inputs.index(series.input)))

    def warm_up(self) -> float:
        """Diagnose images that are not counted; return how long the last round of them took, in seconds."""
        for _ in range(WARM_UP_IMAGES):
            start = time.perf_counter()
            self._round(keep=False)
        return time.perf_counter() - start

    def continuous(self, rounds: int, tell: Tell) -> None:
        """Diagnose one image after the other without a rest."""
        for number in range(rounds):
            tell("images one after the other", number / rounds)
            self._round(keep=True)

    def after_idle(self, idle_s: float, tell: Tell) -> None:
        """Diagnose single images, each after a rest of the whole process."""
        name, file = next(iter(self._files.items()))
        for gap in range(IDLE_GAPS):
            for number, engine in enumerate(self._shuffled(self._diagnosers)):
                tell(f"images after {idle_s:g} s of rest", (gap + number / len(self._diagnosers)) / IDLE_GAPS)
                time.sleep(idle_s)
                self._image(engine, name, file, "after idle")

    def bursts(self, tell: Tell) -> None:
        """Diagnose many images that are there at once, as `run` and `watch` do: their steps overlap."""
        name, file = next(iter(self._files.items()))
        for burst in range(BURSTS):
            tell("bursts", burst / BURSTS)
            for engine in self._shuffled(self._diagnosers):
                diagnoser, _ = self._diagnosers[engine]
                with self._results(BURST_IMAGES) as folders:
                    start = time.perf_counter()
                    for outcome in process(diagnoser, [InputFile(file, folder) for folder in folders]):
                        if isinstance(outcome.result, ColviEdgeError):
                            raise outcome.result
                    passed = _ms_since(start)
                self._samples[engine, name, "burst", END_TO_END, ""].append(passed / BURST_IMAGES)

    def _round(self, *, keep: bool) -> None:
        for turn in self._shuffled([*self._diagnosers, *self._peers]):
            if turn in self._peers:
                run = self._peers[turn]
            else:
                names = self._shuffled(self._files)
                self._image(turn, names[0], self._files[names[0]], None)
                for name in names:
                    self._image(turn, name, self._files[name], "continuous" if keep else None)
                run = self._diagnosers[turn][1].network
            run(self._patches)
            start = time.perf_counter()
            run(self._patches)
            passed = _ms_since(start)
            if keep:
                within = "" if turn in self._peers else ENGINE
                self._samples[turn, "", "continuous", NETWORK, within].append(passed)

    def _image(self, engine: str, name: str, file: Path, pattern: Pattern | None) -> None:
        """Diagnose an image; without a pattern it is not counted."""
        diagnoser, _ = self._diagnosers[engine]
        with self._results(1) as [folder]:
            raw = InputFile(file, folder)
            begin = time.perf_counter()
            acquisition = next(diagnoser.read(raw))
            if isinstance(acquisition, Refused):
                raise acquisition.error
            read = time.perf_counter()
            judged = diagnoser.judge(acquisition)
            decided = time.perf_counter()
            written = diagnoser.write(judged, raw)
            end = time.perf_counter()
        if written.status == "rejected":
            why = " ".join(flag.words for flag in written.quality if flag.severity == "reject")
            raise UsageError(f"{file.name} is rejected ({why}), so that no network runs; give another image")
        if pattern is None:
            return
        judging = judged.sidecar.timings_ms
        stages = {(READ, ""): 1000 * (read - begin)}
        stages |= {(step, ""): passed for step, passed in judging.items()}
        stages[REST, ""] = max(0.0, 1000 * (decided - read) - sum(judging.values()))
        stages[WRITE, ""] = 1000 * (end - decided)
        stages |= {
            (step, WRITE): passed for step, passed in written.timings_ms.items() if step not in judging
        }
        for (stage, within), passed in stages.items():
            self._samples[engine, name, pattern, stage, within].append(passed)
        self._samples[engine, name, pattern, END_TO_END, ""].append(1000 * (end - begin))

    @contextmanager
    def _results(self, count: int) -> Iterator[list[Path]]:
        """Hold so many empty folders for results; making and removing them is not measured."""
        folders = [Path(mkdtemp(dir=self._folder)) for _ in range(count)]
        try:
            yield folders
        finally:
            for folder in folders:
                rmtree(folder)

    def _shuffled(self, names: "Sequence[str] | Mapping[str, object]") -> list[str]:
        return self._order.sample(list(names), len(names))


def rounds_for(round_s: float) -> int:
    """Return how many rounds of so many seconds are made when nobody says it."""
    return min(MOST_ROUNDS, max(FEWEST_ROUNDS, round(ROUNDS_S / round_s)))


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
