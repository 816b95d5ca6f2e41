"""Formats are known by suffix, read or not, and nothing else of a name is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.outputs.names import OutputKind, explanation_name, is_output_name, output_name
from colvi_edge.raw_files import (
    NOT_READ,
    RAW_SUFFIXES,
    is_container_name,
    is_raw_name,
    unread_suffix,
    unread_words,
)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.nd2", ".nd2"),
        ("A.CZI", ".czi"),
        ("Meier, Anna.1987.oir", ".oir"),
        ("brain.nii.gz", ".nii.gz"),
        ("brain.nii", ".nii"),
        ("a.tif.png", ".png"),
        ("a.xlef", ".xlef"),
        ("a.tif", ""),
        ("a.lif", ""),
        ("a.gz", ""),
        ("a.tar.gz", ""),
        ("nd2", ""),
        ("a.nd2.part", ""),
        (".hidden.nd2", ""),
        (".nd2", ""),
        ("~$a.nd2", ""),
        ("notes.txt", ""),
        ("a.", ""),
        ("a.tif.colvi.png", ""),
        ("a.tif.colvi.saliency.png", ""),
        (".colvi-1-2.tmp", ""),
    ],
)
def test_the_suffix_tells_the_format(name: str, suffix: str) -> None:
    """In capitals too; unfinished, hidden and our own files are none."""
    assert unread_suffix(name) == suffix


@given(st.text(), st.sampled_from([*NOT_READ, *RAW_SUFFIXES, ".txt", ""]))
def test_only_suffixes_of_the_table_are_told(start: str, end: str) -> None:
    """Whatever a file is called; and no file is both read and not read."""
    suffix = unread_suffix(start + end)

    assert suffix == "" or suffix in NOT_READ
    assert not (suffix and is_raw_name(start + end))
    assert not (suffix and is_output_name(start + end))


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("a.lif", True),
        ("A.LIF", True),
        ("a.tif.lif", True),
        ("a.lif.tif", False),
        ("a.tiff", False),
        ("alif", False),
        ("a.xlif", False),
        ("a.lif.0003-Series004.colvi.json", False),
    ],
)
def test_which_raw_files_hold_several_images(name: str, several: bool) -> None:
    """Those of Leica's container, and no others."""
    assert is_container_name(name) is several


def test_no_output_is_counted() -> None:
    """Pictures lie beside raw files after every run."""
    names = [output_name("X.tif", kind) for kind in OutputKind]
    names += [explanation_name("X.tif", subject) for subject in ("saliency", "patch-03-12")]

    assert not any(map(unread_suffix, names))


def test_the_words() -> None:
    """Found, and the remedy."""
    assert unread_words(".nd2", 3) == "3 .nd2 files are not read here; export them as TIFF"
    assert unread_words(".nii.gz", 1) == "1 .nii.gz file is not read here; export it as TIFF"
