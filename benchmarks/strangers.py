"""How many pictures that are not the assay get a diagnosis? Drawn ones in twelve kinds, and real ones.

usage: python benchmarks/strangers.py [--each 5] [--bundle demo] [--json FILE]

Each picture is judged as what a careless export could make of it: an RGB picture of 8 bits, and two
channels (blue as nuclei, green as collagen) of 8 and of 16 bits. The real ones are those that scikit-image,
scikit-learn and matplotlib ship: people, animals, textures, coins, pages, cells in bright field, a retina, a
stained section. None of them has taken part in choosing a limit. A right program diagnoses none.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from colvi_edge.acquisition import acquire
from colvi_edge.bundle import open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.errors import AcquisitionError
from colvi_edge.pipeline import Diagnoser
from colvi_edge.simulate import simulate_projection
from colvi_edge.simulate.culture import smooth_noise

SIZE_PX = 1024
Picture = NDArray[np.uint8]
Random = np.random.Generator


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=5, help="drawings of a kind")
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    table: dict[str, Counter[str]] = {}
    diagnoser = Diagnoser(bundle, open_engine(bundle))
    with tempfile.TemporaryDirectory() as folder:
        for kind, picture in pictures(options.each):
            row = table.setdefault(kind, Counter())
            for file in forms(picture, Path(folder)):
                row.update(what_is_said(diagnoser, file))
    diagnosed = sum(row["diagnosed"] for row in table.values())
    total = sum(row["files"] for row in table.values())
    for kind, row in table.items():
        reasons = ", ".join(f"{name} {row[name]}" for name in sorted(set(row) - {"files", "diagnosed"}))
        print(f"{kind:24} {row['diagnosed']:4} of {row['files']:4} diagnosed; {reasons}")
    print(f"{'all':24} {diagnosed:4} of {total:4} diagnosed")
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


def what_is_said(diagnoser: Diagnoser, file: Path) -> Iterator[str]:
    """Yield "files", and "diagnosed" or the reasons why it was not."""
    yield "files"
    try:
        [acquisition] = acquire(file)
        record = diagnoser.judge(acquisition).sidecar
    except AcquisitionError as error:
        yield error.kind
        return
    if record.status == "ok":
        yield "diagnosed"
    else:
        yield from (flag.name for flag in record.quality if flag.severity == "reject")


def forms(picture: Picture, folder: Path) -> Iterator[Path]:
    """Write a picture (H, W, 3) as RGB, and as nuclei and collagen of 8 and 16 bits; yield each file."""
    channels = np.ascontiguousarray(picture[..., [2, 1]].transpose(2, 0, 1))
    names = {"axes": "CYX", "Labels": ["DAPI", "collagen VI"]}
    file = folder / "stranger.tif"
    for pixels in (picture, channels, channels.astype(np.uint16) * 257):
        if pixels is picture:
            tifffile.imwrite(file, pixels, photometric="rgb")
        else:
            tifffile.imwrite(file, pixels, imagej=True, metadata=names)
        yield file


def pictures(each: int) -> Iterator[tuple[str, Picture]]:
    """Yield (kind, picture (H, W, 3))."""
    for kind, draw in DRAWN.items():
        for number in range(each):
            yield kind, draw(np.random.default_rng([number, len(kind)]))
    yield from real_pictures()


def real_pictures() -> Iterator[tuple[str, Picture]]:
    """Yield what packages at hand ship; grey ones are grey."""
    for package, folder, kind in (
        ("skimage", "data", "real: scikit-image"),
        ("sklearn", "datasets/images", "real: scikit-learn"),
        ("matplotlib", "mpl-data/sample_data", "real: matplotlib"),
    ):
        for file in sorted((Path(str(files(package))) / folder).iterdir()):
            if file.suffix in (".png", ".jpg", ".jpeg"):
                picture = Image.open(file)
                if min(picture.size) >= 64:
                    yield kind, np.asarray(picture.convert("RGB").resize((SIZE_PX, SIZE_PX)))


def _text(rng: Random) -> Picture:
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(12, 40))
    letters = "abcdefghijklmnopqrstuvwxyz     "
    for y in range(20, SIZE_PX - size, int(1.4 * size)):
        line = "".join(rng.choice(list(letters), 120))
        draw.text((20, y), line, "black", font=ImageFont.load_default(size))
    return np.asarray(image)


def _screenshot(rng: Random) -> Picture:
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), tuple(rng.integers(200, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y, w, h = rng.integers(0, 900, 2).tolist() + rng.integers(40, 400, 2).tolist()
        draw.rectangle((x, y, x + w, y + h), tuple(rng.integers(0, 255, 3).tolist()), "grey")
        draw.text((x + 6, y + 6), "File  Edit  View", "black", font=ImageFont.load_default(18))
    return np.asarray(image)


def _drawing(rng: Random) -> Picture:
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), "white" if rng.random() < 0.5 else "black")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = rng.integers(0, SIZE_PX, 3).tolist()
        colour = tuple(rng.integers(0, 255, 3).tolist())
        draw.ellipse((x, y, x + r // 8 + 4, y + r // 8 + 4), outline=colour, width=int(rng.integers(1, 8)))
        draw.line((x, y, r, x), colour, int(rng.integers(1, 6)))
    return np.asarray(image)


def _chart(rng: Random) -> Picture:
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    draw = ImageDraw.Draw(image)
    for k, height in enumerate(rng.integers(100, 900, 12).tolist()):
        colour = tuple(rng.integers(0, 255, 3).tolist())
        draw.rectangle((60 + 75 * k, 960 - height, 110 + 75 * k, 960), colour)
    draw.line((40, 0, 40, 960, 1000, 960), "black", 4)
    return np.asarray(image)


def _noise(rng: Random) -> Picture:
    level = rng.uniform(10, 120, 3)
    return rng.poisson(level, (SIZE_PX, SIZE_PX, 3)).clip(0, 255).astype(np.uint8)


def _photograph(rng: Random) -> Picture:
    """Draw 1/f noise, whose spectrum is that of scenes."""
    f = np.hypot(np.fft.fftfreq(SIZE_PX)[:, np.newaxis], np.fft.rfftfreq(SIZE_PX))
    f[0, 0] = 1
    grey = rng.standard_normal((SIZE_PX, SIZE_PX))
    layers = [np.fft.irfft2(np.fft.rfft2(grey + 0.4 * rng.standard_normal(grey.shape)) / f) for _ in range(3)]
    return _stretched(layers)


def _gradient(rng: Random) -> Picture:
    y, x = np.mgrid[0 : 1 : SIZE_PX * 1j, 0 : 1 : SIZE_PX * 1j]
    return _stretched(
        [a * x + b * y + 0.01 * rng.standard_normal(x.shape) for a, b in rng.normal(size=(3, 2))]
    )


def _stripes(rng: Random) -> Picture:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    period = rng.uniform(6, 80, 3)
    turn = rng.uniform(0, np.pi, 3)
    return _stretched(
        [
            np.sign(np.sin(2 * np.pi * (x * np.cos(t) + y * np.sin(t)) / p))
            + 0.2 * rng.standard_normal(x.shape)
            for p, t in zip(period, turn, strict=True)
        ]
    )


def _section(rng: Random) -> Picture:
    """Draw a section in haematoxylin and eosin: violet nuclei in pink tissue."""
    tissue = smooth_noise((SIZE_PX, SIZE_PX), 12, rng) + smooth_noise((SIZE_PX, SIZE_PX), 60, rng)
    nuclei = (smooth_noise((SIZE_PX, SIZE_PX), 9, rng) > 1.5)[..., np.newaxis]
    pink = np.array([235, 160, 200]) + 14 * tissue[..., np.newaxis]
    violet = np.array([110, 70, 150]) + 8 * tissue[..., np.newaxis]
    picture = np.where(nuclei, violet, pink) + rng.normal(0, 4, (SIZE_PX, SIZE_PX, 3))
    return picture.clip(0, 255).astype(np.uint8)


def _bright_field(rng: Random) -> Picture:
    """Draw grey cells with bright rims, each channel with noise of its own, as a colour camera has it."""
    field = smooth_noise((SIZE_PX, SIZE_PX), 25, rng)
    relief = np.gradient(field)[0] * 400 + 20 * field + 150
    return (relief[..., np.newaxis] + rng.normal(0, 4, (SIZE_PX, SIZE_PX, 3))).clip(0, 255).astype(np.uint8)


def _organelles(rng: Random) -> Picture:
    """Draw green dots in cells around blue nuclei: lysosomes, not collagen."""
    nuclei, _ = simulate_projection("control", int(rng.integers(10**6)))
    cells = np.clip(smooth_noise((SIZE_PX, SIZE_PX), 120, rng), 0, None)
    dots = np.zeros((SIZE_PX, SIZE_PX))
    y, x = rng.integers(4, SIZE_PX - 4, (2, 6000))
    for v in range(-2, 3):
        for u in range(-2, 3):
            dots[y + v, x + u] += cells[y, x] * np.exp(-(v * v + u * u) / 2)
    blue = nuclei / nuclei.max() * 255
    green = rng.poisson(10 + 90 * dots)
    return np.dstack([np.zeros_like(blue), green, blue]).clip(0, 255).astype(np.uint8)


def _panel(rng: Random) -> Picture:
    """Draw four cultures with letters and white borders, as they stand in a paper."""
    picture = np.full((SIZE_PX, SIZE_PX, 3), 255, np.uint8)
    for k in range(4):
        seed = int(rng.integers(10**6))
        nuclei, collagen = simulate_projection("control" if k % 2 else "patient", seed)[:, ::2, ::2]
        at = (k // 2 * 520, k % 2 * 520)
        scale = 255 / max(nuclei.max(), collagen.max())
        part = np.dstack([np.zeros_like(nuclei), collagen * scale, nuclei * scale])[:504, :504]
        picture[at[0] : at[0] + 504, at[1] : at[1] + 504] = part
    image = Image.fromarray(picture)
    for k, letter in enumerate("abcd"):
        place = (10 + k % 2 * 520, 10 + k // 2 * 520)
        ImageDraw.Draw(image).text(place, letter, "white", font=ImageFont.load_default(60))
    return np.asarray(image)


def _stretched(layers: list[NDArray[Any]]) -> Picture:
    picture = np.stack(layers, axis=-1)
    low, high = np.quantile(picture, (0.001, 0.999))
    return ((picture - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


DRAWN: dict[str, Callable[[Random], Picture]] = {
    "text": _text,
    "screenshot": _screenshot,
    "drawing": _drawing,
    "chart": _chart,
    "noise": _noise,
    "spectrum of a photograph": _photograph,
    "gradient": _gradient,
    "stripes": _stripes,
    "H&E section": _section,
    "bright field": _bright_field,
    "other organelles": _organelles,
    "figure panel": _panel,
}


if __name__ == "__main__":
    main()
