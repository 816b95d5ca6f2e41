"""Which channel is what a bundle asks for: words of bundles, names, light, order, and the operator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.acquisition.channel_hints import ChannelHint
from colvi_edge.acquisition.channels import assign_roles
from colvi_edge.acquisition.wanted import ASSAY, Asking, Wanted, assign_together, assign_wanted
from colvi_edge.errors import ChannelError

NUCLEI = (Wanted("nuclei"),)
WATER_FAT = (Wanted("water", ("W", "water only")), Wanted("fat", ("F", "fat only")))
ACTIN = (Wanted("actin", emission_nm=(560, 620)),)


def roles(*names: str, wanted: tuple[Wanted, ...], asked: list[str] | None = None) -> tuple[str, ...]:
    """Return what channels of these names are taken for."""
    hints = [ChannelHint(name) for name in names]
    return assign_wanted(len(names), hints, wanted, rgb=False, asked=asked).roles


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (("DAPI", "phalloidin"), NUCLEI, ("nuclei", "other")),
        (("collagen IV", "Hoechst"), NUCLEI, ("other", "nuclei")),
        (("",), NUCLEI, ("nuclei",)),
        (("something",), NUCLEI, ("nuclei",)),
        (("", ""), NUCLEI, ("nuclei", "collagen")),
        (("Fat Only", "Water only"), WATER_FAT, ("fat", "water")),
        (("w", "f", "noise"), WATER_FAT, ("water", "fat", "other")),
        (("", ""), WATER_FAT, ("water", "fat")),
        (("", "fat only"), WATER_FAT, ("water", "fat")),
    ],
)
def test_channels_are_found(
    names: tuple[str, ...], wanted: tuple[Wanted, ...], expected: tuple[str, ...]
) -> None:
    """By the bundle's names, by what a dye is for, or as what is left over."""
    assert roles(*names, wanted=wanted) == expected


def test_what_all_channels_say_is_said_of_none() -> None:
    """A title that holds the name of a role tells nothing."""
    assert roles("thigh W series 1", "thigh W series F 1", wanted=WATER_FAT) == ("water", "fat")


def test_light_tells_a_role_of_a_bundle() -> None:
    """The stain's own emission is enough."""
    hints = [ChannelHint("", emission_nm=460.0), ChannelHint("", emission_nm=595.0)]

    assert assign_wanted(2, hints, ACTIN, rgb=False).roles == ("nuclei", "actin")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("collagen VI",), NUCLEI),
        (("a", "b", "c"), WATER_FAT),
        (("DAPI", "Hoechst"), NUCLEI),
    ],
)
def test_what_is_unclear_is_refused(names: tuple[str, ...], wanted: tuple[Wanted, ...]) -> None:
    """None or several of one role: never a guess."""
    with pytest.raises(ChannelError, match=r"exactly one of .* needed; name the channels"):
        roles(*names, wanted=wanted)


def test_the_operator_overrules_the_file_and_is_told() -> None:
    """What the file says instead is kept."""
    found = assign_wanted(
        2, [ChannelHint("DAPI"), ChannelHint("actin")], NUCLEI, rgb=False, asked=["other", "nuclei"]
    )

    assert found.roles == ("other", "nuclei")
    assert found.overruled == ("nuclei", "other")


@pytest.mark.parametrize("asked", [["nuclei"], ["other", "other"], ["nuclei", "nuclei"]])
def test_channels_named_wrongly_are_a_sentence(asked: list[str]) -> None:
    """Too few, none, or one twice."""
    with pytest.raises(ChannelError, match="nuclei once"):
        roles("", "", wanted=NUCLEI, asked=asked)


def test_a_word_that_is_no_role_is_refused() -> None:
    """The bundle's words, those of the assay, and other: all are listed."""
    with pytest.raises(ChannelError, match="'red'; each channel is one of nuclei, collagen, other"):
        roles("", "", wanted=NUCLEI, asked=["red", "nuclei"])


def test_a_picture_in_colours_is_as_seen() -> None:
    """Blue is nuclei, as for the assay."""
    assert assign_wanted(3, [], NUCLEI, rgb=True).roles == ("other", "collagen", "nuclei")


WORDS = st.sampled_from(["", "DAPI", "collagen VI", "ch00", "actin", "Hoechst", "488", "blue", "col1"])


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_the_assay_is_found_as_ever(names: list[str]) -> None:
    """Of a bundle of the assay nothing is decided here."""
    hints = [ChannelHint(name) for name in names]

    def of(assign: object) -> object:
        try:
            return assign()  # type: ignore[operator] # a function
        except ChannelError as error:
            return str(error)

    assert of(lambda: assign_wanted(len(names), hints, ASSAY, rgb=False)) == of(
        lambda: assign_roles(len(names), hints, rgb=False)
    )


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_every_role_that_is_asked_for_is_found_once_or_refused(names: list[str]) -> None:
    """Whatever the file says."""
    try:
        found = roles(*names, wanted=NUCLEI)
    except ChannelError:
        return
    assert found.count("nuclei") == 1
    assert len(found) == len(names)


MUSCLE = (Wanted("muscle", ("laminin",)),)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("laminin", "collagen VI", "DAPI"), ("muscle", "collagen", "nuclei")),
        (("DAPI", "noise", "collagen VI", "laminin"), ("nuclei", "other", "collagen", "muscle")),
        (("", "", ""), None),
        (("DAPI", "", ""), None),
        (("laminin", "collagen IV", "DAPI"), None),
    ],
)
def test_what_is_seen_through_regions_needs_the_channels_of_both(
    names: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    """Each of the two finds its own as it does alone: another collagen than VI stays refused."""
    hints = [ChannelHint(name) for name in names]
    asking = [Asking(ASSAY, MUSCLE)]
    if expected is None:
        with pytest.raises(ChannelError, match="name the"):
            assign_together(len(names), hints, asking, rgb=False)
    else:
        assert assign_together(len(names), hints, asking, rgb=False).roles == expected


def test_who_sees_regions_is_as_sure_as_both() -> None:
    """What is assumed for who lends them is assumed of what lies in them."""
    hints = [ChannelHint(name) for name in ("collagen VI", "DAPI", "", "")]

    assert not assign_together(4, hints, [Asking(ASSAY)], rgb=False).assumed
    assert assign_together(4, hints, [Asking(ASSAY, WATER_FAT)], rgb=False).assumed
    with pytest.raises(ChannelError, match=r"two bundles do not find .* alike"):
        assign_together(4, hints, [Asking(ASSAY), Asking(WATER_FAT)], rgb=False)


def test_one_channel_is_not_given_to_two() -> None:
    """Each of them, alone, takes what is left over."""
    hints = [ChannelHint("DAPI"), ChannelHint("")]
    actin, fat = (Asking((Wanted(role),)) for role in ("actin", "fat"))

    assert assign_together(2, hints, [actin], rgb=False).roles == ("nuclei", "actin")
    with pytest.raises(ChannelError, match="two bundles do not find actin and fat alike"):
        assign_together(2, hints, [actin, fat], rgb=False)
