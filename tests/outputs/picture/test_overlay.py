"""The picture lies where the raw image lies, shows what was measured, and says what it is."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from colvi_edge.bands import BANDS
from colvi_edge.outputs.picture.overlay import draw, encode
from colvi_edge.outputs.sidecar import Image, Model, QualityFlag, Sidecar

MakeSidecar = Callable[..., Sidecar]
Pixels = NDArray[np.uint8]

ALL_BANDS = [[0.95, 0.75, 0.55], [0.4, 0.05, 0.9]]
COLOURS = {
    "cyan": (0, 255, 255),
    "steelblue": (70, 130, 180),
    "yellow": (255, 255, 0),
    "orange": (255, 165, 0),
    "red": (255, 0, 0),
}
PAPER = (17, 18, 22)
TITLE_PX, TEXT_PX = 21, 15  # at a width of 1024


def rendered(sidecar: Sidecar, collagen: NDArray[Any], nuclei: NDArray[Any]) -> bytes:
    """Return the overlay as a file."""
    return encode(draw(sidecar, collagen, nuclei), sidecar)


def seen(sidecar: Sidecar, collagen: NDArray[Any], nuclei: NDArray[Any]) -> Pixels:
    """Return the pixels of the overlay, as Pillow decodes them."""
    return np.asarray(Pillow.open(io.BytesIO(rendered(sidecar, collagen, nuclei))))


def channels(rng: np.random.Generator, height: int, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two noisy channels, 12 bits."""
    return rng.integers(100, 4000, (height, width)), rng.integers(100, 4000, (height, width))


def marked(v: int, u: int, dots: int) -> bool:
    """Tell, for one pixel of a 64 x 64 patch, whether frame or dots cover it."""
    on_frame = min(u, v, 63 - u, 63 - v) in (1, 2)
    on_dot = 6 <= v < 9 and any(6 + 6 * dot <= u < 9 + 6 * dot for dot in range(dots))
    return on_frame or on_dot


def covers(caption: Pixels, words: str, colour: tuple[int, int, int], text_px: int) -> bool:
    """Tell whether the caption shows these words, by drawing them here and looking for the same pixels."""
    tile = Pillow.new("RGB", (20 * len(words), 2 * text_px), PAPER)
    ImageDraw.Draw(tile).text((0, text_px), words, colour, ImageFont.load_default(text_px), anchor="ls")
    drawn = np.asarray(tile)
    inked = (drawn != PAPER).any(axis=2)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    wanted = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    windows = np.lib.stride_tricks.sliding_window_view(caption, wanted.shape)[:, :, 0]
    top, left = np.unravel_index(np.argmax(wanted.sum(axis=2)), wanted.shape[:2])
    candidates = np.argwhere((windows[:, :, top, left] == wanted[top, left]).all(axis=-1))
    return any(np.array_equal(windows[y, x], wanted) for y, x in candidates)


def test_the_frames_are_exactly_those_of_the_paper(make_sidecar: MakeSidecar) -> None:
    """Pixel by pixel, in a slow loop: frame 62 wide in the band's colour, dots, and nothing else changed."""
    collagen, nuclei = channels(np.random.default_rng(1), 150, 200)
    framed = seen(make_sidecar(ALL_BANDS), collagen, nuclei)
    plain = seen(make_sidecar(None), collagen, nuclei)
    band = [["cyan", "steelblue", "yellow"], ["orange", "red", "cyan"]]
    dots = {"cyan": 0, "steelblue": 1, "yellow": 2, "orange": 3, "red": 4}
    for y in range(150):
        for x in range(200):
            expected = tuple(plain[y, x])
            if y < 128 and x < 192:
                name = band[y // 64][x // 64]
                if marked(y % 64, x % 64, dots[name]):
                    expected = COLOURS[name]
            assert tuple(framed[y, x]) == expected, (y, x)


@settings(deadline=None, max_examples=25)
@given(st.integers(64, 200), st.integers(64, 300), st.data())
def test_the_picture_lies_on_the_raw_image(
    make_sidecar: MakeSidecar, height: int, width: int, data: st.DataObject
) -> None:
    """Nothing stands above or left of it: a bright pixel is found where it is in the raw image."""
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    collagen, nuclei = np.zeros((2, height, width), np.uint16)
    collagen[y, x] = nuclei[y, x] = 4000
    picture = seen(make_sidecar(None), collagen, nuclei)

    assert picture.shape[0] > height
    assert picture.shape[1] >= width
    assert np.argwhere(picture[:height, :width].any(axis=2)).tolist() == [[y, x]]
    assert tuple(picture[y, x]) == (0, 255, 255)


def test_collagen_is_green_and_nuclei_are_blue(make_sidecar: MakeSidecar) -> None:
    """Red is left to the frames."""
    ramp = np.tile(np.arange(1024), (64, 1))
    flat = np.zeros_like(ramp)

    assert seen(make_sidecar(None), ramp, flat)[:64].any(axis=(0, 1)).tolist() == [False, True, False]
    assert seen(make_sidecar(None), flat, ramp)[:64].any(axis=(0, 1)).tolist() == [False, False, True]


def test_the_gain_runs_between_robust_percentiles(make_sidecar: MakeSidecar) -> None:
    """Black at 0.5 %, full at 99.7 %, linear between; a hot spot changes nothing."""
    ramp = 500 + np.tile(np.arange(1024), (1024, 1))
    ramp[16:20, 16:20] = 65535
    black, white = np.percentile(ramp, (0.5, 99.7))
    expected = np.clip((ramp - black) * 255 / (white - black), 0, 255)
    green = seen(make_sidecar(None), ramp, ramp)[:1024, :, 1]

    assert np.abs(green - expected).max() < 2.5
    assert green.min() == 0
    assert green.max() == 255


def test_collagen_that_is_not_there_does_not_glow(make_sidecar: MakeSidecar) -> None:
    """Noise alone stays dark: stretched to full colour it would look like a dense network."""
    noise = np.random.default_rng(5).poisson(60, (512, 512))
    green = seen(make_sidecar(None), noise, noise)[:512, :512, 1]

    assert np.mean(green) < 80
    assert np.percentile(green, 99) < 130


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_channel_is_black(make_sidecar: MakeSidecar, value: int) -> None:
    """No division by zero (warnings are errors here), no glow."""
    constant = np.full((64, 100), value)

    assert not seen(make_sidecar(None), constant, constant)[:64, :100].any()


def test_equal_numbers_give_equal_bytes_in_every_dtype(make_sidecar: MakeSidecar) -> None:
    """The same projection as int64, uint16, float32 or float64 is the same picture."""
    collagen, nuclei = channels(np.random.default_rng(7), 130, 200)
    pictures = {
        rendered(make_sidecar(ALL_BANDS), collagen.astype(dtype), nuclei.astype(dtype))
        for dtype in (np.int64, np.uint16, np.float32, np.float64)
    }

    assert len(pictures) == 1


@pytest.mark.parametrize(
    ("p_control", "word", "colour"),
    [(0.9, "CONTROL", (0, 255, 255)), (0.1, "PATIENT", (255, 96, 88)), (0.5, "UNSURE", (255, 255, 0))],
)
def test_the_caption_says_name_diagnosis_and_score(
    make_sidecar: MakeSidecar, p_control: float, word: str, colour: tuple[int, int, int]
) -> None:
    """Read back by drawing the words again; the research-use line and the model stand below."""
    grid = np.full((1, 16), p_control, np.float32)
    blank = np.zeros((64, 1024))
    caption = seen(make_sidecar(grid), blank, blank)[64:]

    assert covers(caption, "culture_07.tif", (240, 240, 240), TITLE_PX)
    assert covers(caption, word, colour, TITLE_PX)
    assert covers(caption, "score 100.0" if p_control == 0.9 else "score 0.0", (240, 240, 240), TITLE_PX)
    for grey in ("vote", "synthetic", "demo", "model", "1.0", "0.9-1.0", "0.0-0.3"):
        assert covers(caption, grey, (160, 164, 172), TEXT_PX), grey
    for white in ("Research", "use", "only.", "diagnostic", "procedures."):
        assert covers(caption, white, (240, 240, 240), TEXT_PX), white
    assert not covers(caption, "REJECTED", (255, 191, 80), TITLE_PX)


def test_the_legend_counts_every_band(make_sidecar: MakeSidecar) -> None:
    """Counts stand beside the five colours, and a bar shows their shares."""
    values = np.repeat([0.95, 0.75, 0.55, 0.4, 0.05], [8, 4, 2, 1, 1]).astype(np.float32).reshape(1, 16)
    blank = np.zeros((64, 1024))
    caption = seen(make_sidecar(values), blank, blank)[64:]
    bar = caption[18, 15:-15]

    for count in ("8", "4", "2", "1"):
        assert covers(caption, count, (240, 240, 240), TEXT_PX)
    shares = [np.mean((bar == band.rgb).all(axis=1)) for band in BANDS]
    assert np.allclose(shares, [8 / 16, 4 / 16, 2 / 16, 1 / 16, 1 / 16], atol=0.001)


def test_a_rejected_image_says_so_and_why(make_sidecar: MakeSidecar) -> None:
    """No frames, no diagnosis; the words of the rule, and of the warnings."""
    flags = [
        QualityFlag(name="no_cells", severity="reject", words="Nothing there: check the stain."),
        QualityFlag(name="pixel_size_unknown", severity="warn", words="States no pixelsize."),
    ]
    blank = np.zeros((64, 1024))
    picture = seen(make_sidecar(None, quality=flags), blank, blank)

    assert not picture[:64].any()
    assert covers(picture[64:], "REJECTED - not judged", (255, 191, 80), TITLE_PX)
    for word in ("Nothing", "stain."):
        assert covers(picture[64:], word, (240, 240, 240), TEXT_PX)
    assert covers(picture[64:], "pixelsize.", (255, 191, 80), TEXT_PX)
    assert covers(picture[64:], "Research", (240, 240, 240), TEXT_PX)
    assert not covers(picture[64:], "score", (240, 240, 240), TITLE_PX)


def test_odd_and_long_names_are_spelt_so_that_they_can_be_read(make_sidecar: MakeSidecar) -> None:
    """What the font lacks and what would break the line is escaped; the middle of a long name is left out."""
    blank = np.zeros((64, 1024))

    def shows(name: str, words: str) -> bool:
        image = Image(name=name, axes="YX", shape=[64, 1024])
        return covers(
            seen(make_sidecar(None, image=image), blank, blank)[64:], words, (240, 240, 240), TITLE_PX
        )

    assert shows("M\u00fcller\n1.tif", r"M\xfcller\n1.tif")
    assert shows("\u7d30\u80de.tif", r"\u7d30\u80de.tif")
    assert shows("begin" + "x" * 200 + "end.tif", "begin" + "x" * 15 + "..." + "x" * 13 + "end.tif")


@pytest.mark.parametrize(("height", "width"), [(64, 64), (300, 260), (64, 768), (64, 2300)])
def test_the_caption_fits_every_width(make_sidecar: MakeSidecar, height: int, width: int) -> None:
    """Small pictures get a caption that is wide enough, large ones larger letters; nothing is cut off."""
    flag = QualityFlag(name="x", severity="warn", words="Many words that need more than one line. " * 9)
    model = Model(
        name="a network with a rather long name (synthetic demo model)", version="1", sha256="0" * 64
    )
    blank = np.zeros((height, width))
    picture = seen(
        make_sidecar(np.full((height // 64, width // 64), 0.4, np.float32), quality=[flag], model=model),
        blank,
        blank,
    )
    caption = picture[height:]
    edge = 10

    assert picture.shape[1] == max(width, 768)
    assert (picture[:height, width:] == PAPER).all()
    assert (caption[:, -edge:] == PAPER).all()
    assert (caption[-edge:] == PAPER).all()
    assert covers(caption, "procedures.", (240, 240, 240), max(14, picture.shape[1] // 68))


def test_the_file_says_what_wrote_it_and_what_it_is_for(make_sidecar: MakeSidecar) -> None:
    """The line travels with the file, where image viewers show it."""
    blank = np.zeros((128, 192))
    with Pillow.open(io.BytesIO(rendered(make_sidecar(ALL_BANDS), blank, blank))) as picture:
        assert picture.info == {
            "Software": "colvi-edge 0.1.0",
            "Description": "Research use only. Not for use in diagnostic procedures.",
        }


def test_votes_and_bands_are_those_of_the_sidecar(make_sidecar: MakeSidecar) -> None:
    """A view decides nothing: the colour follows the recorded band, not the number."""
    sidecar = make_sidecar([[0.95]])
    assert sidecar.patches is not None
    odd = sidecar.model_copy(update={"patches": sidecar.patches.model_copy(update={"band": [["red"]]})})
    blank = np.zeros((64, 64))

    assert tuple(seen(odd, blank, blank)[1, 1]) == (255, 0, 0)
