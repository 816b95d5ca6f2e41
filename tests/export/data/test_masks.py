"""Images with masks: what a dataset may be, what each mask means, and what is refused in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from colvi_edge.errors import UsageError
from colvi_edge.export.data.masks import Masked, classes_in, has_masks, read_masked, read_masks
from colvi_edge.export.data.windows import WindowSource, target_of
from colvi_edge.patches import Normalisation, normalise_image
from colvi_edge.simulate import write_imagej

SIZE_PX = 96


def drawn(seed: int) -> NDArray[np.uint16]:
    """Return an image that no other seed gives."""
    return np.random.default_rng(seed).poisson(900, (2, SIZE_PX, SIZE_PX)).astype(np.uint16)


def put(folder: Path, name: str, mask: NDArray[Any] | None, seed: int = 0) -> Path:
    """Write a drawn image, and its mask beside it."""
    path = folder / "images" / name
    write_imagej(path, drawn(seed))
    if mask is not None:
        (folder / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(folder / "masks" / name, mask, photometric="minisblack")
    return path


def halves(dtype: str = "uint8", value: int = 1) -> NDArray[Any]:
    """Return a mask whose right half is something."""
    mask = np.zeros((SIZE_PX, SIZE_PX), dtype)
    mask[:, SIZE_PX // 2 :] = value
    return mask


def read(where: Path) -> tuple[list[Masked], dict[str, str]]:
    """Return what a dataset holds, and why what was left out was."""
    left: dict[str, str] = {}
    return list(read_masks(read_masked(where), ("nuclei",), left_out=left.__setitem__)), left


def test_eight_bits_are_classes_and_sixteen_are_objects(tmp_path: Path) -> None:
    """Classes are taken as they are, 255 too; objects become one class and keep their numbers."""
    classes = halves()
    classes[0] = 255
    put(tmp_path / "c", "a.tif", classes)
    put(tmp_path / "o", "a.tif", halves("uint16", 700))

    (of_classes,), _ = read(tmp_path / "c")
    (of_objects,), _ = read(tmp_path / "o")

    assert np.array_equal(of_classes.target, classes)
    assert of_classes.objects is None
    assert of_classes.planes.shape == (1, 1, SIZE_PX, SIZE_PX)
    assert classes_in([of_classes]) == 2
    assert np.array_equal(of_objects.target, halves())
    assert of_objects.objects is not None
    assert np.array_equal(of_objects.objects, halves("int32", 700))


def test_a_folder_with_splits_and_a_table_name_the_same(tmp_path: Path) -> None:
    """Splits are folders or a column; subjects come from a table, and one person is one however written."""
    put(tmp_path / "training", "a.tif", halves())
    put(tmp_path / "test", "b.tif", halves(), 1)
    table = tmp_path / "t.csv"
    rows = [
        "path,mask,subject,split",
        "training/images/a.tif,training/masks/a.tif,P07 ,training",
        "test/images/b.tif,test/masks/b.tif,p08,test",
    ]
    table.write_text("\n".join(rows))

    assert has_masks(tmp_path)
    assert has_masks(table)
    folders, named = read_masked(tmp_path), read_masked(table)
    assert [(one.path, one.mask, one.split) for one in folders] == [
        (one.path, one.mask, one.split) for one in named
    ]
    assert [one.group for one in named] == ["subject p07", "subject p08"]


def test_a_dataset_with_labels_has_no_masks(tmp_path: Path) -> None:
    """Folders of classes, tables of labels, and what is none at all."""
    (tmp_path / "control").mkdir()
    (tmp_path / "t.csv").write_text("path,label\n")

    assert not any(map(has_masks, (tmp_path, tmp_path / "t.csv", tmp_path / "gone")))


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (halves(value=255), "holds 0 and 255 alone"),
        (halves("float32"), "uint8 for classes or uint16 for objects"),
        (halves()[:64], "of 96 x 64 pixels"),
        (np.stack([halves()] * 3), "has 3 pages"),
    ],
)
def test_a_mask_that_does_not_fit_leaves_its_image_out(tmp_path: Path, mask: NDArray[Any], why: str) -> None:
    """One sentence says what was found; the others are read."""
    put(tmp_path, "bad.tif", mask)
    put(tmp_path, "good.tif", halves(), 1)

    masked, left = read(tmp_path)

    assert [one.image.name for one in masked] == ["images/good.tif"]
    assert list(left) == ["images/bad.tif"]
    assert why in left["images/bad.tif"]


def test_a_damaged_mask_leaves_its_image_out(tmp_path: Path) -> None:
    """Half a file, and text."""
    put(tmp_path, "a.tif", halves())
    mask = tmp_path / "masks/a.tif"
    for content in (mask.read_bytes()[:200], b"no picture", b""):
        mask.write_bytes(content)
        masked, left = read(tmp_path)

        assert not masked
        assert "its mask is no TIFF that is read here" in left["images/a.tif"]


def test_a_mask_whose_pixels_cannot_be_decoded_leaves_its_image_out(tmp_path: Path) -> None:
    """Its directories are sound, and the compressed pixels are not; the others are read."""
    put(tmp_path, "bad.tif", None)
    put(tmp_path, "good.tif", halves(), 1)
    mask = tmp_path / "masks/bad.tif"
    tifffile.imwrite(mask, halves("uint16"), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(mask) as file:
        at, length = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    content = bytearray(mask.read_bytes())
    content[at : at + length] = bytes(length)
    mask.write_bytes(content)

    masked, left = read(tmp_path)

    assert [one.image.name for one in masked] == ["images/good.tif"]
    assert list(left) == ["images/bad.tif"]
    assert "its mask cannot be read: its pixels cannot be decoded" in left["images/bad.tif"]


def test_lone_images_and_masks_are_told(tmp_path: Path) -> None:
    """A forgotten mask, a mask of nothing, two images of one name."""
    put(tmp_path / "a", "x.tif", halves())
    put(tmp_path / "a", "y.tif", None)
    put(tmp_path / "b", "x.tif", halves())
    tifffile.imwrite(tmp_path / "b/masks/y.tif", halves())
    put(tmp_path / "c", "x.tif", halves())
    write_imagej(tmp_path / "c/more/x.tif", drawn(3))

    for name, why in (("a", "image has no mask: y"), ("b", "mask has no image: y"), ("c", "one mask")):
        with pytest.raises(UsageError, match=why):
            read_masked(tmp_path / name)


def test_two_kinds_of_masks_are_refused(tmp_path: Path) -> None:
    """Whichever comes first."""
    for name, dtypes in (("a", ("uint8", "uint16")), ("b", ("uint16", "uint8"))):
        for k, dtype in enumerate(dtypes):
            put(tmp_path / name, f"{k}.tif", halves(dtype), k)
        with pytest.raises(UsageError, match="save all as one kind"):
            read(tmp_path / name)


def test_more_classes_than_a_bundle_has_are_refused(tmp_path: Path) -> None:
    """Most likely they are numbers of objects."""
    put(tmp_path, "a.tif", halves(value=70))
    masked, _ = read(tmp_path)

    with pytest.raises(UsageError, match="save the numbers of objects in 16 bits"):
        classes_in(masked)


def test_objects_that_touch_are_learnt_apart(tmp_path: Path) -> None:
    """A line of background on both sides of where they meet, across corners too; nothing else changes."""
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint16)
    mask[10:20, 10:20], mask[10:20, 20:30] = 1, 2
    mask[40:50, 40:50], mask[50:60, 50:60] = 3, 4
    put(tmp_path, "a.tif", mask)
    (masked,), _ = read(tmp_path)

    learnt = target_of(masked)

    lost = {(y, x) for y, x in np.argwhere((mask > 0) & (learnt == 0)).tolist()}
    assert lost == {(y, x) for y in range(10, 20) for x in (19, 20)} | {(49, 49), (50, 50)}
    assert not (learnt[mask == 0]).any()


def test_windows_cover_each_image_and_keep_their_masks(tmp_path: Path) -> None:
    """As many as cover the images; each a turn of a place in a normalised image, its mask turned alike."""
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint16)
    mask[:48, :70] = 1
    put(tmp_path, "a.tif", mask)
    put(tmp_path, "b.tif", mask.T, 1)
    masked, _ = read(tmp_path)
    whole = [normalise_image(one.counts, Normalisation("image"))[0] for one in masked]

    batches = list(WindowSource(masked, Normalisation("image"), 64).batches(3, np.random.default_rng(2)))

    assert sum(len(batch.inputs) for batch in batches) == 2 * 4
    assert [round(batch.share, 3) for batch in batches] == [0.375, 0.75, 1]
    for batch in batches:
        for window, target in zip(batch.inputs[:, 0], batch.target, strict=True):
            assert any(
                _is_a_turn(window, target, image, one.target)
                for image, one in zip(whole, masked, strict=True)
            )


def _is_a_turn(window: NDArray[Any], target: NDArray[Any], image: NDArray[Any], mask: NDArray[Any]) -> bool:
    """Return whether some turn of a window and of its mask lies somewhere in an image and its mask."""
    for way in range(8):
        seen, said = (np.rot90(one.T if way > 3 else one, way % 4) for one in (window, target))
        for row, col in np.argwhere(image == seen[0, 0]).tolist():
            here = slice(row, row + 64), slice(col, col + 64)
            if np.array_equal(image[here], seen) and np.array_equal(mask[here], said):
                return True
    return False


def test_small_images_are_padded_with_what_nobody_annotated(tmp_path: Path) -> None:
    """Right and below, so that nothing is learnt from it."""
    put(tmp_path, "a.tif", halves())
    masked, _ = read(tmp_path)

    (batch,) = WindowSource(masked, Normalisation("image"), 128).batches(8, np.random.default_rng(0))

    assert batch.inputs.shape == (1, 1, 128, 128)
    assert (batch.target != 255).sum() == SIZE_PX**2
    assert (batch.inputs[:, 0][batch.target == 255] == 0).all()
