"""docs/reference/inputs.md says what the readers do: limits, kinds of refusal, suffixes, dyes and light."""

import dataclasses
import re
from pathlib import Path

import pytest

from colvi_edge import errors
from colvi_edge.acquisition import bounds
from colvi_edge.acquisition.channel_hints import LIGHT_NM
from colvi_edge.acquisition.channel_names import MAX_CHARACTERS
from colvi_edge.acquisition.model import Limits
from colvi_edge.acquisition.stains import DYES, FITS_NM, Dye
from colvi_edge.acquisition.tiff import descriptions, directories, gate
from colvi_edge.raw_files import MAX_DEPTH, NOT_READ, RAW_SUFFIXES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "inputs.md").read_text(encoding="utf-8")


def test_its_limits_are_those_of_the_readers() -> None:
    """All names and defaults."""
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([\d,]+) \|", PAGE)

    assert {name: int(number.replace(",", "")) for name, number in rows} == dataclasses.asdict(Limits())


def test_its_kinds_are_those_of_the_errors() -> None:
    """Each kind with which reading a file may end, and no other."""
    kinds = {  # of this module: the daemon has some of its own, which no file's content brings about
        kind.kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.AcquisitionError)
    }

    table = PAGE.split("| `error.kind` | the file or image |\n")[1].split("\n\n")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", table)) == kinds
    assert errors.AcquisitionError.exit_code == errors.EXIT_UNJUDGED


def test_its_suffixes_are_those_that_are_known() -> None:
    """Read, and only told of."""
    told = set(re.findall(r"`(\.[a-z0-9.]+)`", PAGE.split("\n## TIFF")[0]))

    assert told == {*RAW_SUFFIXES, *NOT_READ}


def test_its_numbers_are_those_of_the_code() -> None:
    """Fixed bounds, and the light that tells what a channel is."""
    low, high = bounds.PIXEL_SIZE_UM
    words = [
        f"{gate.MAX_SEGMENTS:,} strips or tiles",
        f"{directories.MAX_TAGS:,} tags a page and {directories.MAX_VALUES:,} numbers",
        f"{descriptions.MAX_TEXT_BYTES['ome']:,} characters",
        f"{descriptions.MAX_TEXT_BYTES['imagej']:,} characters",
        f"{bounds.MAX_CHANNELS} channels",
        f"The first {MAX_CHARACTERS:,} characters of a name",
        f"between {low:g} and {high:g} µm",
        f"{MAX_DEPTH} folders deep",
        f"{len(DYES)} dyes and families of dyes",
        f"{FITS_NM['excitation']:g} nm from its excitation, {FITS_NM['emission']:g} nm from",
        *(f"{light} {least:g} to {most:g} nm" for light in LIGHT_NM for _, least, most in LIGHT_NM[light]),
    ]

    assert [word for word in words if word not in " ".join(PAGE.split())] == []


@pytest.mark.parametrize("dye", DYES, ids=lambda dye: dye.name)
def test_each_dye_is_named_where_it_belongs(dye: Dye) -> None:
    """By its whole name, or by its longest word, which is not its colour; a family by its own name."""
    rows = dict(re.findall(r"(?m)^\| (nuclei|collagen|neither)[^|]* \| ([^|]+) \|$", PAGE))
    told = rows[{"other": "neither"}.get(dye.role, dye.role)]

    family, comma, _ = dye.name.partition(",")
    longest = family if comma else max(re.split("[ -]", dye.name), key=len)
    named = re.compile(rf"\b(?:{re.escape(dye.name)}|{re.escape(longest)})\b")
    assert named.search(told)
