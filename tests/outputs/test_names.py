"""Names of outputs: as published, unique, and possible on every file system."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.outputs.names import (
    USUAL_KINDS,
    OutputKind,
    explanation_name,
    image_label,
    is_output_name,
    output_name,
    series_name,
)
from colvi_edge.raw_files import is_raw_name
from colvi_edge.system.atomic import is_temporary_name, open_folder, write_atomically
from tests.tools.results import USUAL

RAW_NAMES = (
    st.binary(min_size=1, max_size=255)
    .filter(lambda name: not {0, ord("/")} & set(name) and name not in (b".", b".."))
    .map(os.fsdecode)
)
KEYS = st.one_of(st.just(""), st.text(st.characters(codec="utf-8"), max_size=300))


def test_the_names_beside_a_tiff_are_the_published_ones() -> None:
    """Lab software looks for exactly these names."""
    assert [output_name("X.tif", kind) for kind in OutputKind] == [
        "X.tif.colvi.json",
        "X.tif.colvi.png",
        "X.tif.colvi.csv",
        "X.tif.colvi.geojson",
        "X.tif.colvi.rois.zip",
        "X.tif.colvi.labels.tif",
        "X.tif.colvi.ome.tif",
        "X.tif.colvi.error.json",
        "X.tif.colvi.prev.json",
    ]
    assert [kind.value for kind in USUAL_KINDS] == [f".colvi.{end}" for end in USUAL]


def test_an_image_of_several_has_its_key_in_the_name() -> None:
    """Each image of a .lif has its own set; the index of all has none."""
    assert output_name("X.lif", OutputKind.OVERLAY, "0003-Series004") == "X.lif.0003-Series004.colvi.png"
    assert image_label("X.lif", "0003-Series004") == "X.lif.0003-Series004"
    assert image_label("X.tif", "") == "X.tif"


def test_the_name_of_a_series_is_that_of_bio_formats() -> None:
    """As OMERO lists the images of a .lif; a dash in the series' own name stays."""
    assert series_name("X.tif", "") == "X.tif"
    assert series_name("X.lif", "0003-Series004") == "X.lif [Series004]"
    assert series_name("X.lif", "0000-20x-zoom") == "X.lif [20x-zoom]"


def test_no_output_is_taken_for_a_raw_file() -> None:
    """The OME-TIFF ends like one: diagnosed, it would leave an OME-TIFF to diagnose, for ever."""
    assert not any(is_raw_name(output_name("X.tif", kind)) for kind in OutputKind)
    assert not any(is_raw_name(output_name("X" * 300 + ".tif", kind)) for kind in OutputKind)


@pytest.mark.parametrize(
    ("key", "in_name"),
    [
        ("0001-a/b", "0001-a_b"),
        ("../../etc/passwd", "___.._etc_passwd"),
        ("...", "___"),
        ("0002-a\nb\x00c\x1b[31m", "0002-a_b_c_[31m"),
        ('0003-a\\b:c*d?e"f<g>h|i', "0003-a_b_c_d_e_f_g_h_i"),
        ("0004-\u202egnp.exe", "0004-_gnp.exe"),
        ("0005-\u00dcbersicht 1", "0005-\u00dcbersicht 1"),
    ],
)
def test_keys_cannot_leave_the_folder_or_forge_a_line(key: str, in_name: str) -> None:
    """A series name comes from inside the file: it may hold anything, the file name may not."""
    assert output_name("X.lif", OutputKind.SIDECAR, key) == f"X.lif.{in_name}.colvi.json"


@given(RAW_NAMES, KEYS)
def test_names_always_fit_and_are_known_as_ours(raw_name: str, key: str) -> None:
    """255 bytes is the limit everywhere; all outputs of an image share their beginning."""
    names = {kind: output_name(raw_name, kind, key) for kind in OutputKind}

    assert len(set(names.values())) == len(OutputKind)
    assert len({name.removesuffix(kind.value) for kind, name in names.items()}) == 1
    for name in names.values():
        assert len(os.fsencode(name)) <= 255
        assert "/" not in name
        assert "\0" not in name
        assert is_output_name(name)


@given(RAW_NAMES, KEYS)
def test_explanations_lie_beside_the_results_and_are_none(raw_name: str, key: str) -> None:
    """Named after the same image, known as ours, at most 255 bytes long, never a record or a raw file."""
    sidecar = output_name(raw_name, OutputKind.SIDECAR, key)
    for subject in ("saliency", "patch-09-15", "patch-100-2047"):
        name = explanation_name(raw_name, subject, key)

        assert name.endswith(f".colvi.{subject}.png")
        assert not name.endswith(tuple(kind.value for kind in OutputKind))
        assert len(os.fsencode(name)) <= 255
        assert is_output_name(name)
        assert not is_raw_name(name)
        if len(os.fsencode(name)) < 230:
            assert name.removesuffix(f".{subject}.png") == sidecar.removesuffix(".json")


def test_the_names_of_explanations_are_the_published_ones() -> None:
    """README and the help name them so."""
    assert explanation_name("X.tif", "saliency") == "X.tif.colvi.saliency.png"
    assert explanation_name("X.lif", "patch-03-07", "0003-a/b") == "X.lif.0003-a_b.colvi.patch-03-07.png"
    assert len(explanation_name("x" * 251 + ".tif", "patch-03-07")) == 255


@given(RAW_NAMES, RAW_NAMES)
def test_two_files_never_share_an_output(one: str, other: str) -> None:
    """Names that are cut keep a hash of what was cut away."""
    names = {output_name(raw_name, OutputKind.SIDECAR) for raw_name in (one, other)}

    assert (len(names) == 1) == (one == other)


def test_long_names_that_differ_at_the_end_stay_apart_and_valid(tmp_path: Path) -> None:
    """The cut falls between characters, and the file system takes the result."""
    names = [output_name("\u00e4" * 125 + end, OutputKind.ROIS) for end in ("1.tif", "2.tif")]
    with open_folder(tmp_path) as folder_fd:
        for name in names:
            write_atomically(folder_fd, name, b"")

    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    for name in names:
        assert name.encode("utf-8")  # no half character, which would be a surrogate
        assert name.startswith("\u00e4" * 100)


def test_a_cut_name_ends_in_the_beginning_of_its_sha256() -> None:
    """The hash can be found again with sha256sum."""
    # printf '%s.tif' "$(printf 'x%.0s' $(seq 251))" | sha256sum
    assert output_name("x" * 251 + ".tif", OutputKind.SIDECAR).endswith("x~d8edaaa1.colvi.json")


@pytest.mark.parametrize(
    "name",
    [
        "X.tif",
        "X.colvi",
        "colvi.json",
        "X.tif.json",
        ".colvi-edge.lock",
        "X.tif.tmp",
        "X.tif.saliency.png",
        "a.colvi.patch-1-2.png",
    ],
)
def test_other_files_are_not_taken_for_ours(name: str) -> None:
    """A raw file, a bundle or a lock must not be passed over or swept away."""
    assert not is_output_name(name)
    assert not is_temporary_name(name)
