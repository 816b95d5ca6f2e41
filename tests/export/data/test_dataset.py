"""Datasets: folders, tables, what is read of them, and what would leak."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from colvi_edge.errors import UsageError
from colvi_edge.export.data.dataset import digest_of, read_dataset, read_images
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from tests.tools.leica import Series, container

LAYOUT = ("collagen", "nuclei")


def write(path: Path, seed: int) -> Path:
    """Write a projection of noise in the channels (nuclei, collagen)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 4000, (2, 64, 128)).astype(np.uint16)
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "CYX"})
    return path


def table(folder: Path, *rows: str) -> Path:
    """Write a table, and a different image for each path in it that is not there."""
    for number, row in enumerate(rows[1:]):
        path = folder / row.split(",")[0]
        if not path.exists():
            write(path, number)
    file = folder / "cultures.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


def test_a_folder_tells_the_label(tmp_path: Path) -> None:
    """Sub-folders control and patient are searched to any depth; what lies elsewhere is not read."""
    for number, name in enumerate(
        ("control/a.tif", "control/deep/b.tif", "patient/c.tif", "other/d.tif", "e.tif")
    ):
        write(tmp_path / name, number)
    entries = read_dataset(tmp_path)

    assert [(entry.name, entry.label) for entry in entries] == [
        ("control/a.tif", "control"),
        ("patient/c.tif", "patient"),
        ("control/deep/b.tif", "control"),
    ]


def test_folders_may_tell_the_split(tmp_path: Path) -> None:
    """training/, validation/ and test/ each hold control/ and patient/; what lies beside them is not read."""
    for number, split in enumerate(("training", "test", "other")):
        write(tmp_path / split / "control/a.tif", 2 * number)
        write(tmp_path / split / "patient/b.tif", 2 * number + 1)
    entries = read_dataset(tmp_path)

    assert [(entry.name, entry.label, entry.split) for entry in entries] == [
        ("training/control/a.tif", "control", "training"),
        ("training/patient/b.tif", "patient", "training"),
        ("test/control/a.tif", "control", "test"),
        ("test/patient/b.tif", "patient", "test"),
    ]


def test_a_table_tells_label_subject_and_split(tmp_path: Path) -> None:
    """Paths start from the table's folder, as spreadsheets save it: a mark first, any case, quoted cells."""
    write(tmp_path / "day 1/a,b.tif", 7)
    rows = ("\ufeffPath,Label,Subject,Split", '"day 1/a,b.tif",Control,C1,Training', "c.tif,patient,P1,test")
    (tmp_path / "x.csv").write_text("\r\n".join(rows), encoding="utf-8")
    write(tmp_path / "c.tif", 8)
    entries = read_dataset(tmp_path / "x.csv")

    assert [(e.name, e.label, e.subject, e.split) for e in entries] == [
        ("day 1/a,b.tif", "control", "c1", "training"),
        ("c.tif", "patient", "p1", "test"),
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_may_be_any_spreadsheets(tmp_path: Path, mark: str) -> None:
    """Half of Europe separates by semicolons, a clipboard by tabs; empty rows at the end are nothing."""
    write(tmp_path / "a.tif", 1)
    write(tmp_path / "b.tif", 2)
    rows = ("path,label,subject", "a.tif,control,", "b.tif,patient,", ",,", ",,")
    (tmp_path / "x.csv").write_text("\n".join(rows).replace(",", mark), encoding="utf-8")

    assert [entry.label for entry in read_dataset(tmp_path / "x.csv")] == ["control", "patient"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            ("path,label,subject", "control/a.tif,control,S1", "patient/b.tif,patient,S1"),
            "subject s1 has control/a",
        ),
        (
            (
                "path,label,subject,split",
                "a.tif,control,S1,training",
                "b.tif,control,S1,test",
                "c.tif,patient,P,test",
            ),
            r"subject s1 has a.tif \(control, training\) and b.tif \(control, test\)",
        ),
        (
            (
                "path,label,subject,split",
                "a.tif,control,P 0,training",
                "b.tif,control,p  0,test",
                "c.tif,patient,P,test",
            ),
            r"subject p 0 has",
        ),
        (("path,label", "a.tif,control", "./a.tif,control", "b.tif,patient"), "a.tif stands there 2 times"),
        (("path,label", "a.tif,control", "b.tif,healthy"), "line 3 has the label 'healthy'"),
        (("path,label,split", "a.tif,control,dev", "b.tif,patient,test"), "line 2 has the split 'dev'"),
        (("path,label,split", "a.tif,control,", "b.tif,patient,test"), "1 of 2 files have no split"),
        (("path,label", "a.tif,control"), "holds no patient"),
        (("file,label", "a.tif,control"), "has the columns file,label"),
        (("path,label,label", "a.tif,control,control"), "has the columns path,label,label"),
        (("path,label", "a.tif"), "line 2 has not as many cells as the head"),
        (("path,label", "a.tif,control,more"), "line 2 has not as many cells as the head"),
        (("path,label", 'a.tif,"control'), "is no table in UTF-8"),
        (("path,label", ",control"), "is no file"),
        ((), "has the columns"),
    ],
)
def test_a_table_that_leaks_or_is_unclear_is_refused(
    tmp_path: Path, rows: tuple[str, ...], words: str
) -> None:
    """Nobody is learnt from and tested on; every refusal names what was found."""
    with pytest.raises(UsageError, match=words):
        read_dataset(table(tmp_path, *rows))


def test_a_missing_file_is_named_with_its_line(tmp_path: Path) -> None:
    """A table that names a file that is not there is refused before anything is read."""
    file = table(tmp_path, "path,label", "a.tif,control", "b.tif,patient")
    (tmp_path / "b.tif").unlink()

    with pytest.raises(UsageError, match=r"line 3: b\.tif is no file"):
        read_dataset(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00 not text", b"\x00" * 100, b"MM\x00*" + bytes(range(256))])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    """An image or any other file in place of the table is refused in a sentence."""
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(UsageError, match=r"expected path,label|is no table"):
        read_dataset(tmp_path / "x")


def test_images_are_laid_out_and_grouped(tmp_path: Path) -> None:
    """Planes come as the network takes them; images of a subject are one group, others one each."""
    write(tmp_path / "a.tif", 0)
    file = table(
        tmp_path,
        "path,label,subject",
        "a.tif,control,S1",
        "b.tif,control,S1",
        "c.tif,patient,",
        "d.tif,patient,",
    )
    found = list(read_images(read_dataset(file), LAYOUT, PATCH_PX))
    stored = tifffile.imread(tmp_path / "a.tif")

    assert np.array_equal(found[0][1][0], stored[::-1])
    assert [image.label for image, _ in found] == [0, 0, 1, 1]
    assert found[0][0].group == found[1][0].group
    assert len({image.group for image, _ in found}) == 3
    assert [image.name for image, _ in found] == ["a.tif", "b.tif", "c.tif", "d.tif"]


def test_folders_of_both_kinds_are_refused(tmp_path: Path) -> None:
    """With control/ beside test/, one of them would be passed over in silence."""
    for number, name in enumerate(
        ("control/a.tif", "patient/b.tif", "test/control/c.tif", "test/patient/d.tif")
    ):
        write(tmp_path / name, number)

    with pytest.raises(UsageError, match="holds control/ and test/, and one of them would be passed over"):
        read_dataset(tmp_path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    """A folder of a class without images is refused by its name."""
    write(tmp_path / "patient/b.tif", 1)
    (tmp_path / "control").mkdir()

    with pytest.raises(UsageError, match=r"control: found no \.tif, \.tiff or \.lif file"):
        read_dataset(tmp_path)


def test_images_of_a_container_that_cannot_be_judged_are_told(tmp_path: Path) -> None:
    """Of a .lif with a depth scan among its images, the others are read, in one group; the scan is told."""
    (tmp_path / "patient").mkdir()
    write(tmp_path / "control/a.tif", 1)
    scan = Series(np.ones((3, 64, 64), "u1"), "CZX", "depth")
    pictures = [np.random.default_rng(k).integers(0, 4000, (2, 64, 64)).astype("u2") for k in (5, 6)]
    series = [Series(picture, "CYX", f"field {k}") for k, picture in enumerate(pictures)]
    (tmp_path / "patient/day.lif").write_bytes(container(series[0], scan, series[1]).data)
    said: list[tuple[str, str]] = []
    found = [
        image
        for image, _ in read_images(
            read_dataset(tmp_path), LAYOUT, PATCH_PX, left_out=lambda *told: said.append(told)
        )
    ]

    assert [image.name for image in found] == [
        "control/a.tif",
        "patient/day.lif.0000-field 0",
        "patient/day.lif.0002-field 1",
    ]
    assert found[1].group == found[2].group
    assert len(said) == 1
    assert "depth" in " ".join(said[0])


def test_names_of_a_table_cannot_ring_a_bell(tmp_path: Path) -> None:
    """What a name holds of control characters is escaped before it is shown."""
    write(tmp_path / "a\a.tif", 1)
    write(tmp_path / "b.tif", 2)
    (tmp_path / "x.csv").write_text("path,label\na\a.tif,control\nb.tif,patient\n", encoding="utf-8")

    assert read_dataset(tmp_path / "x.csv")[0].name == "a\\x07.tif"


def test_the_same_picture_twice_is_refused(tmp_path: Path) -> None:
    """A copy under another name, compressed, in another type of number or as a stack is the same picture."""
    write(tmp_path / "control/a.tif", 1)
    image = tifffile.imread(tmp_path / "control/a.tif")
    write(tmp_path / "patient/b.tif", 2)
    copies = {"compressed": image, "float": image.astype(np.float32)}
    for name, copy in copies.items():
        path = tmp_path / f"patient/{name}.tif"
        tifffile.imwrite(path, copy, metadata={"axes": "CYX"}, ome=True, compression="zlib")
        with pytest.raises(UsageError, match=rf"control/a\.tif and patient/{name}\.tif are the same picture"):
            list(read_images(read_dataset(tmp_path), LAYOUT, PATCH_PX))
        path.unlink()

    half = image // 2
    assert digest_of(np.stack([half, image - half])) == digest_of(image[np.newaxis])
    assert digest_of(image[np.newaxis]) != digest_of(image[np.newaxis, ::-1])
    assert digest_of(image[np.newaxis]) != digest_of(image.reshape(1, 2, 128, 64))


def test_a_file_that_cannot_be_read_is_left_out_aloud(tmp_path: Path) -> None:
    """One broken file costs a sentence, not the others."""
    for number, name in enumerate(("control/a.tif", "patient/b.tif", "patient/c.tif")):
        write(tmp_path / name, number)
    (tmp_path / "patient/b.tif").write_bytes((tmp_path / "patient/b.tif").read_bytes()[:-500])
    said: list[tuple[str, str]] = []
    found = list(
        read_images(read_dataset(tmp_path), LAYOUT, PATCH_PX, left_out=lambda *told: said.append(told))
    )

    assert [image.name for image, _ in found] == ["control/a.tif", "patient/c.tif"]
    assert len(said) == 1
    assert said[0][0] == "patient/b.tif"
    assert "b.tif" not in said[0][1]


def test_a_stack_that_ends_black_is_left_out_aloud(tmp_path: Path) -> None:
    """Nothing may be learnt from what was not recorded, however old the file is."""
    write(tmp_path / "control/a.tif", 1)
    path = write(tmp_path / "patient/b.tif", 2)
    image = tifffile.imread(path)
    image[-1] = 0
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "CYX"})
    os.utime(path, times=(0, 0))
    said: list[tuple[str, str]] = []
    found = list(
        read_images(read_dataset(tmp_path), LAYOUT, PATCH_PX, left_out=lambda *told: said.append(told))
    )

    assert [image.name for image, _ in found] == ["control/a.tif"]
    words = "its last plane holds nothing but zeros, as after an acquisition that ended early"
    assert said == [("patient/b.tif", words)]
