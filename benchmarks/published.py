"""What the code published with the paper does for an image, stage by stage, on today's Keras.

usage: PYTHON benchmarks/published.py        (PYTHON has benchmarks/requirements.txt installed)

The image is cut into 256 files, which are moved, renamed and loaded one by one; the network runs twice,
once for the classes and once for the probabilities; the picture is a matplotlib figure of 640 x 480 pixels
with 256 rectangles. Written afresh from a description of that program. What differs:

    weights         random; they cost the same as trained ones.
    predict_classes is gone from Keras; it was predict and argmax, and is that here.
    .lif            its conversion is left out; the image is the 8-bit RGB TIFF that came out of it.
    figures         are closed here, after the clock; the original kept all of them in memory.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving import Laps, serve

_IMAGE_PX, _PATCH_PX, _PATCHES = 1024, 64, 256
_COLOURS = ((0.9, "cyan"), (0.7, "steelblue"), (0.5, "yellow"), (0.3, "orange"))


class PublishedPipeline:
    """Holds the network and a matplotlib that opens no window."""

    def __init__(self) -> None:
        import matplotlib as mpl

        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # as the published code does
        mpl.use("Agg")
        self._model = network()

    def diagnose(self, raw: Path, folder: Path, laps: Laps) -> None:
        """Write `folder`/NAME.png. For a moment there are tiles beside the image and in `folder`/TempDir."""
        from matplotlib import pyplot

        tiles = folder / "TempDir"
        shutil.rmtree(tiles, ignore_errors=True)
        tiles.mkdir()
        slice_image(raw, tiles)
        laps.lap("slice to files")
        move_tiles(raw.parent, tiles)
        laps.lap("move and rename")
        images = np.vstack([load(path) for path in sorted(tiles.glob("*.tif"))])
        laps.lap("load files")
        classes = self._model.predict(images, verbose=0).argmax(axis=-1)
        laps.lap("predict_classes")
        probabilities = self._model.predict(images, verbose=0)
        laps.lap("predict")
        title = f"{raw.name} - Diagnosis: {verdict(classes)}"
        shutil.rmtree(tiles)
        laps.lap("vote and remove files")
        draw(load(raw, _IMAGE_PX)[0], probabilities[:, 0], title)
        laps.lap("figure")
        pyplot.savefig(folder / f"{raw.stem}.png", dpi=100)
        laps.lap("savefig")
        pyplot.close()


def network() -> Any:
    """Return the published network: only the first convolution pads; two sigmoids."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((_PATCH_PX, _PATCH_PX, 3)), layers.ZeroPadding2D()])
    for filters in (128, 64, 32):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(150, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(2, activation="sigmoid"))
    return model


def slice_image(raw: Path, tiles: Path) -> None:
    """Save the image as 256 files NAME_patch_ROW_COLUMN.tiff, which its prefix puts beside the image."""
    import image_slicer

    cut = image_slicer.slice(str(raw), _PATCHES, save=False)
    image_slicer.save_tiles(
        cut, directory=str(tiles), prefix=str(raw.with_suffix("")) + "_patch", format="tiff"
    )


def move_tiles(folder: Path, tiles: Path) -> None:
    """Look for .tiff files below a folder, move each to the tiles and rename it .tif."""
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".tiff") and not (tiles / name).is_file():
                shutil.move(str(Path(root) / name), str(tiles))
                (tiles / name).rename((tiles / name).with_suffix(".tif"))


def load(path: Path, size_px: int = _PATCH_PX) -> NDArray[np.float32]:
    """Return (1, size_px, size_px, 3), 0..1."""
    import keras

    picture = keras.utils.load_img(path, target_size=(size_px, size_px))
    pixels: NDArray[np.float32] = keras.utils.img_to_array(picture)[np.newaxis] / 255
    return pixels


def verdict(classes: NDArray[np.int64]) -> str:
    """Return the vote of the classes, 0 control and 1 patient, as the title says it."""
    patient = np.count_nonzero(classes)
    control = len(classes) - patient
    majority = "Unsure" if control == patient else f"Class: {'Control' if control > patient else 'Patient'}"
    return f"Goodness: {round(100 * control / len(classes), 1)}% ({majority})"


def draw(image: NDArray[np.float32], p_control: NDArray[np.float32], title: str) -> None:
    """Draw the image and a rectangle for each patch.

    Patches come row by row and are drawn column by column: so did the published code, whose picture
    shows every colour at the mirrored place.
    """
    from matplotlib import patches, pyplot

    _, axes = pyplot.subplots(1, 1)
    axes.set_title(title)
    axes.imshow(image)
    corners = ((x, y) for x in range(0, _IMAGE_PX, _PATCH_PX) for y in range(0, _IMAGE_PX, _PATCH_PX))
    for corner, p in zip(corners, p_control, strict=True):
        colour = next((name for floor, name in _COLOURS if p >= floor), "red")
        side = _PATCH_PX - 2
        axes.add_patch(patches.Rectangle(corner, side, side, linewidth=1, edgecolor=colour, facecolor="none"))
    pyplot.axis("off")


def main() -> None:
    """Answer for `end_to_end.py`."""
    packages = ["numpy", "tensorflow-cpu", "keras", "matplotlib", "pillow", "image_slicer"]
    serve("published: Keras, tile files, matplotlib, one file", packages, PublishedPipeline().diagnose)


if __name__ == "__main__":
    main()
