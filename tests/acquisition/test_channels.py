"""Which channel is which: by name, by wavelength, by rule, or as the operator says."""

import pytest

from colvi_edge.acquisition.channels import ChannelHint, assign_roles, role_of
from colvi_edge.errors import ChannelError


@pytest.mark.parametrize(
    "name",
    [
        "DAPI", "dapi", "Hoechst 33342", "Hoechst33342", "nuclei", "Nucleus stain", "C0 - DAPI", "DNA_405",
        "405", "ex405", "405 nm", "Ch1_461", "Blue", "DAPI (488 filter by mistake)",
    ],
)  # fmt: skip
def test_names_of_nuclei(name: str) -> None:
    """The stain, its dye or its laser line names the channel; the stain goes before the dye."""
    assert role_of(ChannelHint(name)) == "nuclei"


@pytest.mark.parametrize(
    "name",
    [
        "collagen", "Collagen VI", "collagenVI", "anti-Collagen-VI", "COL6", "col6a1", "ColVI", "Col-VI",
        "col_vi", "Alexa 488", "Alexa Fluor 488", "AF488", "AlexaFluor488", "FITC", "GFP", "EGFP", "519",
        "Green",
    ],
)  # fmt: skip
def test_names_of_collagen(name: str) -> None:
    """Likewise for collagen VI and the green dyes it is stained with."""
    assert role_of(ChannelHint(name)) == "collagen"


@pytest.mark.parametrize(
    "name",
    ["", "Channel 1", "Cy5", "TRITC", "4880", "1405", "cDNA", "evergreen", "colview", "Alexa 594", "405/488"],
)
def test_names_of_neither(name: str) -> None:
    """A word inside a word is none, nor is a name that speaks for both."""
    assert role_of(ChannelHint(name)) is None


@pytest.mark.parametrize(
    ("emission_nm", "role"),
    [(400, "nuclei"), (461, "nuclei"), (480, "nuclei"), (490, "collagen"), (519, "collagen"),
     (560, "collagen"), (399, None), (485, None), (561, None), (670, None)],
)  # fmt: skip
def test_emission_wavelengths(emission_nm: float, role: str | None) -> None:
    """Blue light is nuclei, green is collagen, ends included; a name goes before it."""
    assert role_of(ChannelHint("", emission_nm)) == role
    assert role_of(ChannelHint("collagen", emission_nm)) == "collagen"


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["DAPI", "FITC"], ("nuclei", "collagen")),
        (["Col6", "Hoechst"], ("collagen", "nuclei")),
        (["Brightfield", "Col6", "Hoechst"], ("other", "collagen", "nuclei")),
        (["", ""], ("nuclei", "collagen")),
        (["Channel 1", "Channel 2"], ("nuclei", "collagen")),
        (["ch00", "ch01"], ("nuclei", "collagen")),
        (["Ch1-T1", "Ch2-T2"], ("nuclei", "collagen")),
        ([], ("nuclei", "collagen")),
        (["DAPI"], ("nuclei", "collagen")),  # one name for two channels says nothing
    ],
)
def test_roles_by_name(names: list[str], roles: tuple[str, ...]) -> None:
    """Named channels are found in any order; two unnamed ones are nuclei, then collagen."""
    count = max(len(names), 2)

    assert assign_roles(count, [ChannelHint(name) for name in names], rgb=False) == roles


def test_roles_by_wavelength() -> None:
    """Two channels without names are told by their emission."""
    hints = [ChannelHint("", 519.0), ChannelHint("", 461.0)]

    assert assign_roles(2, hints, rgb=False) == ("collagen", "nuclei")


def test_rgb_is_as_seen() -> None:
    """Green is collagen and blue is nuclei, whatever the file calls its channels."""
    hints = [ChannelHint("DAPI"), ChannelHint("FITC"), ChannelHint("x")]

    assert assign_roles(3, hints, rgb=True) == ("other", "collagen", "nuclei")


def test_operator_overrules_the_file() -> None:
    """What the operator says goes before every name, and before the rule for RGB."""
    hints = [ChannelHint("DAPI"), ChannelHint("FITC")]

    assert assign_roles(2, hints, rgb=False, asked=["collagen", "nuclei"]) == ("collagen", "nuclei")
    assert assign_roles(3, [], rgb=True, asked=("nuclei", "other", "collagen")) == (
        "nuclei",
        "other",
        "collagen",
    )


@pytest.mark.parametrize(
    ("names", "asked", "words"),
    [
        (["DAPI"], None, "holds one channel"),
        (["DAPI"], ["nuclei"], "holds one channel"),
        (["DAPI", "Hoechst"], None, r"2 channels \(nuclei, nuclei\)"),
        (["DAPI", "Cy5"], None, r"\(nuclei, not recognised\)"),
        (["Cy3", "Cy5"], None, r"\(not recognised, not recognised\)"),
        (["", "", ""], None, r"3 channels .*--channels nuclei,collagen,other$"),
        (["DAPI", "GFP", "FITC"], None, r"\(nuclei, collagen, collagen\)"),
        (["", ""], ["nuclei", "collagen", "other"], "holds 2 channels, but --channels names 3"),
        (["", ""], ["nuclei", "nuclei"], r"\(nuclei, nuclei\)"),
        (["", ""], ["collagen", "other"], r"\(collagen, other\)"),
        (["", ""], ["blue", "green"], "--channels holds 'blue'"),
    ],
)
def test_doubt_is_refused(names: list[str], asked: list[str] | None, words: str) -> None:
    """Never a guess: the sentence says what was found and how to name the channels."""
    with pytest.raises(ChannelError, match=words):
        assign_roles(len(names), [ChannelHint(name) for name in names], rgb=False, asked=asked)


def test_sentence_names_no_patient() -> None:
    """The file's own words stay out of the sentence: they may hold a name."""
    with pytest.raises(ChannelError) as refused:
        assign_roles(2, [ChannelHint("Doe, Jane 1980 DAPI"), ChannelHint("Doe, Jane 1980")], rgb=False)

    assert "Doe" not in str(refused.value)
