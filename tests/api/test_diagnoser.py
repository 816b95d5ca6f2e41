"""How a program opens a bundle and hands images over: containers, refusals, memory, what is loaded when."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import colvi_edge
from colvi_edge.choices import EngineName, PrecisionChoice, words_in
from colvi_edge.errors import (
    AcquisitionError,
    AxesError,
    BundleError,
    ChannelError,
    ImageTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    PixelTypeError,
    TimeSeriesError,
    UsageError,
)
from colvi_edge.simulate import simulate_planes, write_imagej
from tests.tools.leica import Series, container

DYES = ("Leica/DAPI", "Leica/ALEXA 488")
ARRAYS = """
import sys
import numpy as np
import colvi_edge
from colvi_edge.simulate import simulate_planes

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

planes = simulate_planes("control", 3, planes=1, size_px=256)
after = {}
with colvi_edge.Diagnoser.open("demo") as diagnoser:
    for number in range(1, 1001):
        other = planes + np.uint16(number % 7)
        result = diagnoser.diagnose_array(other, "ZCYX", channels=["nuclei", "collagen"])
        assert result.overlay().shape[1] >= 256, result
        if number in (200, 1000):
            after[number] = resident_mb()
print(after[1000] - after[200])
"""


@pytest.fixture(scope="module")
def diagnoser() -> Iterator[colvi_edge.Diagnoser]:
    """The demo model, open."""
    with colvi_edge.Diagnoser.open("demo") as opened:
        yield opened


@pytest.fixture(scope="module")
def planes() -> NDArray[np.uint16]:
    """A culture, (C, H, W): nuclei, collagen."""
    made: NDArray[np.uint16] = simulate_planes("patient", 4, planes=1, size_px=256)[0]
    return made


@pytest.fixture
def day(tmp_path: Path, planes: NDArray[np.uint16]) -> Path:
    """A container of two cultures, and between them an overview that is none."""
    file = tmp_path / "day.lif"
    file.write_bytes(
        container(
            Series(planes[np.newaxis], name="culture 1", bits=12, dyes=DYES),
            Series(np.ones((4, 2, 64, 64), "u1"), "MCYX", "Overview"),
            Series(planes[np.newaxis], name="culture 2", bits=12, dyes=DYES),
        ).data
    )
    return file


def test_its_words_name_every_engine_and_precision() -> None:
    """By hand, as an editor shows them; the help of the command line is made of the words themselves."""
    words = str(colvi_edge.Diagnoser.open.__doc__)

    assert f"engine: {words_in(EngineName)}." in words
    assert f"precision: {words_in(PrecisionChoice)}." in words


def test_importing_the_package_loads_no_array_library() -> None:
    """Its names are there before they are imported, and only then is anything loaded."""
    code = (
        "import sys, colvi_edge\n"
        "assert {'Diagnoser', 'Result', 'open_bundle', 'errors'} <= set(dir(colvi_edge))\n"
        "assert 'numpy' not in sys.modules and 'colvi_edge.api' not in sys.modules\n"
        "assert colvi_edge.errors.UsageError.exit_code == 2 and 'numpy' not in sys.modules\n"
        "assert colvi_edge.Diagnoser is __import__('colvi_edge.api').api.Diagnoser\n"
        "assert 'numpy' in sys.modules and not hasattr(colvi_edge, 'nothing')\n"
        "assert {'torch', 'typer', 'rich', 'watchdog'}.isdisjoint(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_container_of_several_images_is_refused_and_the_remedy_named(
    diagnoser: colvi_edge.Diagnoser, day: Path
) -> None:
    """One diagnosis of several cultures would be of none."""
    with pytest.raises(UsageError, match=r"day.lif: holds several images .*diagnose_all"):
        diagnoser.diagnose(day)


def test_each_image_of_a_container_has_its_result(diagnoser: colvi_edge.Diagnoser, day: Path) -> None:
    """One that is none of the assay says so in its turn, and the others follow."""
    found = list(diagnoser.diagnose_all(day))

    assert [result.status for result in found] == ["ok", "error", "ok"]
    assert [result.name for result in found] == [
        "day.lif.0000-culture 1",
        "day.lif.0001-Overview",
        "day.lif.0002-culture 2",
    ]
    assert found[0].score == found[2].score
    assert isinstance(found[1].error, AcquisitionError)
    assert found[1].to_dict()["error"]["kind"] == found[1].error.kind
    assert (found[1].diagnosis, found[1].flags, found[1].task, found[1]._repr_png_()) == (
        None,
        (),
        None,
        None,
    )
    with pytest.raises(type(found[1].error)):
        found[1].overlay()


def test_what_failed_is_saved_as_an_error_record(diagnoser: colvi_edge.Diagnoser, day: Path) -> None:
    """Under the names that `run` gives; a result of the same image is not touched by a failure."""
    saved = [result.save(day.parent).name for result in diagnoser.diagnose_all(day)]

    assert saved == [
        "day.lif.0000-culture 1.colvi.json",
        "day.lif.0001-Overview.colvi.error.json",
        "day.lif.0002-culture 2.colvi.json",
    ]
    assert all((day.parent / name).exists() for name in saved)


def test_a_file_of_one_image_can_be_taken_either_way(
    tmp_path: Path, diagnoser: colvi_edge.Diagnoser, planes: NDArray[np.uint16]
) -> None:
    """Also a container that holds one."""
    write_imagej(tmp_path / "one.tif", planes[np.newaxis])
    (tmp_path / "one.lif").write_bytes(
        container(Series(planes[np.newaxis], name="culture", bits=12, dyes=DYES)).data
    )
    (of_tiff,) = diagnoser.diagnose_all(tmp_path / "one.tif")

    assert of_tiff.votes == diagnoser.diagnose(tmp_path / "one.tif").votes
    assert of_tiff.votes == diagnoser.diagnose(tmp_path / "one.lif").votes


def test_what_cannot_be_judged_is_the_error_of_its_image(
    tmp_path: Path, diagnoser: colvi_edge.Diagnoser, planes: NDArray[np.uint16]
) -> None:
    """It ends a file of one image, and not a container's others."""
    small = planes[np.newaxis, :, :40, :40]
    write_imagej(tmp_path / "small.tif", small)
    two = [Series(one, name="culture", bits=12, dyes=DYES) for one in (small, planes[np.newaxis])]
    (tmp_path / "two.lif").write_bytes(container(*two).data)

    with pytest.raises(ImageTooSmallError):
        list(diagnoser.diagnose_all(tmp_path / "small.tif"))
    first, second = diagnoser.diagnose_all(tmp_path / "two.lif")
    assert (first.status, second.status) == ("error", "ok")
    assert isinstance(first.error, ImageTooSmallError)


def test_a_rejected_image_has_no_diagnosis(diagnoser: colvi_edge.Diagnoser) -> None:
    """But flags that say why, and a picture that says it, too."""
    noise = np.random.default_rng(1).integers(0, 60, (2, 256, 256)).astype(np.uint16)
    result = diagnoser.diagnose_array(noise, channels=["collagen", "nuclei"])

    assert result.status == "rejected"
    assert (result.diagnosis, result.score, result.votes, result.probabilities) == (None,) * 4
    assert any(flag.severity == "reject" for flag in result.flags)
    assert "rejected" in repr(result)
    assert (result._repr_png_() or b"").startswith(b"\x89PNG")


def test_a_notebook_shows_the_overlay(diagnoser: colvi_edge.Diagnoser, planes: NDArray[np.uint16]) -> None:
    """With its words for those who see no picture, whatever the image is called."""
    result = diagnoser.diagnose_array(planes, channels=["nuclei", "collagen"], name='a"<b>')

    html = result._repr_html_()
    assert html.startswith("<img")
    assert "a&quot;&lt;b&gt;: unsure, score 50.0" in html
    assert "Research use only" in html
    assert (result._repr_png_() or b"").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"axes": "YX"}, AxesError, "called 'YX'"),
        ({"axes": "CYQ"}, AxesError, "letter of TZCYXS"),
        ({"axes": "ZYX"}, ChannelError, "one channel"),
        ({"axes": "TYX"}, TimeSeriesError, "2 time points"),
        ({"axes": "CYY"}, AxesError, "axes CYY"),
        ({"dtype": "f8"}, PixelTypeError, "float64.*astype"),
        ({"dtype": "?"}, PixelTypeError, "bool"),
        ({"dtype": "i2", "add": -9999}, PixelTypeError, "negative"),
        ({"dtype": "f4", "add": np.nan}, PixelTypeError, "NaN"),
        ({"dtype": "u4", "add": 2**25}, PixelTypeError, "convert them to 16 bits"),
        ({"crop": 20}, ImageTooSmallError, "one patch"),
        ({"crop": 0}, AxesError, "lengths 2 x 0 x 0"),
        ({"channels": ["collagen"]}, ChannelError, "names 1"),
        ({"channels": ["collagen", "collagen"]}, ChannelError, "exactly one of collagen VI"),
        ({"pixel_size_um": 0.0}, UsageError, "above 0"),
        ({"pixel_size_um": float("nan")}, UsageError, "above 0"),
        ({"name": "../a"}, UsageError, "without folders"),
        ({"name": ""}, UsageError, "name of a file"),
        ({"name": "."}, UsageError, "name of a file"),
        ({"name": ".."}, UsageError, "name of a file"),
    ],
)
def test_what_is_no_image_is_refused(
    diagnoser: colvi_edge.Diagnoser,
    planes: NDArray[np.uint16],
    change: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    """In a sentence, as a file would be."""
    given: NDArray[Any] = planes.astype(change.pop("dtype", "u2"))
    given = given + np.asarray(change.pop("add", 0)).astype(given.dtype)
    crop = change.pop("crop", 256)
    change.setdefault("channels", ["nuclei", "collagen"])
    with pytest.raises(kind, match=words):
        diagnoser.diagnose_array(given[:, :crop, :crop], **change)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (["nuclei"], "array: holds 2 channels, but channels names 1 (nuclei); name each channel once, "),
        (["red", "green"], "array: channels holds 'red'; each channel is one of nuclei, collagen, other, "),
        (["nuclei", "nuclei"], "with channels, e.g. channels=['nuclei', "),
    ],
)
def test_errors_speak_of_arguments(
    diagnoser: colvi_edge.Diagnoser, planes: NDArray[np.uint16], channels: list[str], words: str
) -> None:
    """Where `run` speaks of options: who calls this has none."""
    with pytest.raises(ChannelError) as caught:
        diagnoser.diagnose_array(planes, channels=channels)

    assert words in str(caught.value)
    assert "--" not in str(caught.value)


def test_a_limit_is_told_as_it_is_given(tmp_path: Path, planes: NDArray[np.uint16]) -> None:
    """And the sentence helps: with what it says the file is read."""
    write_imagej(tmp_path / "one.tif", planes[np.newaxis])
    small = {"pixels": 1000, "decoded_bytes": 1000}
    wanted = {"pixels": planes.size, "decoded_bytes": planes.nbytes}

    with colvi_edge.Diagnoser.open("demo", limits=small) as diagnoser:
        for take in (diagnoser.diagnose, lambda path: list(diagnoser.diagnose_all(path))):
            with pytest.raises(ImageTooLargeError) as caught:
                take(tmp_path / "one.tif")
            assert str(caught.value).endswith(f"crop the image or allow it with limits={wanted}")
    with colvi_edge.Diagnoser.open("demo", limits=wanted) as diagnoser:
        assert diagnoser.diagnose(tmp_path / "one.tif").name == "one.tif"


def test_bad_words_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    """With what would have been right."""
    with pytest.raises(UsageError, match="expected one of auto, openvino"):
        colvi_edge.Diagnoser.open("demo", engine="cuda")
    with pytest.raises(UsageError, match="expected one of auto, fp32"):
        colvi_edge.Diagnoser.open("demo", precision="int4")
    with pytest.raises(UsageError, match="expected one of file_bytes"):
        colvi_edge.Diagnoser.open("demo", limits={"pixel": 1})
    with pytest.raises(BundleError, match="is not a folder"):
        colvi_edge.Diagnoser.open(tmp_path / "none.colvi")


def test_what_is_named_at_opening_holds_for_all_images(tmp_path: Path, planes: NDArray[np.uint16]) -> None:
    """As `--limit`, `--pixel-size-um` and `--channels` do."""
    write_imagej(tmp_path / "one.tif", planes[np.newaxis])
    bundle = colvi_edge.open_bundle("demo")
    named: dict[str, Any] = {
        "limits": {"pixels": 1000},
        "pixel_size_um": 0.5,
        "channels": ["collagen", "nuclei"],
    }
    with colvi_edge.Diagnoser.open(bundle, **named) as diagnoser:
        with pytest.raises(ImageTooLargeError):
            diagnoser.diagnose(tmp_path / "one.tif")
        result = diagnoser.diagnose_array(planes[::-1], pixel_size_um=0.3)

    assert result.to_dict()["image"]["pixel_size_um"] == 0.5
    assert result.to_dict()["image"]["channels"] == ["collagen", "nuclei"]
    assert "pixel_size_overruled" in {flag.name for flag in result.flags}


def test_a_path_that_is_no_file_is_refused(tmp_path: Path, diagnoser: colvi_edge.Diagnoser) -> None:
    """As from the command line."""
    with pytest.raises(NotAnImageError):
        diagnoser.diagnose(tmp_path)
    with pytest.raises(AcquisitionError, match="No such file"):
        next(diagnoser.diagnose_all(tmp_path / "none.tif"))


def test_a_thousand_arrays_leave_no_memory_behind() -> None:
    """Resident memory after the thousandth is that after the two-hundredth, but for what allocators keep."""
    done = subprocess.run([sys.executable, "-c", ARRAYS], check=True, capture_output=True, text=True)

    assert float(done.stdout) < 8
