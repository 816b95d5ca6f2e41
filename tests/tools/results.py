"""Of which files a result consists, spelt by hand once for all tests that ask.

`soak/promises.py` has its own list: it judges a folder, and shares no line with what it judges or with tests.
"""

USUAL = ("json", "png", "csv", "geojson", "rois.zip")
"""What the files of every image that was judged end in, behind `.colvi.`."""

REJECTED = ("json", "png")
"""Of an image that was rejected."""


def files_of(label: str, *more: str) -> set[str]:
    """Return how the files of a judged image are called.

    Args:
        label: its raw file, with the image's key and the slot, if it has them; and its folders.
        more: ends of files that it has besides, such as labels.tif.
    """
    return {f"{label}.colvi.{end}" for end in (*USUAL, *more)}
