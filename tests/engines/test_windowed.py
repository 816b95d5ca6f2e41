"""Tiles against the whole image, in every engine of the CPU: equal, in FP32 and in INT8.

What is expected is the network in torch on the whole image, normalised by the oracle of `patches` and padded
here; and, bit close, what the same engine says of the image as one window.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName
from colvi_edge.engines import Engine, blank_planes, windowed
from colvi_edge.engines.opening import open_exactly
from colvi_edge.errors import ImageTooLargeError, PixelTypeError
from colvi_edge.patches import Normalisation, normalise_image, project
from colvi_edge.windows import Axis, Plan, plan
from tests.tools.engines import ENGINES
from tests.tools.unets import Up, to_onnx, unet, whole
from tests.tools.windowed_bundles import scene, windowed_bundle

Noise = Callable[..., NDArray[Any]]
NETWORKS: dict[str, dict[str, Any]] = {
    "depth 1": {"depth": 1},
    "depth 2": {"depth": 2},
    "depth 3": {"depth": 3, "channels": 1},
    "nearest": {"depth": 2, "up": "nearest", "classes": 2},
    "bilinear": {"depth": 2, "up": "bilinear"},
}
HALOS = {
    ("transposed", 1): 10,
    ("transposed", 2): 24,
    ("transposed", 3): 48,
    ("nearest", 2): 24,
    ("bilinear", 2): 28,
}


@cache
def network(name: str) -> nn.Module:
    """Return one of the networks."""
    return unet(seed=len(name), **NETWORKS[name])


@cache
def onnx(name: str) -> bytes:
    """Return the same as a file."""
    return to_onnx(network(name), NETWORKS[name].get("channels", 2), 64)


def halo_and_step(name: str) -> tuple[int, int]:
    """Return the halo and the step of a network."""
    depth: int = NETWORKS[name]["depth"]
    up: Up = NETWORKS[name].get("up", "transposed")
    return HALOS[up, depth], 1 << depth


def engine(name: str, bundle: Bundle, precision: Any = "fp32") -> Engine:
    """Open an engine, unverified."""
    return open_exactly(EngineName(name), bundle, precision, "a test")


def prepared(planes: NDArray[Any], bundle: Bundle) -> NDArray[np.float32]:
    """Return what the network is to be given, by the oracle."""
    return normalise_image(project(planes), bundle.config.normalisation)


@pytest.fixture(scope="module", params=ENGINES)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Engine]]:
    """Return a function that opens an engine on a network and windows, once each."""
    kept: dict[str, Engine] = {}

    def open_it(name: str, **windows: Any) -> Engine:
        key = repr((name, sorted(windows.items())))
        if key not in kept:
            channels = ("collagen", "nuclei")[: NETWORKS[name].get("channels", 2)]
            bundle = windowed_bundle(
                tmp_path_factory.mktemp("bundle"),
                {"fp32": onnx(name)},
                windows,
                channels=channels,
                classes=("background", "nucleus", "border")[: NETWORKS[name].get("classes", 3)],
            )
            kept[key] = engine(request.param, bundle)
        return kept[key]

    yield open_it
    for one in kept.values():
        one.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(NETWORKS)),
    height=st.integers(9, 300),
    width=st.integers(9, 300),
    cores=st.integers(1, 3),
    planes=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@example(name="depth 3", height=301, width=243, cores=2, planes=1, seed=0)
@example(name="bilinear", height=257, width=131, cores=1, planes=2, seed=1)
def test_tiles_equal_the_whole_image(
    opened: Callable[..., Engine], name: str, height: int, width: int, cores: int, planes: int, seed: int
) -> None:
    """At odd sizes, with windows of one core or several: 1e-6 apart at most, and as in torch."""
    halo, step = halo_and_step(name)
    px = 2 * halo + 16 * step * cores
    channels = NETWORKS[name].get("channels", 2)
    image = scene((planes, channels, height, width), seed)

    tiles = opened(name, px=px, halo_px=halo, step_px=step)
    once = opened(name, px="whole", step_px=step)
    found, at_once = tiles.field(image), once.field(image)

    assert found.dtype == np.float32
    assert np.abs(found - at_once).max() <= 1e-6
    expected = whole(network(name), normalise_image(project(image), Normalisation("image")), step)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def shifted(by: int, where: str) -> Callable[..., Plan]:
    """Return a faulty plan: windows that begin beside the step, or cores that reach too near an edge."""

    def faulty(*arguments: Any) -> Plan:
        right = plan(*arguments)
        axes = []
        for axis in (right.rows, right.cols):
            spans = list(axis.spans)
            for number in range(1, len(spans)):
                before, span = spans[number - 1], spans[number]
                if where == "start" and span.stop < axis.padded:
                    spans[number] = span._replace(start=span.start + by)
                if where == "core":
                    spans[number] = span._replace(first=span.first - by)
                    spans[number - 1] = before._replace(stop=before.stop - by)
            axes.append(Axis(axis.image, axis.padded, axis.window, tuple(spans)))
        return Plan(*axes)

    return faulty


@pytest.mark.parametrize(
    ("by", "where", "equal"), [(0, "start", True), (1, "start", False), (4, "start", True)]
)
def test_a_window_that_begins_beside_the_step_is_caught(
    opened: Callable[..., Engine], by: int, where: str, equal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the very comparison above; one that is moved by a whole step, within its halo's slack, is not."""
    name = "depth 2"
    halo, step = halo_and_step(name)
    image = scene((1, 2, 200, 280), 3)
    at_once = opened(name, px="whole", step_px=step).field(image)
    monkeypatch.setattr(windowed, "plan", shifted(by, where))

    found = opened(name, px=2 * (halo + 4) + 64, halo_px=halo + 4, step_px=step).field(image)

    assert (np.abs(found - at_once).max() <= 1e-6) == equal


class Sums(nn.Module):
    """Three 3 x 3 means: the answer depends on what lies 3 pixels away, and every pixel counts as much."""

    def __init__(self) -> None:
        super().__init__()
        self.means = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(3)))
        for layer in self.means.parameters():
            nn.init.constant_(layer, 1 / 9)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return (N, 2, h, w)."""
        p = torch.sigmoid(self.means(windows))
        return torch.cat([p, 1 - p], 1)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("halo", "equal"), [(4, True), (3, True), (2, False), (1, False), (0, False)])
def test_a_halo_of_one_pixel_too_little_is_caught(name: str, halo: int, equal: bool, tmp_path: Path) -> None:
    """By the very comparison above: the reach is 3."""
    data = to_onnx(Sums(), 1, 32)
    image = scene((1, 1, 90, 110), 5)
    fields = []
    both: list[dict[str, Any]] = [{"px": 32, "halo_px": halo}, {"px": "whole"}]
    for number, windows in enumerate(both):
        bundle = windowed_bundle(
            tmp_path / str(number), {"fp32": data}, windows, channels=("nuclei",), classes=("a", "b")
        )
        with closing(engine(name, bundle)) as one:
            fields.append(one.field(image))

    assert (np.abs(fields[0] - fields[1]).max() <= 1e-6) == equal


@pytest.fixture(scope="module")
def int8() -> bytes:
    """Return the network of depth 2 in INT8, as the export makes it for CPUs."""
    from colvi_edge.export.converting.quantise import STRIDE_PATCHES, quantise

    image = normalise_image(project(scene((1, 2, 256, 512), 11)), Normalisation("image"))
    windows = image.reshape(2, 4, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(-1, 2, 64, 64)
    assert len(windows) == STRIDE_PATCHES
    return quantise(renamed(onnx("depth 2")), np.ascontiguousarray(windows), "int8-cpu", "min-max")


def renamed(data: bytes) -> bytes:
    """Return a network whose input has the name that the quantiser feeds."""
    import onnx as onnx_package

    model = onnx_package.load_from_string(data)
    for node in model.graph.node:
        node.input[:] = ["patches" if one == "windows" else one for one in node.input]
    model.graph.input[0].name = "patches"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("name", ENGINES)
def test_no_pixel_of_the_mask_flips_in_int8(name: str, int8: bytes, tmp_path: Path) -> None:
    """With the structural halo; the network is quantised, and says something else than in FP32."""
    halo, step = halo_and_step("depth 2")
    image = scene((1, 2, 333, 270), 7)
    both: dict[Precision, bytes] = {"fp32": onnx("depth 2"), "int8-cpu": int8}
    fields = []
    tiled: dict[str, Any] = {"px": 112, "halo_px": halo, "step_px": step}
    for number, windows in enumerate((tiled, {"px": "whole", "step_px": step})):
        bundle = windowed_bundle(tmp_path / str(number), both, windows)
        with closing(engine(name, bundle, "int8-cpu")) as one:
            fields.append(one.field(image))
    tiles, once = fields

    assert sorted(np.bincount(once.argmax(-1).ravel(), minlength=3))[1] > 10_000, "two classes"
    assert int((tiles.argmax(-1) != once.argmax(-1)).sum()) == 0
    exact = whole(network("depth 2"), normalise_image(project(image), Normalisation("image")), step)
    assert np.abs(tiles - exact).max() > 1e-4
    assert (tiles.argmax(-1) == exact.argmax(-1)).mean() > 0.9


@pytest.mark.parametrize("name", ENGINES)
def test_half_precision(name: str, tmp_path: Path) -> None:
    """The input is float16, the answer float32 and near that of FP32."""
    halo, step = halo_and_step("depth 2")
    data: dict[Precision, bytes] = {
        "fp32": onnx("depth 2"),
        "fp16": to_onnx(network("depth 2"), 2, 64, half=True),
    }
    bundle = windowed_bundle(tmp_path, data, {"px": 112, "halo_px": halo, "step_px": step})
    image = scene((1, 2, 130, 150), 8)

    with closing(engine(name, bundle, "fp16")) as one:
        found = one.field(image)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole(network("depth 2"), prepared(image, bundle), step), atol=2e-2)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "normalisation",
    [
        {"kind": "image"},
        {"kind": "image-range"},
        {"kind": "fixed", "mean": (120.0, 130.0), "std": (60.0, 55.0)},
        {"kind": "scale", "divisor": 255.0},
    ],
    ids=lambda normalisation: normalisation["kind"],
)
def test_every_normalisation(name: str, dtype: str, normalisation: dict[str, Any], tmp_path: Path) -> None:
    """As the oracle says it of the whole image, in windows that see a part of it."""
    halo, step = halo_and_step("depth 1")
    if normalisation["kind"] == "scale":
        normalisation = {**normalisation, "dtype": dtype}
    windows = {"px": 64, "halo_px": halo, "step_px": step}
    bundle = windowed_bundle(tmp_path, {"fp32": onnx("depth 1")}, windows, normalisation)
    image = scene((3, 2, 101, 77), 2).astype(dtype)

    with closing(engine(name, bundle)) as one:
        found = one.field(image)

    np.testing.assert_allclose(found, whole(network("depth 1"), prepared(image, bundle), step), atol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_kept_is_all_that_stays(name: str, tmp_path: Path) -> None:
    """`keep` is asked for each part, of the image alone; dtype and further axes are its own."""
    halo, step = halo_and_step("depth 2")
    bundle = windowed_bundle(
        tmp_path, {"fp32": onnx("depth 2")}, {"px": 112, "halo_px": halo, "step_px": step}
    )
    image = scene((1, 2, 203, 190), 4)
    parts = []

    def keep(part: NDArray[np.float32]) -> NDArray[np.uint8]:
        parts.append(part.shape)
        assert part.dtype == np.float32
        return np.stack([part.argmax(-1), np.rint(255 * part.max(-1))], -1).astype(np.uint8)

    with closing(engine(name, bundle)) as one:
        all_of_it = one.field(image)
        kept = one.field(image, keep)

    assert kept.dtype == np.uint8
    assert kept.shape == (203, 190, 2)
    assert sum(rows * cols for rows, cols, _ in parts) == 203 * 190
    assert len(parts) == 3 * 3
    np.testing.assert_array_equal(kept, keep(all_of_it))


@pytest.mark.parametrize("name", ENGINES)
def test_an_error_while_keeping_leaves_the_engine_usable(name: str, tmp_path: Path) -> None:
    """What is under way is waited for, and the next image is judged as if nothing had been."""
    halo, step = halo_and_step("depth 2")
    bundle = windowed_bundle(
        tmp_path, {"fp32": onnx("depth 2")}, {"px": 112, "halo_px": halo, "step_px": step}
    )
    image = scene((1, 2, 303, 390), 4)

    threads = threading.active_count()

    def fail(part: NDArray[np.float32]) -> NDArray[Any]:
        raise KeyError("kept")

    with closing(engine(name, bundle)) as one:
        before = one.field(image)
        held = []
        for _ in range(3):
            with pytest.raises(KeyError) as raised:
                one.field(image, fail)
            held.append(raised)  # and with it the call that failed
        after = one.field(image)

    np.testing.assert_array_equal(before, after)
    assert threading.active_count() == threads


class Pooled(nn.Module):
    """Classifies an image as a whole."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return (N, 4)."""
        answer: torch.Tensor = self.layers(windows).softmax(1)
        return answer


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", ["patch", "image", "image-range", "patch-channel"])
def test_an_image_is_classified_as_a_whole(name: str, kind: Any, tmp_path: Path) -> None:
    """One cell, K numbers; the normalisation of a patch takes the image for one; another size is a bug."""
    classes = ("a", "b", "c", "d")
    bundle = windowed_bundle(
        tmp_path,
        {"fp32": to_onnx(Pooled(), 1, 32)},
        {"px": "whole"},
        {"kind": kind},
        ("nuclei",),
        classes,
        (32, 48),
    )
    image = scene((2, 1, 32, 48), 6)

    with closing(engine(name, bundle)) as one:
        found, kept = one.field(image), one.field(image, lambda part: part.argmax(-1))
        with pytest.raises(ValueError, match=r"expected planes \(Z, C, 32, 48\)"):
            one.field(scene((1, 1, 48, 32), 6))
        blank = one.field(blank_planes(bundle.config))

    given = normalise_image(
        project(image), Normalisation(kind.replace("patch-channel", "image").replace("patch", "image"))
    )
    with torch.no_grad():
        expected = Pooled()(torch.from_numpy(given)[None]).numpy()
    assert found.shape == blank.shape == (1, 1, 4)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert kept.tolist() == [[int(expected.argmax())]]


@pytest.mark.parametrize("name", ENGINES)
def test_blended_windows_are_the_weighted_mean_of_their_cores(name: str, tmp_path: Path) -> None:
    """Of a network with InstanceNorm: window by window, weighted pixel by pixel, in float64."""
    normed = unet(seed=2, depth=2, instance_norm=True)
    px, halo, stride, step = 64, 16, 16, 4
    windows = {"px": px, "halo_px": halo, "step_px": step, "join": "blend", "stride_px": stride}
    bundle = windowed_bundle(tmp_path, {"fp32": to_onnx(normed, 2, px)}, windows)
    image = scene((1, 2, 141, 110), 9)
    height, width = 144, 112

    given = np.pad(prepared(image, bundle), ((0, 0), (0, 3), (0, 2)))
    sums, weights = np.zeros((height, width, 3)), np.zeros((height, width, 1))
    with closing(engine(name, bundle)) as one:
        found = one.field(image)
        labels = one.field(image, lambda part: part.argmax(-1).astype(np.uint8))
        for top in [*range(0, height - px, stride), height - px]:
            for left in [*range(0, width - px, stride), width - px]:
                answer = one.network(given[np.newaxis, :, top : top + px, left : left + px])[0]
                for y in range(px):
                    for x in range(px):
                        edges = [float(px)]
                        edges += [y + 0.5 - halo] if top else []
                        edges += [x + 0.5 - halo] if left else []
                        edges += [px - halo - y - 0.5] if top + px < height else []
                        edges += [px - halo - x - 0.5] if left + px < width else []
                        if min(edges) > 0:
                            sums[top + y, left + x] += min(edges) * answer[:, y, x].astype(np.float64)
                            weights[top + y, left + x] += min(edges)

    assert weights.min() > 0
    np.testing.assert_allclose(found, (sums / weights)[:141, :110], atol=5e-5)
    np.testing.assert_array_equal(labels, found.argmax(-1))


@pytest.mark.parametrize("name", ENGINES)
def test_the_network_alone(name: str, tmp_path: Path) -> None:
    """Normalised windows in, K numbers a pixel out, whatever their number and size."""
    bundle = windowed_bundle(tmp_path, {"fp32": onnx("depth 2")}, {"px": 112, "halo_px": 24, "step_px": 4})
    windows = np.random.default_rng(4).standard_normal((7, 2, 112, 96), np.float32)

    with closing(engine(name, bundle)) as one:
        found = one.network(windows)

    with torch.no_grad():
        expected = network("depth 2")(torch.from_numpy(windows)).numpy()
    assert found.shape == (7, 3, 112, 96)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("name", ENGINES)
def test_planes_that_do_not_fit(name: str, tmp_path: Path, noise: Noise) -> None:
    """Another number of channels is a bug; another dtype, and too large an image, are the operator's."""
    bundle = windowed_bundle(
        tmp_path,
        {"fp32": onnx("depth 2")},
        {"px": "whole", "step_px": 4},
        {"kind": "scale", "divisor": 255.0, "dtype": "uint8"},
    )
    with closing(engine(name, bundle)) as one:
        with pytest.raises(ValueError, match=r"expected planes \(Z, 2, H, W\)"):
            one.field(noise((1, 3, 64, 64), "uint8"))
        with pytest.raises(PixelTypeError, match="made for uint8"):
            one.field(noise((1, 2, 64, 64)))
        with pytest.raises(ImageTooLargeError, match="takes an image as a whole"):
            one.field(np.zeros((1, 2, 2048, 2052), np.uint8))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("windows", "words"),
    [
        (
            {"px": 112, "halo_px": 24, "step_px": 4},
            "; windows of 112 pixels, 24 of them thrown away at inner edges",
        ),
        (
            {"px": 112, "halo_px": 8, "step_px": 4, "reach_px": 22},
            "; windows of 112 pixels, 8 of them thrown away at inner edges, although answers depend on what "
            "lies up to 22 pixels away",
        ),
        (
            {"px": 112, "halo_px": 24, "step_px": 4, "reach_px": 22},
            "; windows of 112 pixels, 24 of them thrown away at inner edges",
        ),
        ({"px": "whole", "step_px": 4, "reach_px": 22}, "; the image as a whole"),
        ({"px": "whole", "step_px": 4}, "; the image as a whole"),
        (
            {"px": 64, "halo_px": 16, "step_px": 4, "join": "blend", "stride_px": 16},
            "; windows of 64 pixels, 16 of them thrown away at inner edges, blended every 16 pixels",
        ),
    ],
)
def test_the_reason_says_what_the_network_sees(
    name: str, windows: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """At once, and what is thrown away of it; and an engine is warmed up with one window."""
    bundle = windowed_bundle(tmp_path, {"fp32": onnx("depth 2")}, windows)

    with closing(engine(name, bundle)) as one:
        assert one.info.reason == f"a test{words}"
        if windows["px"] != "whole":
            assert one.field(blank_planes(bundle.config)).shape == (windows["px"], windows["px"], 3)


def test_the_last_sizes_are_kept_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them, and those that were used last; together they are no larger than the largest may be."""
    from colvi_edge.engines.openvino import windows as compiled_windows
    from colvi_edge.engines.openvino.compiled_cache import compiled_network

    bundle = windowed_bundle(tmp_path, {"fp32": onnx("depth 1")}, {"px": "whole", "step_px": 2})
    compiled: list[str] = []
    right = compiled_network

    def counted(core: Any, settings: Any, made_of: Any, build: Any) -> Any:
        compiled.append(made_of["windows"])
        return right(core, settings, made_of, build)

    monkeypatch.setattr(compiled_windows, "compiled_network", counted)
    with closing(engine("openvino", bundle)) as one:
        for side in (20, 22, 24, 26, 20, 28, 20, 22):
            one.field(np.zeros((1, 2, side, side), np.uint16))
        assert compiled == [f"1x2x{side}x{side}" for side in (20, 22, 24, 26, 28, 22)]
        monkeypatch.setattr(compiled_windows, "MOST_WHOLE_PX", 28 * 28 + 20 * 20)
        compiled.clear()
        for side in (30, 28, 20, 28):
            one.field(np.zeros((1, 2, side, side), np.uint16))
        assert compiled == [f"1x2x{side}x{side}" for side in (30, 28, 20)]
