"""Which channel is which: by name, by wavelength, by rule, or as the operator says."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colvi_edge.acquisition.channel_hints import ChannelHint, Colour, colour_of, judge
from colvi_edge.acquisition.channels import Assigned, assign_roles
from colvi_edge.acquisition.stains import DYES, Dye, dyes_in
from colvi_edge.errors import ChannelError


@pytest.mark.parametrize(
    "name",
    [
        "DAPI", "dapi", "Hoechst 33342", "Hoechst33342", "nuclei", "Nucleus stain", "C0 - DAPI", "DNA_405",
        "405", "ex405", "405 nm", "Ch1_461", "Blue", "Ex 365", "EM: 450", "Hoechst 33258", "H3342", "H33342",
        "H-33258", "Hoescht", "bisbenzimide", "NucBlue", "Nuc Blue Live", "BFP", "TagBFP", "DAPI 405",
        "DRAQ5", "DRAQ-5", "TO-PRO-3", "TOPRO3", "TO PRO 3", "SYTOX Green", "SYTOX Green 488",
        "NucGreen Dead 488",
        "SYTOX Orange", "Propidium Iodide", "7-AAD", "SYBR Green I", "SiR-DNA", "SPY505-DNA", "YOYO-1",
        "nuclei (SYTOX Green)", "Zellkerne", "Nuclei Texas Red", "DRAQ5 488",
    ],
)  # fmt: skip
def test_names_of_nuclei(name: str) -> None:
    """The stain, its dye or its laser line names the channel; a green or red nuclear dye is one of nuclei."""
    assert judge(ChannelHint(name)).role == "nuclei"


@pytest.mark.parametrize(
    "name",
    [
        "collagen", "Collagen VI", "collagenVI", "anti-Collagen-VI", "COL6", "col6a1", "ColVI", "Col-VI",
        "col_vi", "Alexa 488", "Alexa Fluor 488", "AF488", "AlexaFluor488", "FITC", "GFP", "EGFP", "519",
        "Green", "A488", "fluorescein", "Cy2", "Cyanine 2", "Atto 488", "ATTO488", "DyLight 488", "CF488A",
        "Oregon Green 488", "iFluor 488", "mNeonGreen", "Ex 488", "em525",
        "COL6A2", "COL6A3", "COL6A1/2/3", "Col. VI", "Col(VI)", "collagen type VI", "Collagen, type VI",
        "Type VI collagen", "Typ-VI-Kollagen", "Kollagen VI", "collagène VI", "Collagen \u2165", "anti-ColVI",
        "\u03b1Col6", "Collagen alpha-3(VI) chain", "Collagen VI 1:500", "Collagen VI, 20x", "CollagenVI488",
        "Collagen_VI_AF594", "Collagen VI - TRITC", "ColVI (Cy5)",
        # No types: a laser line, a dilution, an objective, dimensions, a version, a number of a series.
        "Collagen 488", "collagen 1:200", "collagen 1/500", "collagen 20x", "collagen 3D", "collagen 5 um",
        "collagen v2", "Collagen_03", "Collagen in vitro", "collagen 1.5 mg", "Kollagen", "anti-collagen",
    ],
)  # fmt: skip
def test_names_of_collagen(name: str) -> None:
    """Likewise for collagen VI and the green dyes it is stained with."""
    assert judge(ChannelHint(name)).role == "collagen"


@pytest.mark.parametrize(
    "name",
    [
        "", "Channel 1", "Cy5", "TRITC", "4880", "1405", "cDNA", "evergreen", "colview", "Alexa 594",
        "405/488",
        "DAPI + collagen VI", "DAPI (488 filter by mistake)", "DAPI/FITC", "Collagen VI 405", "nuclei FITC",
        "Hoechst (EGFP)", "Laminin 488", "Phalloidin-FITC", "Fibronectin AF488", "Collagen VI + laminin",
        "Pacific Blue", "collagenase", "collagenase FITC", "E. coli", "E.coli", "protocol 6", "color 6",
        "column 6", "Ex 561", "Collagen VI EM 450",
    ],
)  # fmt: skip
def test_names_of_neither(name: str) -> None:
    """A word inside a word is none, nor is a name that speaks for both."""
    assert judge(ChannelHint(name)).role is None


ANOTHER = [
    "Collagen I", "Collagen II", "Collagen III", "Collagen IV", "Collagen V", "Collagen VII", "Collagen XVI",
    "Collagen XXVIII", "Collagen 1", "Collagen 4", "Collagen 28", "Col I", "ColI", "COLI", "Col-4", "Col 1",
    "col_iv", "Coll IV", "Coll. 3", "COL4A1", "COL1A2", "col3a1", "collagen type III", "Collagen, type IV",
    "Collagen (IV)", "Collagen: IV", "Collagen - IV", "Collagen-IV (AF488)", "Col4AF488", "CollagenIV488",
    "Collagen III FITC", "kollagen 1", "Kollagen IV", "Typ IV Kollagen", "type-4 collagen", "Type I collagen",
    "IV-type collagen", "anti-Col1", "anti-Collagen IV", "Collagen \u2163", "collagen \u03b11(I)",
    "collagen alpha-1(IV) chain", "Collagen IVa1", "procollagen", "Procollagen I", "pro-collagen III",
    "Collagen I/III", "Collagen I-III", "Collagen VI/IV", "Collagen VI and I", "Collagen 4+6",
    "Collagen 1 1:200", "Collagen IV, 20x", "COLLAGEN  IV", "Collagen_1_488", "Ex488 Collagen IV",
]  # fmt: skip


@pytest.mark.parametrize("name", ANOTHER)
def test_another_collagen_is_refused(name: str) -> None:
    """However it is spelt, whatever it is labelled with; the operator may overrule it."""
    hints = [ChannelHint(name, 519), ChannelHint("DAPI")]

    assert judge(hints[0]) == (None, "another collagen")
    with pytest.raises(ChannelError) as refused:
        assign_roles(2, hints, rgb=False)
    assert str(refused.value) == (
        "holds 2 channels (another collagen, nuclei), but exactly one of collagen VI and one of nuclei are "
        "needed; the file names another collagen than VI: only if it is VI nevertheless, name them in the "
        "file's order with --channels, e.g. --channels collagen,nuclei"
    )
    assert assign_roles(2, hints, rgb=False, asked=["collagen", "nuclei"]).roles == ("collagen", "nuclei")


@pytest.mark.parametrize("other", [*ANOTHER, "FITC", "collagen", "Laminin AF488", "Brightfield"])
def test_collagen_vi_beside_others_is_taken(other: str) -> None:
    """What is named collagen VI is it, whatever else is green."""
    hints = [ChannelHint(other), ChannelHint("DAPI"), ChannelHint("Collagen VI (AF594)")]

    assert assign_roles(3, hints, rgb=False).roles == ("other", "nuclei", "collagen")


@pytest.mark.parametrize("vague", ["FITC", "collagen", "Alexa 488"])
def test_vague_collagen_beside_another_is_refused(vague: str) -> None:
    """Where one collagen is named, the other green channel is not VI for want of a better one."""
    hints = [ChannelHint("Collagen IV"), ChannelHint("DAPI"), ChannelHint(vague)]

    with pytest.raises(ChannelError, match="the file names another collagen than VI"):
        assign_roles(3, hints, rgb=False)


@pytest.mark.parametrize("dye", DYES, ids=lambda dye: dye.name)
def test_dyes(dye: Dye) -> None:
    """Each is found by its name, and its own light does not speak against it."""
    name = {"SYTO green": "SYTO 16", "SYTO red": "SYTO 62", "Alexa, orange": "Alexa Fluor 555",
            "Alexa, red": "AF647", "Atto, orange and red": "ATTO 647N",
            "DyLight, orange and red": "DyLight 594",
            "CF, orange and red": "CF568", "SiR-DNA": "SiR-DNA"}.get(dye.name, dye.name)  # fmt: skip

    assert [found for found, _ in dyes_in(name)] == [dye]
    assert dye.source
    for excitation_nm in dye.excitation_nm:
        for emission_nm in dye.emission_nm:
            role = judge(ChannelHint(name, emission_nm, excitation_nm)).role
            assert role == (None if dye.role == "other" else dye.role)


@pytest.mark.parametrize(
    "hint",
    [
        ChannelHint("DAPI", 519), ChannelHint("Collagen VI", 461), ChannelHint("Collagen VI", None, 405),
        ChannelHint("Collagen VI (AF488)", 520, 405), ChannelHint("nuclei", None, 488),
        ChannelHint("FITC", 450),
        ChannelHint("Hoechst 33342", 461, 488), ChannelHint("", 461, 488), ChannelHint("", 519, 405),
        ChannelHint("SYTOX Blue", 530), ChannelHint("Cy5", 519), ChannelHint("Green", 461),
        ChannelHint("FITC 405"), ChannelHint("GFP", contradictory=True),
    ],
)  # fmt: skip
def test_name_and_light_that_disagree(hint: ChannelHint) -> None:
    """The sentence says so; a further channel of the same stain does not make up for it."""
    other = "DAPI" if (hint.name + "C")[0] in "CFG" else "Collagen VI"

    assert judge(hint) == (None, "contradictory")
    for names in ([other], ["DAPI", "Collagen VI"]):
        hints = [hint, *map(ChannelHint, names)]
        with pytest.raises(
            ChannelError, match=r"\(contradictory, .*name, dye, excitation and emission of a"
        ) as no:
            assign_roles(len(hints), hints, rgb=False)
        assert "check the stain, and name them in the file's order with --channels" in str(no.value)


@pytest.mark.parametrize(
    ("hint", "role"),
    [
        (ChannelHint("Collagen VI", 617, 590), "collagen"), (ChannelHint("nuclei", 697, 633), "nuclei"),
        (ChannelHint("SYTOX Green", 523, 488), "nuclei"), (ChannelHint("DAPI", 485, 405), "nuclei"),
        (ChannelHint("DAPI", 470, 358), "nuclei"), (ChannelHint("FITC", 525, 488), "collagen"),
        (ChannelHint("", None, 405), "nuclei"), (ChannelHint("", None, 340), "nuclei"),
        (ChannelHint("", None, 420), "nuclei"), (ChannelHint("", None, 470), "collagen"),
        (ChannelHint("Ch1", None, 488), "collagen"), (ChannelHint("", None, 510), "collagen"),
        (ChannelHint("", None, 421), None), (ChannelHint("", None, 561), None),
        (ChannelHint("", 525, 561), "collagen"), (ChannelHint("DAPI", None, 780), "nuclei"),
    ],
)  # fmt: skip
def test_name_and_light_together(hint: ChannelHint, role: str | None) -> None:
    """Light that is neither's, or the dye's own, does not speak against the name."""
    assert judge(hint).role == role


@pytest.mark.parametrize(
    ("emission_nm", "role"),
    [(400, "nuclei"), (461, "nuclei"), (480, "nuclei"), (490, "collagen"), (519, "collagen"),
     (560, "collagen"), (399, None), (485, None), (561, None), (670, None)],
)  # fmt: skip
def test_emission_wavelengths(emission_nm: float, role: str | None) -> None:
    """Blue light is nuclei, green is collagen, ends included; against the name it is a contradiction."""
    assert judge(ChannelHint("", emission_nm)).role == role
    assert judge(ChannelHint("collagen", emission_nm)).role == (None if role == "nuclei" else "collagen")


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
        (["P03 collagen VI - Ch1", "P03 collagen VI - Ch2"], ("nuclei", "collagen")),
        (["study of collagen IV: 488", "study of collagen IV: 405"], ("collagen", "nuclei")),
        (["DAPI study, FITC", "DAPI study, DAPI"], ("collagen", "nuclei")),
    ],
)
def test_roles_by_name(names: list[str], roles: tuple[str, ...]) -> None:
    """Named channels are found in any order; two unnamed ones are nuclei, then collagen."""
    count = max(len(names), 2)

    assert assign_roles(count, [ChannelHint(name) for name in names], rgb=False).roles == roles


def test_roles_by_wavelength() -> None:
    """Two channels without names are told by their emission."""
    hints = [ChannelHint("", 519.0), ChannelHint("", 461.0)]

    assert assign_roles(2, hints, rgb=False).roles == ("collagen", "nuclei")


def test_rgb_is_as_seen() -> None:
    """Green is collagen and blue is nuclei, whatever the file calls its channels."""
    hints = [ChannelHint("DAPI"), ChannelHint("FITC"), ChannelHint("x")]

    assert assign_roles(3, hints, rgb=True).roles == ("other", "collagen", "nuclei")


def test_operator_overrules_the_file() -> None:
    """What the operator says goes before every name, and before the rule for RGB."""
    hints = [ChannelHint("DAPI"), ChannelHint("FITC")]

    assert assign_roles(2, hints, rgb=False, asked=["collagen", "nuclei"]).roles == ("collagen", "nuclei")
    assert assign_roles(3, [], rgb=True, asked=("nuclei", "other", "collagen")).roles == (
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
        (["DAPI", "Cy5"], None, r"\(nuclei, another stain\)"),
        (["DAPI", "Doe"], None, r"\(nuclei, not recognised\)"),
        (["DAPI", "DAPI"], None, r"\(nuclei, nuclei\)"),
        (["FITC", "FITC"], None, r"\(collagen, collagen\)"),
        (["DAPI", "Laminin"], None, r"\(nuclei, another stain\)"),
        (["DAPI + ColVI", "x"], None, r"\(both at once, not recognised\), .*--channels nuclei,collagen$"),
        (["FITC", "Foo"], None, r"\(collagen, not recognised\), .*--channels collagen,nuclei$"),
        (["Cy3", "Cy5"], None, r"\(another stain, another stain\)"),
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


TITLES = [
    "P03 collagen VI.lif",
    "2026-11-20 DAPI.lif - Series001",
    "exp488",
    "Collagen IV, study 3",
    "Doe, Jane",
]


@pytest.mark.parametrize("title", TITLES)
def test_title_alone_says_nothing(title: str) -> None:
    """Labels as Bio-Formats writes them: what is in each is of the image."""
    for z in ("", " z:3/10"):
        hints = [ChannelHint(f"c:{channel}/2{z} - {title}", may_be_title=True) for channel in (1, 2)]

        assert assign_roles(2, hints, rgb=False) == Assigned(("nuclei", "collagen"), assumed=True)


NAMES = [
    "DAPI",
    "FITC",
    "Collagen VI",
    "COL4A1",
    "nuclei",
    "488",
    "405",
    "Cy5",
    "Laminin",
    "c:1/2",
    "c:2/2",
    "a",
]


def verdict(names: list[str], *, labels: bool) -> Assigned | str:
    """The roles of channels of these names, or the sentence that refuses them."""
    try:
        return assign_roles(len(names), [ChannelHint(name, may_be_title=labels) for name in names], rgb=False)
    except ChannelError as error:
        return str(error)


@given(
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True),
    st.sampled_from(TITLES) | st.text("abcdef 0123456789-_.", max_size=20) | st.text(max_size=20),
    st.booleans(),
    st.booleans(),
)
@example(["DAPI", "FITC"], "FITC and DAPI", True, True)
def test_a_title_changes_nothing(names: list[str], title: str, before: bool, labels: bool) -> None:
    """Whatever all labels share, the channels are told, or refused, as without it."""
    titled = [f"{title} | {name}" if before else f"{name} | {title}" for name in names]

    assert verdict(titled, labels=labels) == verdict(names, labels=labels)


@pytest.mark.parametrize(
    ("rgb", "colour"),
    [
        ((0, 255, 0), "green"), ((0, 0, 255), "blue"), ((255, 0, 0), "red"), ((64, 64, 200), "blue"),
        ((0, 128, 1), "green"), ((0, 0, 0), ""), ((255, 255, 255), ""), ((90, 90, 90), ""),
        ((0, 255, 255), ""),
        ((255, 0, 255), ""), ((255, 255, 0), ""), ((0, 160, 255), ""), ((200, 255, 200), ""),
    ],
)  # fmt: skip
def test_colours(rgb: tuple[int, int, int], colour: str) -> None:
    """Clear hues have a name; grey, cyan, magenta, yellow and pale ones have none."""
    assert colour_of(*rgb) == colour


NUCLEI_FIRST, COLLAGEN_FIRST = ("nuclei", "collagen"), ("collagen", "nuclei")


@pytest.mark.parametrize(
    ("names", "colours", "roles", "assumed", "disagree"),
    [
        (["", ""], ["green", "blue"], COLLAGEN_FIRST, False, False),
        (["Ch1", "Ch2"], ["blue", "green"], NUCLEI_FIRST, False, False),
        (["", ""], ["green", ""], COLLAGEN_FIRST, True, False),
        (["", ""], ["", "blue"], COLLAGEN_FIRST, True, False),
        (["", ""], ["", "green"], NUCLEI_FIRST, True, False),
        (["", ""], ["green", "red"], COLLAGEN_FIRST, True, False),
        (["", ""], ["red", "green"], NUCLEI_FIRST, True, False),  # as ImageJ gives them to any image
        (["", ""], ["green", "green"], NUCLEI_FIRST, True, False),
        (["", ""], ["", ""], NUCLEI_FIRST, True, False),
        (["", "", ""], ["", "green", "blue"], ("other", "collagen", "nuclei"), False, False),
        (["DAPI", ""], ["", "green"], NUCLEI_FIRST, False, False),
        (["Collagen VI", "DAPI"], ["green", "blue"], COLLAGEN_FIRST, False, False),
        (["Collagen VI", "DAPI"], ["blue", "green"], COLLAGEN_FIRST, False, True),
        (["Collagen VI", "DAPI"], ["blue", ""], COLLAGEN_FIRST, False, True),
        (["Collagen VI", "DAPI"], ["red", "green"], COLLAGEN_FIRST, False, False),
        (["Collagen VI", "DAPI"], ["blue", "blue"], COLLAGEN_FIRST, False, False),
        (["Collagen VI (AF594)", "SYTOX Green"], ["", "green"], COLLAGEN_FIRST, False, False),
        (["Collagen VI", "DAPI", "Cy5"], ["", "red", "green"], ("collagen", "nuclei", "other"), False, False),
    ],
)
def test_colours_speak_last(
    names: list[str], colours: list[Colour], roles: tuple[str, ...], assumed: bool, disagree: bool
) -> None:
    """Only of channels of which nothing else is said; against names they are worth a warning."""
    hints = [ChannelHint(name, colour=colour) for name, colour in zip(names, colours, strict=True)]

    assert assign_roles(len(hints), hints, rgb=False) == (roles, assumed, disagree, ())
    asked = ["nuclei", "collagen", *["other"] * (len(hints) - 2)]
    assert assign_roles(len(hints), hints, rgb=False, asked=asked)[:3] == (tuple(asked), False, False)


@pytest.mark.parametrize(
    ("names", "colours"),
    [
        (["", "", ""], ["red", "green", "blue"]),  # as ImageJ gives them to any image
        (["DAPI", ""], ["red", "green"]),
        (["DAPI", "Laminin"], ["blue", "green"]),
        (["DAPI", "Cy5"], ["blue", "green"]),
        (["DAPI", "Collagen IV"], ["blue", "green"]),
        (["DAPI", ""], ["green", "blue"]),
    ],
)
def test_colours_do_not_overrule(names: list[str], colours: list[Colour]) -> None:
    """A channel that is named otherwise is not collagen because it is green."""
    hints = [ChannelHint(name, colour=colour) for name, colour in zip(names, colours, strict=True)]

    with pytest.raises(
        ChannelError, match=re.escape("exactly one of collagen VI and one of nuclei are needed")
    ):
        assign_roles(len(hints), hints, rgb=False)


def test_long_names_take_no_time() -> None:
    """Anyone may have written them."""
    started = time.monotonic()
    for part in ("collagen ", "a", "ch", "type I/", "I/", "1 ", "\u2165", "col"):
        judge(ChannelHint(part * 2_000_000))

    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        ([ChannelHint("DAPI"), ChannelHint("Collagen VI")], ("nuclei", "collagen")),
        ([ChannelHint("FITC"), ChannelHint("Hoechst")], ()),  # as the operator says
        ([ChannelHint(emission_nm=461), ChannelHint(emission_nm=519)], ("nuclei", "collagen")),
        ([ChannelHint(colour="blue"), ChannelHint(colour="green")], ("nuclei", "collagen")),
        ([ChannelHint(colour="blue"), ChannelHint()], ()),  # one colour is a guess
        ([ChannelHint("DAPI"), ChannelHint("DAPI")], ()),
        ([ChannelHint("DAPI"), ChannelHint("collagen I")], ()),
        ([ChannelHint(), ChannelHint()], ()),
        ([], ()),
    ],
)
def test_what_the_file_says_against_the_operator_is_told(
    hints: list[ChannelHint], told: tuple[str, ...]
) -> None:
    """Where it tells an order, and another one; what the operator says counts."""
    assigned = assign_roles(2, hints, rgb=False, asked=["collagen", "nuclei"])

    assert assigned.roles == ("collagen", "nuclei")
    assert assigned.overruled == told
    assert assign_roles(2, hints, rgb=True, asked=["collagen", "nuclei"]).overruled == ()
