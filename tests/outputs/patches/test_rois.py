"""ImageJ's ROI Manager takes the zip; `roifile` reads it here."""

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import roifile

from colvi_edge.outputs.patches.rois import render
from colvi_edge.outputs.sidecar import Sidecar

MakeSidecar = Callable[..., Sidecar]

PROBABILITIES = [[0.95, 0.75, 0.55], [0.5, 0.3, 0.05]]


def read(data: bytes) -> dict[str, roifile.ImagejRoi]:
    """Return the ROIs by the name of their entry, in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: roifile.ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()}


def test_every_patch_is_a_named_rectangle_at_its_place(make_sidecar: MakeSidecar) -> None:
    """Row-major; the ROI Manager lists the entries' names."""
    rois = read(render(make_sidecar(PROBABILITIES)))

    assert list(rois) == [
        "r00_c00.roi", "r00_c01.roi", "r00_c02.roi", "r01_c00.roi", "r01_c01.roi", "r01_c02.roi",
    ]  # fmt: skip
    for number, (entry, roi) in enumerate(rois.items()):
        row, col = divmod(number, 3)
        assert roi.name + ".roi" == entry
        assert roi.roitype == roifile.ROI_TYPE.RECT
        assert (roi.left, roi.top, roi.right, roi.bottom) == (
            64 * col,
            64 * row,
            64 * col + 64,
            64 * row + 64,
        )
        assert (roi.c_position, roi.z_position, roi.t_position, roi.position) == (0, 0, 0, 0)


def test_colour_group_and_properties_say_the_band(make_sidecar: MakeSidecar) -> None:
    """Opaque outlines in the paper's colours, group 1 (cyan) to 5 (red)."""
    rois = list(read(render(make_sidecar(PROBABILITIES))).values())

    assert [roi.group for roi in rois] == [1, 2, 3, 3, 4, 5]
    assert [roi.stroke_color.hex() for roi in rois] == [
        "ff00ffff", "ff4682b4", "ffffff00", "ffffff00", "ffffa500", "ffff0000",
    ]  # fmt: skip
    assert {roi.stroke_width for roi in rois} == {2}
    assert {roi.fill_color.hex() for roi in rois} == {"00000000"}
    assert rois[3].props == "p_control: 0.5\np_patient: 0.5\nvote: tie\nband: yellow\n"
    assert rois[5].props == "p_control: 0.05\np_patient: 0.95\nvote: patient\nband: red\n"


def test_the_version_is_the_last_that_keeps_our_colours(make_sidecar: MakeSidecar) -> None:
    """From version 228 on ImageJ paints a ROI in the colour of its group."""
    assert {roi.version for roi in read(render(make_sidecar(PROBABILITIES))).values()} == {227}


def test_wide_images_keep_their_places_up_to_the_formats_end(make_sidecar: MakeSidecar) -> None:
    """Beyond 32767 the 16 bits are unsigned; what ends beyond 60535 is left out, not misplaced."""
    rois = read(render(make_sidecar(np.full((1, 950), 0.8, np.float32))))

    assert list(rois)[-1] == "r00_c944.roi"
    assert len(rois) == 945  # 945 x 64 = 60480, 946 x 64 = 60544
    edges = [np.frombuffer(roi.tobytes()[8:16], ">u2").tolist() for roi in rois.values()]
    assert edges == [[0, 64 * col, 64, 64 * col + 64] for col in range(945)]


def test_equal_results_give_equal_bytes(make_sidecar: MakeSidecar) -> None:
    """No clock in the zip, and files that can be read once they are unpacked."""
    data = render(make_sidecar(PROBABILITIES))

    assert data == render(make_sidecar(PROBABILITIES))
    for entry in zipfile.ZipFile(io.BytesIO(data)).infolist():
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == 0o644


def test_a_rejected_image_has_no_rois(make_sidecar: MakeSidecar) -> None:
    """Asking for them is a bug, not an empty zip."""
    with pytest.raises(ValueError, match="rejected"):
        render(make_sidecar(None))
