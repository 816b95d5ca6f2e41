"""OME-TIFF: valid by the OME schema, exact by tifffile, told alike to OME's readers and to ImageJ."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import ome_types
import pytest
import roifile
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from colvi_edge.acquisition import acquire
from colvi_edge.outputs import ome_tiff
from colvi_edge.outputs.ome_tiff import render
from colvi_edge.outputs.sidecar import Image, Model, QualityFlag, Sidecar

MakeSidecar = Callable[..., Sidecar]

PROBABILITIES = [[0.95, 0.75, 0.55], [0.5, 0.3, 0.05]]
COLOURS = [16777215, 1182971135, -65281, -65281, -5963521, -16776961]  # by hand from the paper's colours
BLURRED = QualityFlag(name="focus", severity="reject", value=1, limit=2, words="The nuclei are out of focus.")


def channel(dtype: str = "uint16", seed: int = 0, shape: tuple[int, int] = (128, 192)) -> NDArray[Any]:
    """Return noise of 2 x 3 patches."""
    return np.random.default_rng(seed).poisson(100, shape).astype(dtype)


@pytest.fixture
def sidecar(make_sidecar: MakeSidecar) -> Sidecar:
    """Return the record of an image of 2 x 3 patches in five colours."""
    return make_sidecar(PROBABILITIES)


def xml_of(data: bytes) -> str:
    """Return the first page's description."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        return str(tiff.pages.first.description)


def read(data: bytes) -> Any:
    """Return the metadata, after the schema of OME 2016-06 had its say."""
    ome_types.validate_xml(xml_of(data))
    return ome_types.from_xml(xml_of(data))


@pytest.mark.parametrize(
    ("summed", "stored"),
    [
        (channel("uint8"), "uint8"),
        (channel("uint16"), "uint16"),
        (channel("float32") / 3, "float32"),
        (channel("float64") / 3, "float64"),
        (channel("int64"), "uint16"),
        (channel("int64") + 65_500, "uint32"),
        (channel(">u2"), "uint16"),
        (channel("uint16", shape=(384, 256))[::3, 64:], "uint16"),
    ],
    ids=["uint8", "uint16", "float32", "summed float32", "summed", "large sum", "big-endian", "view"],
)
def test_the_pixels_are_the_projections(sidecar: Sidecar, summed: NDArray[Any], stored: str) -> None:
    """Two planes, nuclei first, value for value, in the raw type or the smallest that holds a sum."""
    data = render(sidecar, collagen=summed, nuclei=summed[::-1])

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        (series,) = tiff.series
        assert tiff.is_ome
        assert series.axes == "CYX"
        assert series.dtype == stored
        np.testing.assert_array_equal(series.asarray(), [summed[::-1], summed])
    read(data)


def test_imagej_gets_frames_and_headline_of_its_own(sidecar: Sidecar) -> None:
    """In its own tag, and the planes in one piece: ImageJ shows no overlay on planes that are not."""
    with tifffile.TiffFile(io.BytesIO(render(sidecar, channel(), channel()))) as tiff:
        pages = list(tiff.pages)
        own = pages[0].tags["IJMetadata"].value

    assert {page.compression for page in pages} == {1}
    assert [(len(page.dataoffsets), page.databytecounts[0]) for page in pages] == [(1, 128 * 192 * 2)] * 2
    assert pages[1].dataoffsets[0] == pages[0].dataoffsets[0] + 128 * 192 * 2
    assert own["Labels"] == [
        "nuclei: control, score 50.0 (research use only)",
        "collagen: control, score 50.0 (research use only)",
    ]
    frames = [roifile.ImagejRoi.frombytes(roi) for roi in own["Overlays"]]
    assert [(roi.name, roi.left, roi.top, roi.right, roi.bottom) for roi in frames] == [
        (f"r{row:02}_c{col:02}", 64 * col + 2, 64 * row + 2, 64 * col + 62, 64 * row + 62)
        for row in range(2)
        for col in range(3)
    ]


def test_the_channels_have_name_colour_and_scale(sidecar: Sidecar) -> None:
    """Nuclei blue, collagen green, as in the picture; micrometres in OME's tags and in TIFF's."""
    data = render(sidecar, channel(), channel())
    (image,) = read(data).images

    assert image.name == "culture_07.tif"
    assert [(c.name, c.color.as_rgb_tuple()) for c in image.pixels.channels] == [
        ("nuclei", (0, 0, 255)),
        ("collagen", (0, 255, 0)),
    ]
    for size, unit in (
        (image.pixels.physical_size_x, image.pixels.physical_size_x_unit),
        (image.pixels.physical_size_y, image.pixels.physical_size_y_unit),
    ):
        assert (size, unit.value) == (0.3, "\u00b5m")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages.first.get_resolution("MICROMETER") == pytest.approx((1 / 0.3, 1 / 0.3))


def test_pixels_need_not_be_square(sidecar: Sidecar, tmp_path: Path) -> None:
    """Width and height, each in its place, for OME's readers, for TIFF's, and for our own."""
    data = render(sidecar, channel(), channel(), pixel_height_um=0.6)
    (image,) = read(data).images

    assert (image.pixels.physical_size_x, image.pixels.physical_size_y) == (0.3, 0.6)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages.first.get_resolution("MICROMETER") == pytest.approx((1 / 0.3, 1 / 0.6))
    (tmp_path / "copy.ome.tif").write_bytes(data)
    (found,) = acquire(tmp_path / "copy.ome.tif")
    assert (found.pixel_size_um, found.pixel_height_um) == pytest.approx((0.3, 0.6))


def test_an_unknown_scale_is_not_made_up(sidecar: Sidecar) -> None:
    """No pixel size in the record: none in the file, and no resolution that programs would take for one."""
    image = sidecar.image.model_copy(update={"pixel_size_um": None})
    data = render(sidecar.model_copy(update={"image": image}), channel(), channel())

    assert read(data).images[0].pixels.physical_size_x is None
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages.first.tags["ResolutionUnit"].value == 1


def test_the_field_and_every_patch_are_rois_of_the_image(sidecar: Sidecar) -> None:
    """The field first, then row-major: place, colour, and words that say place and value."""
    data = render(sidecar, channel(), channel())
    ome = read(data)
    field, *patches = [(roi, roi.union[0]) for roi in ome.rois]

    assert [ref.id for ref in ome.images[0].roi_refs] == [roi.id for roi in ome.rois]
    assert (field[1].x, field[1].y, field[1].width, field[1].height) == (0, 0, 192, 128)
    assert field[1].text == "control, score 50.0 (research use only)"
    assert field[0].description == "Research use only. Not for use in diagnostic procedures."
    assert [(s.x, s.y, s.width, s.height) for _, s in patches] == [
        (64 * col, 64 * row, 64, 64) for row in range(2) for col in range(3)
    ]
    assert [roi.name for roi, _ in patches] == [
        f"r{row:02}_c{col:02}" for row in range(2) for col in range(3)
    ]
    assert [shape.text for _, shape in patches] == [
        "r00_c00 0.950", "r00_c01 0.750", "r00_c02 0.550", "r01_c00 0.500", "r01_c01 0.300", "r01_c02 0.050",
    ]  # fmt: skip
    assert patches[4][0].description == "p_control 0.3, p_patient 0.7, vote patient, band orange"
    written = [part.split('"')[1] for part in xml_of(data).split("StrokeColor=")[1:]]
    assert [int(colour) for colour in written[1:]] == COLOURS
    assert {shape.fill_color for _, shape in patches} == {None}


def test_the_result_stands_in_key_value_pairs(sidecar: Sidecar) -> None:
    """What OMERO shows beside the image: diagnosis, votes, model with its hash, intended use."""
    ome = read(render(sidecar, channel(), channel()))
    (pairs,) = ome.structured_annotations
    facts = {m.k: m.value for m in pairs.value.ms}

    assert [ref.id for ref in ome.images[0].annotation_refs] == [pairs.id]
    assert facts == {
        "intended_use": "Research use only. Not for use in diagnostic procedures.",
        "status": "ok",
        "diagnosis": "control",
        "score": "50.0",
        "votes_control": "3",
        "votes_patient": "2",
        "votes_tie": "1",
        "model": "colvi-edge synthetic demo model 1.0",
        "model_sha256": "cd" * 32,
        "result_id": "12345678-1234-5678-9234-567812345678",
        "software": "colvi-edge 0.1.0",
    }


def test_a_rejected_image_says_why_and_has_no_patches(make_sidecar: MakeSidecar) -> None:
    """One ROI, the field; no diagnosis anywhere."""
    data = render(make_sidecar(None, quality=[BLURRED]), channel(), channel())
    ome = read(data)
    facts = {m.k: m.value for m in ome.structured_annotations[0].value.ms}

    assert [roi.name for roi in ome.rois] == ["field"]
    assert ome.rois[0].union[0].text == "rejected, not judged (research use only)"
    assert facts["status"] == "rejected"
    assert facts["quality"] == "The nuclei are out of focus."
    assert not {"diagnosis", "score", "votes_control"} & set(facts)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        own = tiff.pages.first.tags["IJMetadata"].value
    assert own == {
        "Labels": [f"{name}: rejected, not judged (research use only)" for name in ome_tiff.CHANNELS]
    }


def test_equal_results_give_equal_bytes(sidecar: Sidecar) -> None:
    """No clock in the file; its UUID follows from the result."""
    one = render(sidecar, channel(), channel(seed=1))
    other = sidecar.model_copy(update={"result_id": UUID(int=1)})

    assert one == render(sidecar.model_copy(update={"timings_ms": {}}), channel(), channel(seed=1))
    with tifffile.TiffFile(io.BytesIO(one)) as tiff:
        assert "DateTime" not in tiff.pages.first.tags
    assert read(one).uuid.startswith("urn:uuid:")
    assert read(one).uuid != read(render(other, channel(), channel(seed=1))).uuid


@given(name=st.text(min_size=1), key=st.text())
@settings(max_examples=40, deadline=None)
def test_any_name_makes_valid_ascii_xml(make_sidecar: MakeSidecar, name: str, key: str) -> None:
    """XML forbids control characters and half surrogates; letters of any script are read back."""
    image = Image(name=name, key=key, axes="YX", shape=[64, 64])
    model = Model(name=name, version=key, sha256="cd" * 32)
    sidecar = make_sidecar([[0.9]], image=image, model=model)
    data = render(sidecar, channel(shape=(64, 64)), channel(shape=(64, 64)))

    assert xml_of(data).isascii()
    found = read(data).images[0].name
    assert found is not None
    if name.isprintable() and not key:
        assert found.split() == name.split()


def test_an_image_of_several_is_called_as_bio_formats_calls_it(make_sidecar: MakeSidecar) -> None:
    """OMERO and Fiji then show raw image and overlay under one name."""
    image = Image(name="X.lif", key="0003-Series004", axes="YX", shape=[64, 64])
    data = render(make_sidecar([[0.9]], image=image), channel(shape=(64, 64)), channel(shape=(64, 64)))

    assert read(data).images[0].name == "X.lif [Series004]"


def test_our_own_reader_takes_it_for_the_image_it_was(sidecar: Sidecar, tmp_path: Path) -> None:
    """Copied elsewhere and read as a raw file: the same channels by name, at the same scale."""
    (tmp_path / "copy.ome.tif").write_bytes(render(sidecar, collagen=channel(seed=1), nuclei=channel(seed=2)))
    (found,) = acquire(tmp_path / "copy.ome.tif")

    np.testing.assert_array_equal(
        found.laid_out(["collagen", "nuclei"])[0], [channel(seed=1), channel(seed=2)]
    )
    assert found.pixel_size_um == pytest.approx(0.3)


def test_beyond_two_gigabytes_offsets_get_64_bits(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF ends at 4 GiB; the larger kind holds all the same."""
    monkeypatch.setattr(ome_tiff, "_BIG_BYTES", 1)
    data = render(sidecar, channel(), channel(seed=1))

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.is_bigtiff
        np.testing.assert_array_equal(tiff.asarray(), [channel(seed=1), channel()])
        assert len(tiff.pages.first.tags["IJMetadata"].value["Overlays"]) == 6
    assert len(read(data).rois) == 7
