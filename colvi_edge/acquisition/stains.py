"""The dyes and fluorescent proteins of this assay and its neighbours: what they stain, and with what light.

Maxima are in nm, of nuclear dyes when bound to DNA, as these publish them (those of "Jackson" and of Hoechst
33342 were looked up for this table; the others are the commonly quoted figures, not compared again):

- "Jackson": https://www.jacksonimmuno.com, table of fluorophores;
- "Thermo": The Molecular Probes Handbook, 11th edition, and product pages of Thermo Fisher Scientific;
- "FPbase": https://www.fpbase.org (Lambert, Nature Methods 2019);
- otherwise the maker that the row names.

A few nanometres between sources do not matter: `fits` is generous, as filters and laser lines are.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from colvi_edge.acquisition.model import AssayRole

Light = Literal["excitation", "emission"]

FITS_NM: dict[Light, float] = {"excitation": 25, "emission": 40}
"""How far a laser line or the middle of an emission band may lie from a dye's maximum."""


class Dye(NamedTuple):
    """A dye, or a family that shares a name.

    Attributes:
        name: one for all its spellings.
        pattern: the spellings, a regular expression without capturing groups, `(?:...)` instead; `{_}` is an
            optional blank, dash or underscore; case does not matter.
        role: what it stains; "other" where it marks whatever antibody it is bound to, in a colour that
            is neither nuclei's nor collagen's in this assay.
        excitation_nm, emission_nm: its maxima, and lines that its maker recommends besides.
        source: who publishes them.
    """

    name: str
    pattern: str
    role: AssayRole
    excitation_nm: tuple[float, ...]
    emission_nm: tuple[float, ...]
    source: str

    def fits(self, light: Light, wavelength_nm: float) -> bool:
        """Return whether the dye may be excited by this wavelength, or emits it."""
        maxima = self.excitation_nm if light == "excitation" else self.emission_nm
        return any(abs(wavelength_nm - maximum) <= FITS_NM[light] for maximum in maxima)


_ = r"[\s_-]?"

# The first row that fits a word is its dye: "SYTOX Green" stands before "SYTOX".
DYES: tuple[Dye, ...] = (
    # Nuclei, blue
    Dye("DAPI", "dapi", "nuclei", (358, 405), (461,), "Thermo"),
    Dye("Hoechst 34580", rf"(?:hoechst{_}|h{_})34580", "nuclei", (392,), (440,), "Thermo"),
    Dye(
        "Hoechst",  # 33342 and 33258, also as many mistype them
        rf"(?:hoe(?:chst|scht|sch?t|chts|cst)|h{_}|bisbenzimide{_}h?{_})(?:{_}33?342|{_}33258)"
        r"|hoe(?:chst|scht|sch?t|chts|cst)|bisbenzimide|33342|33258",
        "nuclei", (350, 352), (461,), "Thermo",
    ),
    Dye("NucBlue", rf"nuc{_}blue", "nuclei", (358, 360), (460,), "Thermo"),
    Dye("SYTOX Blue", rf"sytox{_}blue", "nuclei", (444,), (480,), "Thermo"),
    Dye("DyeCycle Violet", rf"dye{_}cycle{_}violet", "nuclei", (369,), (437,), "Thermo"),
    Dye("BFP", r"(?:m?tag|e)?bfp2?", "nuclei", (383, 402), (448, 457), "FPbase"),
    # Nuclei, green to orange
    Dye("SYTOX Green", rf"sytox{_}green", "nuclei", (504,), (523,), "Thermo"),
    Dye("SYTOX Orange", rf"sytox{_}orange", "nuclei", (547,), (570,), "Thermo"),
    Dye("NucGreen", rf"nuc{_}green(?:{_}dead)?(?:{_}488)?", "nuclei", (504,), (523,), "Thermo"),
    Dye("DyeCycle Green", rf"dye{_}cycle{_}green", "nuclei", (506,), (534,), "Thermo"),
    Dye("DyeCycle Orange", rf"dye{_}cycle{_}orange", "nuclei", (519,), (563,), "Thermo"),
    Dye("SYBR Green", rf"sybr{_}(?:green|safe)", "nuclei", (497, 502), (520, 530), "Thermo"),
    Dye("SYBR Gold", rf"sybr{_}gold", "nuclei", (495,), (537,), "Thermo"),
    Dye("PicoGreen", rf"pico{_}green", "nuclei", (502,), (523,), "Thermo"),
    Dye("TO-PRO-1", rf"to{_}(?:pro|to){_}1", "nuclei", (515,), (531,), "Thermo"),
    Dye("YO-PRO-1", rf"yo{_}(?:pro|yo){_}1", "nuclei", (491,), (509,), "Thermo"),
    Dye("acridine orange", rf"acridine{_}orange", "nuclei", (500,), (526,), "Thermo"),
    Dye("SYTO green", rf"syto{_}(?:9|1[1-6]|2[145])", "nuclei", (485, 508, 521), (498, 527, 556), "Thermo"),
    Dye("SPY505-DNA", rf"spy{_}505(?:{_}dna)?", "nuclei", (512,), (531,), "Spirochrome"),
    # Nuclei, red and far red
    Dye("propidium iodide", rf"propidium(?:{_}iodide)?", "nuclei", (535,), (617,), "Thermo"),
    Dye("7-AAD", rf"7{_}aad", "nuclei", (546,), (647,), "Thermo"),
    Dye("ethidium", rf"ethidium(?:{_}(?:bromide|homodimer))?", "nuclei", (518, 528), (605, 617), "Thermo"),
    Dye("SPY555-DNA", rf"spy{_}555(?:{_}dna)?", "nuclei", (555,), (580,), "Spirochrome"),
    Dye("SiR-DNA", rf"sir{_}(?:dna|hoechst)|spy{_}650(?:{_}dna)?", "nuclei", (652,), (674,), "Spirochrome"),
    Dye("TO-PRO-3", rf"to{_}(?:pro|to){_}3|to{_}pro", "nuclei", (642,), (661,), "Thermo"),
    Dye("SYTOX Red", rf"sytox{_}(?:deep{_})?red", "nuclei", (640, 660), (658, 682), "Thermo"),
    Dye("NucRed", rf"nuc{_}red(?:{_}(?:dead|live))?(?:{_}647)?", "nuclei", (638, 642), (661, 686), "Thermo"),
    Dye("SYTO red", rf"syto{_}(?:17|59|6[0-4])", "nuclei", (622, 652), (645, 676), "Thermo"),
    Dye("DyeCycle Ruby", rf"dye{_}cycle{_}ruby", "nuclei", (638,), (686,), "Thermo"),
    Dye("RedDot", rf"red{_}dot{_}[12]?", "nuclei", (662, 665), (694, 695), "Biotium"),
    # BioStatus: DRAQ5 is excited by 488, 514, 568, 633 and 647 nm.
    Dye("DRAQ5", rf"draq{_}5", "nuclei", (488, 514, 568, 633, 647), (681, 697), "BioStatus"),
    Dye("DRAQ7", rf"draq{_}7", "nuclei", (488, 599, 644), (678, 697), "BioStatus"),
    Dye("SYTOX", "sytox", "nuclei", (444, 504, 547, 640), (480, 523, 570, 658), "Thermo"),
    # Collagen VI: the green that antibodies are labelled with
    Dye("fluorescein", rf"fitc|fluorescein|[56]{_}fam", "collagen", (495,), (519,), "Thermo"),
    Dye("Alexa 488", rf"(?:alexa(?:{_}fluor)?|af|a){_}488", "collagen", (495,), (519,), "Thermo"),
    Dye("Cy2", rf"cy(?:anine)?{_}2", "collagen", (492,), (510,), "Jackson"),
    Dye(
        "GFP", r"(?:e|sf|m|tag|turbo|zs)?gfp|zs?green1?|m?emerald|m(?:neongreen|ng)|mclover3?|m?wasabi",
        "collagen", (488, 506), (507, 517), "FPbase",
    ),
    Dye("Atto 488", rf"atto{_}488", "collagen", (500,), (520,), "ATTO-TEC"),
    Dye("DyLight 488", rf"dy(?:light)?{_}488", "collagen", (493,), (518,), "Thermo"),
    Dye("Oregon Green", rf"oregon{_}green(?:{_}(?:488|514))?", "collagen", (496, 506), (524, 526), "Thermo"),
    Dye("BODIPY FL", rf"bodipy{_}fl", "collagen", (505,), (513,), "Thermo"),
    Dye("CF488A", rf"cf{_}488a?", "collagen", (490,), (515,), "Biotium"),
    Dye("iFluor 488", rf"(?:i{_}fluor|mfluor){_}488", "collagen", (491,), (516,), "AAT Bioquest"),
    Dye("CoraLite 488", rf"cora{_}lite{_}(?:plus{_})?488", "collagen", (493,), (522,), "Proteintech"),
    Dye("HiLyte Fluor 488", rf"hi{_}lyte(?:{_}fluor)?{_}488", "collagen", (499,), (523,), "AnaSpec"),
    Dye("STAR 488", rf"(?:abberior{_})?star{_}(?:488|green)", "collagen", (503,), (524,), "Abberior"),
    # Other colours, which say what a channel is not unless its stain is named
    Dye("Pacific Blue", rf"(?:pacific|cascade){_}blue", "other", (400, 410), (420, 455), "Thermo"),
    Dye("Cy3", rf"cy(?:anine)?{_}3b?(?:\.5)?", "other", (550, 581), (570, 596), "Jackson"),
    Dye("Cy5", rf"cy(?:anine)?{_}[57](?:\.5)?", "other", (650, 675, 743), (670, 694, 767), "Jackson"),
    Dye("rhodamine", rf"t(?:ritc|amra)|rhodamine(?:{_}red)?", "other", (544, 570), (572, 590), "Thermo"),
    Dye("Texas Red", rf"texas{_}red(?:{_}x)?", "other", (595,), (615,), "Thermo"),
    Dye("Alexa, orange", rf"(?:alexa(?:{_}fluor)?|af|a){_}(?:532|546|555|568)", "other",
        (532, 556, 578), (553, 573, 603), "Thermo"),
    Dye("Alexa, red", rf"(?:alexa(?:{_}fluor)?|af|a){_}(?:594|610|633|647|660|680|700|750)", "other",
        (590, 612, 632, 650, 679, 702, 749), (617, 628, 647, 668, 702, 723, 775), "Thermo"),
    Dye("Atto, orange and red", rf"atto{_}(?:5[3-9]\d|6\d\d)n?", "other",
        (532, 554, 601, 646), (552, 576, 627, 664), "ATTO-TEC"),
    Dye("DyLight, orange and red", rf"dy(?:light)?{_}(?:549|550|594|633|649|650|680|755|800)", "other",
        (562, 593, 638, 655), (576, 618, 658, 674), "Thermo"),
    Dye("CF, orange and red", rf"cf{_}(?:543|555|568|594|633|640r|647|660r|680r?)", "other",
        (541, 562, 593, 630, 650, 681), (560, 583, 614, 650, 665, 698), "Biotium"),
    Dye("phycoerythrin", rf"r?{_}phycoerythrin|percp(?:{_}cy(?:5\.5)?)?", "other",
        (482, 496, 565), (578, 675, 695), "Thermo"),
    Dye("RFP", r"(?:tag|turbo|m)?rfp|dsred2?|(?:td)?tomato|m(?:cherry|scarlet|ruby|plum)", "other",
        (554, 569, 587), (581, 594, 610), "FPbase"),
)  # fmt: skip


def whole(pattern: str) -> str:
    """Return the pattern as a word: letters may not adjoin its letters, nor digits its digits.

    The other way round they may: "Hoechst33342" and "C1DAPI" are found, "cDNA" and "4880" are not.
    """
    return rf"(?:(?<![a-z])(?=[a-z])|(?<!\d)(?=\d))(?:{pattern})(?!(?<=[a-z])[a-z])(?!(?<=\d)\d)"


_ANY = re.compile("|".join(f"(?P<dye{i}>{whole(dye.pattern)})" for i, dye in enumerate(DYES)), re.IGNORECASE)


def dyes_in(text: str) -> Iterator[tuple[Dye, slice]]:
    """Yield each dye that the text names, and where."""
    for match in _ANY.finditer(text):
        yield DYES[int((match.lastgroup or "")[3:])], slice(*match.span())
