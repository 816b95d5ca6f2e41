"""The pipeline that one writes first: tifffile, a loop of z-scores, ONNX Runtime in FP32, Pillow, json.

usage: python benchmarks/naive.py BUNDLE

It takes the bundle's FP32 network, all patches in one call, and writes a picture with a frame round each
patch and a JSON file with every probability; nothing is hashed or synced.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from serving import Laps, serve

from colvi_edge.bundle import Bundle, open_bundle

_COLOURS = ((0.9, "cyan"), (0.7, "steelblue"), (0.5, "yellow"), (0.3, "orange"), (0.0, "red"))


class NaivePipeline:
    """Takes images of two channels, (nuclei, collagen), whatever else the file says."""

    def __init__(self, bundle: Bundle) -> None:
        self._px = bundle.config.patch_px
        self._session = onnxruntime.InferenceSession(
            bundle.network("fp32"), providers=["CPUExecutionProvider"]
        )

    def diagnose(self, raw: Path, folder: Path, laps: Laps) -> None:
        """Write `folder`/NAME.png and NAME.json."""
        nuclei, collagen = tifffile.imread(raw)
        laps.lap("read")
        patches = self._patches(np.stack([collagen, nuclei]))
        laps.lap("tile and normalise")
        probabilities = self._session.run(None, {"patches": patches})[0]
        laps.lap("network")
        p_control = probabilities[:, 0].reshape(len(collagen) // self._px, -1)
        self._picture(collagen, nuclei, p_control).save(folder / f"{raw.name}.png")
        laps.lap("picture")
        (folder / f"{raw.name}.json").write_text(json.dumps(_result(raw, probabilities), indent=2))
        laps.lap("json")

    def _patches(self, image: NDArray[Any]) -> NDArray[np.float32]:
        px, patches = self._px, []
        for y in range(0, image.shape[1] - px + 1, px):
            for x in range(0, image.shape[2] - px + 1, px):
                patch = image[:, y : y + px, x : x + px].astype(np.float32)
                patches.append((patch - patch.mean()) / patch.std())
        return np.stack(patches)

    def _picture(
        self, collagen: NDArray[Any], nuclei: NDArray[Any], p_control: NDArray[np.float32]
    ) -> Image.Image:
        channels = [np.zeros(collagen.shape, np.uint8), *map(_eight_bit, (collagen, nuclei))]
        picture = Image.fromarray(np.dstack(channels))
        draw = ImageDraw.Draw(picture)
        for (row, col), p in np.ndenumerate(p_control):
            left, top = col * self._px, row * self._px
            colour = next(name for floor, name in _COLOURS if p >= floor)
            draw.rectangle((left + 1, top + 1, left + self._px - 2, top + self._px - 2), outline=colour)
        return picture


def _eight_bit(channel: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = np.percentile(channel, (0.5, 99.7))
    scaled: NDArray[np.uint8] = ((channel - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    return scaled


def _result(raw: Path, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    control = int((probabilities[:, 0] > probabilities[:, 1]).sum())
    patient = int((probabilities[:, 0] < probabilities[:, 1]).sum())
    return {
        "image": raw.name,
        "diagnosis": "control" if control > patient else "patient" if patient > control else "unsure",
        "score": 100 * control / len(probabilities),
        "p_control": [float(p) for p in probabilities[:, 0]],
        "p_patient": [float(p) for p in probabilities[:, 1]],
    }


def main() -> None:
    """Answer for `end_to_end.py`."""
    pipeline = NaivePipeline(open_bundle(sys.argv[1]))
    packages = ["numpy", "tifffile", "onnxruntime", "pillow"]
    serve("naive: ONNX Runtime fp32, Pillow, two files", packages, pipeline.diagnose)


if __name__ == "__main__":
    main()
