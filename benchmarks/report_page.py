"""How large the report of 60 images is, how long it takes to make, and how soon a browser shows it.

    python benchmarks/report_page.py FOLDER [--rounds 5] [--pictures DIR]

Twelve simulated cultures on five dates are drawn and judged with the demo model in FOLDER, some out of focus,
empty, cut off or without metadata; what is there already is taken as it is. The page is then written and
opened in Debian's chromium, with a fresh profile each time. Prints one JSON object.
"""

import argparse
import importlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from colvi_edge.bundle import DEMO, open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.pipeline import Diagnoser, process
from colvi_edge.pipeline.inputs import find_inputs
from colvi_edge.report.page_of_folder import Report
from colvi_edge.simulate import image_seed, simulate_projection, write_imagej
from colvi_edge.tasks.classify import ClassName

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))
chromium = importlib.import_module("chromium")

DATES = ("2026-06-09", "2026-07-07", "2026-08-04", "2026-09-01", "2026-09-29")
REPEATS = ((1, 2, 0, 1, 1), (2, 1, 1, 0, 1), (1, 1, 1, 1, 1), (1, 0, 3, 0, 1))
"""Images of a culture on each date, in turn for the cultures."""
SEVERITIES = {
    "P01": (0.6, 0.3, 0.1, 0.02, 0.0),  # under a therapy that helps; 0 is drawn as a control
    "P02": (0.6, 0.5, 0.35, 0.1, 0.0),
    "P03": (0.3, 0.3, 0.3, 0.3, 0.3),
    "P04": (0.0, 0.05, 0.2, 0.4, 0.6),
    "P05": (0.9, 0.8, 0.9, 0.8, 0.9),
    "P06": (0.2, 0.1, 0.05, 0.02, 0.02),
    "P07": (0.05, 0.05, 0.05, 0.05, 0.05),
}
PHONE = (390, 844)
GAP_PX = 20
CULTURES = (*SEVERITIES, "C01", "C02", "C03", "C04", "C05")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=Path, help="Also leave pictures of the page here.")
    given = parser.parse_args()
    acquire(given.folder)
    page = given.folder / "report.html"
    made_s = []
    for _ in range(given.rounds):
        report = Report(given.folder, page)
        made_s.append(seconds(report.write))
    again_s = [seconds(report.write) for _ in range(given.rounds)]
    opened = [opening_ms(page) for _ in range(given.rounds)]
    figures = {
        "images": len(list(given.folder.glob("*.tif"))),
        "page_bytes": page.stat().st_size,
        "made_s": round(statistics.median(made_s), 2),
        "made_again_s": round(statistics.median(again_s), 3),
        "loaded_ms": round(statistics.median(opened)),
    }
    print(json.dumps(figures))
    if given.pictures:
        take_pictures(page, given.pictures)


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def opening_ms(page: Path) -> float:
    """Return how long after it was asked for a page is loaded and drawn by its script."""
    with chromium.Chromium() as browser:
        browser.resize(1280, 900)
        browser.open(page.as_uri())
        return float(browser.ask("performance.getEntriesByType('navigation')[0].loadEventEnd"))


def take_pictures(page: Path, folder: Path) -> None:
    """Save the page as a screen shows it, and a phone: its beginning, one image, the scores over time."""
    with chromium.Chromium() as browser:
        browser.resize(1280, 1000)
        browser.open(page.as_uri())
        save_picture(seen(browser), folder / "report-desktop.png")
        browser.resize(*PHONE, mobile=True)
        browser.open("about:blank")
        browser.open(page.as_uri())
        screens = [seen(browser)]
        browser.click(".card")
        browser.until("document.querySelector('#picture img').src.startsWith('file:')")
        browser.mouse("mouseMoved", browser.point("#picture", 0.6, 0.3))
        browser.ask("document.getElementById('viewer').scrollTo(0, 0)")
        screens.append(seen(browser))
        browser.press("Escape")
        browser.ask("document.getElementById('trends').scrollIntoView()")
        screens.append(seen(browser))
    beside = Image.new("RGB", (3 * PHONE[0] + 2 * GAP_PX, PHONE[1]), "white")
    for number, screen in enumerate(screens):
        beside.paste(screen, (number * (PHONE[0] + GAP_PX), 0))
    save_picture(beside, folder / "report-phone.png")


def seen(browser: Any) -> Image.Image:
    """Return what a browser shows."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        browser.picture(Path(file.name))
        return Image.open(file.name).convert("RGB")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Save a picture in 256 colours; of Pillow's ways this one keeps those of small marks."""
    picture.quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)


def acquire(folder: Path) -> None:
    """Draw the cultures of all dates and judge them, where that was not done before."""
    if (folder / "report.html").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for culture, name in enumerate(CULTURES):
        for day, date in enumerate(DATES):
            for repeat in range(REPEATS[culture % len(REPEATS)][day]):
                number += 1
                severity = SEVERITIES[name][day] if name in SEVERITIES else 0
                label: ClassName = "patient" if severity else "control"
                image = simulate_projection(label, image_seed(5, number), severity=severity or None)
                save(folder / f"{name}_{date}_{repeat + 1}.tif", image)
    bundle = open_bundle(DEMO)
    with closing(open_engine(bundle)) as engine:
        for _ in process(Diagnoser(bundle, engine), find_inputs([folder])):
            pass


def save(path: Path, image: NDArray[np.uint16]) -> None:
    """Write an image, some of them spoilt."""
    spoilt = path.name.removesuffix("_1.tif")
    if spoilt == "P02_2026-08-04":
        image = blurred(image, 22)
    elif spoilt == "P07_2026-06-09":
        image[0] = np.random.default_rng(0).poisson(90, image.shape[1:])  # no nuclei
    elif spoilt == "C02_2026-09-01":
        image = image.clip(0, np.quantile(image, 0.93)).astype(np.uint16)
    elif spoilt == "P07_2026-07-07":
        image = np.ascontiguousarray(image[:, 256:640, 512:896])  # a tie of 36 patches
    if spoilt == "C04_2026-06-09":
        tifffile.imwrite(path, image, imagej=True, metadata={"axes": "CYX"})
    else:
        write_imagej(path, image)
    if spoilt == "P04_2026-08-04":
        path.write_bytes(path.read_bytes()[:500_000])


def blurred(image: NDArray[np.uint16], sigma_px: float) -> NDArray[np.uint16]:
    """Return an image as from far outside the focus."""
    rows, cols = (np.fft.fftfreq(length)[:, None] for length in image.shape[1:])
    window = np.exp(-2 * (np.pi * sigma_px) ** 2 * (rows**2 + cols.T**2))
    soft = np.fft.ifft2(np.fft.fft2(image) * window).real
    return np.random.default_rng(0).poisson(soft.clip(0)).astype(np.uint16)


if __name__ == "__main__":
    main()
