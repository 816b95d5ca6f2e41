"""What the rounds measure, on a real engine and a small image."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from colvi_edge.bench.measuring import rounds as rounds_module
from colvi_edge.bench.measuring.rounds import Bench, Patches, rounds_for
from colvi_edge.bench.record import END_TO_END, Series
from colvi_edge.bundle import Bundle
from colvi_edge.engines import Engine, open_engine
from colvi_edge.errors import UsageError
from colvi_edge.pipeline import Diagnoser
from colvi_edge.simulate import simulate_projection, write_imagej

PARTS_OF_WRITING = {"overlay", "encode", "tables"}


def untold(words: str, share: float) -> None:
    """Take the progress, and check that it is one."""
    assert words
    assert 0 <= share < 1


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a projection that passes the quality rules, 4 x 4 patches."""
    path = tmp_path_factory.mktemp("image") / "small.tif"
    write_imagej(path, simulate_projection("control", 11, size_px=256))
    return path


@pytest.fixture(scope="module")
def engine(demo_bundle: Bundle) -> Iterator[Engine]:
    """Return an engine that all tests here share."""
    with closing(open_engine(demo_bundle, "openvino", "int8")) as opened:
        yield opened


@pytest.fixture
def patches() -> Patches:
    """Return normalised patches for the network alone."""
    return np.random.default_rng(0).standard_normal((16, 2, 64, 64)).astype(np.float32)


class Told:
    """A peer that notes when it was called; it answers as if it were instant."""

    def __init__(self) -> None:
        """Nobody called yet."""
        self.calls = 0

    def __call__(self, patches: Patches) -> Patches:
        """Take the patches."""
        self.calls += 1
        return patches[:, 0, 0, :2]


def test_each_round_measures_everything_once(
    tmp_path: Path, demo_bundle: Bundle, engine: Engine, image: Path, patches: Patches
) -> None:
    """Every engine, input and peer as often as the others; warm-up and what follows a turn is not counted."""
    diagnoser, peer = Diagnoser(demo_bundle, engine), Told()
    bench = Bench(
        tmp_path,
        {"one": image, "two": image},
        {"a": (diagnoser, engine), "b": (diagnoser, engine)},
        patches,
        {"peer": peer},
    )

    assert bench.warm_up() > 0
    bench.continuous(4, untold)

    whole = Counter((s.engine, s.input) for s in bench.series() if s.stage == END_TO_END)
    assert whole == dict.fromkeys([("a", "one"), ("a", "two"), ("b", "one"), ("b", "two")], 1)
    assert {len(series.samples_ms) for series in bench.series()} == {4}
    assert [s.engine for s in bench.series() if s.stage == "network"] == ["a", "b", "peer"]
    assert peer.calls == 2 * (rounds_module.WARM_UP_IMAGES + 4)
    assert list(tmp_path.iterdir()) == []


def test_the_stages_are_the_whole(
    tmp_path: Path, demo_bundle: Bundle, engine: Engine, image: Path, patches: Patches
) -> None:
    """Image by image the stages add up to the time from file to JSON, but for rounding; parts lie within."""
    bench = Bench(tmp_path, {"one": image}, {"a": (Diagnoser(demo_bundle, engine), engine)}, patches, {})
    bench.continuous(5, untold)
    series = [found for found in bench.series() if found.stage != "network"]

    stages = [found for found in series if not found.within and found.stage != END_TO_END]
    [whole] = [found for found in series if found.stage == END_TO_END]
    np.testing.assert_allclose(
        np.sum([found.samples_ms for found in stages], axis=0), whole.samples_ms, atol=0.05
    )
    by_name = {found.stage: found for found in series}
    assert {"read", "quality", "engine", "decide", "write"} <= {found.stage for found in stages}
    assert {found.stage for found in series if found.within == "write"} == PARTS_OF_WRITING
    for part in PARTS_OF_WRITING:
        assert np.all(np.array(by_name[part].samples_ms) <= np.array(by_name["write"].samples_ms) + 0.05)
    assert np.all(np.array(by_name["engine"].samples_ms) > 0)


def test_turns_come_in_a_new_order_each_round(
    tmp_path: Path, demo_bundle: Bundle, engine: Engine, image: Path, patches: Patches
) -> None:
    """Who always follows the same one would always find its caches: six peers follow each other freely."""
    order: list[int] = []

    def noting(number: int) -> Callable[[Patches], Patches]:
        def run(given: Patches) -> Patches:
            order.append(number)
            return given

        return run

    bench = Bench(tmp_path, {"one": image}, {}, patches, {f"p{n}": noting(n) for n in range(6)})
    bench.continuous(30, untold)

    turns = np.array(order).reshape(30, 6, 2)
    assert (turns[..., 0] == turns[..., 1]).all()  # once to settle, once to be timed
    assert (np.sort(turns[..., 0], axis=1) == np.arange(6)).all()
    assert len({tuple(turn) for turn in turns[..., 0].tolist()}) > 20


def test_rests_and_bursts(
    tmp_path: Path,
    demo_bundle: Bundle,
    engine: Engine,
    image: Path,
    patches: Patches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rest before each image of each engine, counted apart; a burst's sample is the time of one image."""
    rests: list[float] = []
    monkeypatch.setattr(rounds_module, "BURST_IMAGES", 3)
    diagnoser = Diagnoser(demo_bundle, engine)
    bench = Bench(tmp_path, {"one": image}, {"a": (diagnoser, engine), "b": (diagnoser, engine)}, patches, {})
    monkeypatch.setattr("time.sleep", rests.append)

    bench.after_idle(7.0, untold)
    begin = time.perf_counter()
    bench.bursts(untold)
    passed_ms = 1000 * (time.perf_counter() - begin)

    def of(pattern: str) -> list[Series]:
        return [s for s in bench.series() if s.pattern == pattern and s.stage == END_TO_END]

    assert rests == [7.0] * rounds_module.IDLE_GAPS * 2
    assert [(s.engine, len(s.samples_ms)) for s in of("after idle")] == [("a", 5), ("b", 5)]
    assert [(s.engine, len(s.samples_ms)) for s in of("burst")] == [("a", 3), ("b", 3)]
    assert 3 * sum(sum(s.samples_ms) for s in of("burst")) <= passed_ms
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_rejected_is_no_measure(
    tmp_path: Path, demo_bundle: Bundle, engine: Engine, patches: Patches
) -> None:
    """A blank image runs no network, and would look very fast."""
    blank = tmp_path / "blank.tif"
    tifffile.imwrite(blank, np.full((2, 256, 256), 90, np.uint16), imagej=True, metadata={"axes": "CYX"})
    bench = Bench(tmp_path, {"one": blank}, {"a": (Diagnoser(demo_bundle, engine), engine)}, patches, {})

    with pytest.raises(
        UsageError, match=r"blank\.tif is rejected \(.+\), so that no network runs; give another"
    ):
        bench.warm_up()


def test_half_a_minute_of_rounds_but_at_least_twenty() -> None:
    """Medians need twenty; more than two hundred tell nothing new."""
    assert [rounds_for(seconds) for seconds in (0.001, 0.5, 1.0, 100.0)] == [200, 60, 30, 20]
