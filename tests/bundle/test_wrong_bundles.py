"""A bundle that makes no sense is refused by one sentence and exit code 4 or 5, whatever is wrong.

The files here are well sealed: whoever writes a bundle writes its sums, too.
"""

import hashlib
import io
import lzma
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from colvi_edge.bundle import demo_path, open_bundle
from colvi_edge.bundle.opening import MANIFEST, SUMS
from colvi_edge.engines import open_engine
from colvi_edge.errors import BundleError, ColviEdgeError
from colvi_edge.simulate import simulate_projection, write_imagej
from tests.tools.bundles import edit_config, reseal
from tests.tools.engines import ENGINES
from tests.tools.onnx_models import identity_graph, network, written

NETWORKS = ("fp32.onnx", "fp16.onnx", "int8-cpu.onnx", "int8-trt.onnx")
PATCHES, PROBABILITIES, REFERENCES = (
    "verification_patches.npy",
    "verification_probabilities.npy",
    "familiarity.npy",
)
MANIFEST_TEXT = (demo_path() / MANIFEST).read_text()
PLAIN = yaml.safe_load(MANIFEST_TEXT)


def outcome(bundle: Path) -> ColviEdgeError | None:
    """Open a bundle and an engine; return the sentence, None if it opens. Anything else is a fault."""
    try:
        open_engine(open_bundle(bundle), "onnxruntime").close()
    except ColviEdgeError as error:
        return error
    return None


def assert_sentence(error: ColviEdgeError | None) -> None:
    """One printable line of bounded length that ends in a remedy, and an exit code of a bundle's."""
    assert error is not None
    assert error.exit_code in (4, 5)
    assert str(error).isprintable()
    assert len(str(error)) < 1500


def npy(array: Any) -> bytes:
    """An array as NumPy writes it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text: str, version: bytes = b"\x01\x00", numbers: bytes = bytes(64)) -> bytes:
    """A .npy with any header."""
    size = 2 if version[0] == 1 else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(size, "little") + text.encode() + numbers


def shaped(descr: str, shape: str, fortran: str = "False") -> bytes:
    """A .npy of numbers that are not there."""
    return header(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")


def patches(*shape: int, dtype: str = "uint16") -> bytes:
    """Patches of any shape."""
    return npy(np.ones(shape, dtype))


INFINITE, NEGATIVE = np.full((64, 2), np.inf, np.float32), np.full((64, 2), -0.5, np.float32)

FILES: dict[str, tuple[str, bytes]] = {
    **{f"{name} empty": (name, b"") for name in (*NETWORKS, PATCHES, PROBABILITIES, REFERENCES, MANIFEST)},
    **{f"{name} of zeros": (name, bytes(5000)) for name in (*NETWORKS, PATCHES, MANIFEST)},
    **{f"{name} garbage": (name, b"\x08\x08garbage" * 100) for name in NETWORKS},
    **{f"{name} a text": (name, b"colour: [red, green\n") for name in (*NETWORKS, PATCHES, REFERENCES)},
    "giant patches": (PATCHES, shaped("'<f4'", "(1000000000000, 2, 64, 64)")),
    "patches without end": (PATCHES, shaped("'<f4'", "(999999999, 2, 64, 64)")),
    "patches of less than nothing": (PATCHES, shaped("'<f4'", "(-5, 2, 64, 64)")),
    "no patches": (PATCHES, patches(0, 2, 64, 64)),
    "patches of objects": (PATCHES, npy(np.array([{}], object))),
    "patches of a record": (PATCHES, npy(np.zeros(3, [("a", "u2"), ("b", "f4")]))),
    "patches of texts": (PATCHES, npy(np.array(["a"]))),
    "patches of dates": (PATCHES, npy(np.array(["2001-01-01"], "datetime64[s]"))),
    "patches the other way": (PATCHES, npy(np.asfortranarray(np.ones((64, 2, 64, 64), np.uint16)))),
    "patches of big-endian": (PATCHES, npy(np.ones((64, 2, 64, 64), ">u2"))),
    "patches of 64 bits": (PATCHES, patches(64, 2, 64, 64, dtype="float64")),
    "patches in another version": (PATCHES, header("{'descr': '<u2'}\n", b"\x02\x00")),
    "patches in a third": (PATCHES, header("{'descr': '<u2'}\n", b"\x03\x00")),
    "patches with a deep header": (PATCHES, header("[" * 60_000)),
    "patches with a code as header": (PATCHES, header("__import__('os').abort()\n")),
    "patches with a header of powers": (PATCHES, shaped("'<f4'", "(9**9**9,)")),
    "patches cut": (PATCHES, patches(64, 2, 64, 64)[:-1]),
    "patches with more": (PATCHES, patches(64, 2, 64, 64) + b"x"),
    "patches of three channels": (PATCHES, patches(64, 3, 64, 64)),
    "small patches": (PATCHES, patches(64, 2, 32, 32)),
    "another number of patches": (PATCHES, patches(63, 2, 64, 64)),
    "patches of NaN": (PATCHES, npy(np.full((64, 2, 64, 64), np.nan, np.float32))),
    "patches beyond all": (PATCHES, npy(np.full((64, 2, 64, 64), 1e30, np.float32))),
    "another's patches": (PATCHES, patches(64, 2, 64, 64)),
    "infinite probabilities": (PROBABILITIES, npy(INFINITE)),
    "probabilities below 0": (PROBABILITIES, npy(NEGATIVE)),
    "probabilities of three": (PROBABILITIES, npy(np.zeros((64, 3), np.float32))),
    "references of NaN": (REFERENCES, npy(np.full((168, 10), np.nan, np.float32))),
    "few references": (REFERENCES, npy(np.zeros((5, 10), np.float32))),
    "narrow references": (REFERENCES, npy(np.zeros((168, 9), np.float32))),
    "a manifest that is a list": (MANIFEST, b"- a\n- b\n"),
    "a manifest that is a text": (MANIFEST, b"hello\n"),
    "a manifest that is nothing": (MANIFEST, b"~\n"),
    "a manifest of 16 MB": (MANIFEST, b"a: " + b"x" * 2**24),
    "a deep manifest": (MANIFEST, b"[" * 100_000),
    "a manifest of deep tables": (MANIFEST, b"{a: " * 50_000),
    "a manifest of deep lists": (MANIFEST, b"- " * 50_000),
    "a manifest of a billion laughs": (
        MANIFEST,
        b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (k + 1, k + 1, k, k) for k in range(97, 121)),
    ),
    "a manifest that holds itself": (MANIFEST, b"&a [*a]\n"),
    "a manifest with a tag": (MANIFEST, b"!!python/object/apply:os.system ['true']\n"),
    "a manifest of bytes": (MANIFEST, b"!!binary aGVsbG8=\n"),
    "a manifest with a set": (MANIFEST, b"!!set {a, b}\n"),
    "a manifest with merged keys": (MANIFEST, b"a: {b: 1}\n<<: {c: 2}\n"),
    "a manifest with a key twice": (MANIFEST, b"type: model\ntype: model\n"),
    "a manifest with a list as key": (MANIFEST, b"? [a, b]\n: 1\n"),
    "a manifest with a number as key": (MANIFEST, b"1: 1\n"),
    "a manifest of 5,000 digits": (MANIFEST, b"a: " + b"9" * 5000),
    "a manifest of sixties": (MANIFEST, b"a: 1" + b":59" * 5000),
    "a manifest of two documents": (MANIFEST, b"a: 1\n---\nb: 2\n"),
    "a manifest of no text": (MANIFEST, b"\xff\xfe\x00\xd8"),
    "a manifest with a control character": (MANIFEST, b"a: \x1b[31m\n"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_makes_no_sense_is_a_sentence(copied_bundle: Path, name: str) -> None:
    """In place of any file of the bundle; never a traceback, and never another exit code."""
    file, data = FILES[name]
    (copied_bundle / file).write_bytes(data)
    reseal(copied_bundle)

    error = outcome(copied_bundle)

    assert_sentence(error)
    assert error is not None
    assert file in str(error) or error.exit_code == 5


EXTREMES: list[Any] = [
    *(None, True, False, "", "x", "x" * 100_000, "a\x1b]0;X\a\nb", "\u202e", "\ud7ff", "../../etc/passwd"),
    *(0, -1, 1, 2**31, 2**64 - 1, 10**4000, -(10**30), 0.5, -0.5, 1e-320, 1e308),
    *(float("nan"), float("inf"), float("-inf")),
    *([], {}, [[]], [None], ["x"] * 3000, {"x": {"x": {}}}, {"": None}, [[1, 2], [3, 4]]),
]


def leaves(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a manifest stands, tables and lists too."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, part in parts:
        yield (*place, key)
        yield from leaves(part, (*place, key))


READ = [("type",), ("name",), ("version",), ("config",), *leaves(PLAIN["config"], ("config",))]
READ = [place for place in READ if not (len(place) == 4 and place[2] == "seen" and place[3] > 1)]


SHORT = deepcopy(PLAIN)
del SHORT["config"]["colvi_edge"]["seen"][2:]


def replaced(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The manifest with one value in place of another, and two of the many images that were seen."""
    plain: dict[str, Any] = deepcopy(SHORT)
    at: Any = plain
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return plain


@pytest.fixture(scope="module")
def changed_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Path]:
    """A function that gives a bundle with another manifest: the demo's files as links of the same content."""
    folder = tmp_path_factory.mktemp("changed") / "changed.colvi"
    folder.mkdir()
    for file in demo_path().iterdir():
        os.link(file, folder / file.name) if file.name not in (MANIFEST, SUMS) else None
    sums = (demo_path() / SUMS).read_text()

    def change(manifest: bytes) -> Path:
        (folder / MANIFEST).write_bytes(manifest)
        lines = [line for line in sums.splitlines() if not line.endswith(MANIFEST)]
        lines.append(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}")
        (folder / SUMS).write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda one: one[66:])))
        return folder

    return change


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(READ), value=st.sampled_from(EXTREMES))
def test_any_value_of_the_manifest_may_be_anything(
    changed_bundle: Callable[[bytes], Path], place: tuple[Any, ...], value: Any
) -> None:
    """It opens, or is refused by a sentence of one printable line and bounded length."""
    error = outcome(changed_bundle(yaml.safe_dump(replaced(place, value)).encode()))

    if error is not None:
        assert_sentence(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_of_the_manifest_is_a_sentence(
    changed_bundle: Callable[[bytes], Path], data: st.DataObject
) -> None:
    """Characters changed, cut out and put in."""
    text = bytearray(MANIFEST_TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place, length = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 30))
        text[place : place + length] = data.draw(
            st.text("{}[]&*!:-'\"\n #%@`|>?,\t\x00\xa0é0:", max_size=4)
        ).encode()
    error = outcome(changed_bundle(bytes(text)))

    if error is not None:
        assert_sentence(error)


def test_dates_and_long_texts_stay_what_they_are(changed_bundle: Callable[[bytes], Path]) -> None:
    """A version that looks like a date, or like one that no calendar has, is a text."""
    for version in ("2001-01-01", "2001-99-99", "2001-12-14t21:59:43.10-05:00"):
        text = MANIFEST_TEXT.replace("version: 1.0.0", f"version: {version}\ntimestamp: {version}", 1)
        assert open_bundle(changed_bundle(text.encode())).version == version


@pytest.mark.parametrize(
    "name", ["evil\x1b]0;OWNED\a", "forged\nline", "turned \u202e", "cut\x9b", "soft\xadhyphen"]
)
def test_a_name_that_would_write_to_the_terminal_is_refused(
    changed_bundle: Callable[[bytes], Path], name: str
) -> None:
    """And shown as what can be printed."""
    with pytest.raises(BundleError, match=r"control characters in '.*\\") as refusal:
        open_bundle(changed_bundle(yaml.safe_dump(replaced(("name",), name)).encode()))

    assert_sentence(refusal.value)


def test_a_stray_name_is_shown_as_it_can_be_printed(copied_bundle: Path) -> None:
    """Escape sequences, a line break, bytes that are no text."""
    (copied_bundle / "x\x1b]0;OWNED\a\nforged line\udcff").write_text("")

    with pytest.raises(
        BundleError, match=r"x\\x1b\]0;OWNED\\x07\\nforged line\\udcff is not listed"
    ) as refusal:
        open_bundle(copied_bundle)

    assert_sentence(refusal.value)


def test_what_cannot_be_read_is_a_sentence(copied_bundle: Path, tmp_path: Path) -> None:
    """A name without end, a pipe, a folder, a link in place of the sums, a file too many."""
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle("x" * 5000)
    sums = (copied_bundle / SUMS).read_text()
    for spoil in (os.mkfifo, Path.mkdir, lambda file: file.symlink_to(tmp_path)):
        file = copied_bundle / "fp32.onnx"
        file.rename(tmp_path / "kept")
        spoil(file)
        with pytest.raises(BundleError, match=r"fp32\.onnx is not a plain file"):
            open_bundle(copied_bundle)
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        (tmp_path / "kept").rename(file)
    (copied_bundle / SUMS).write_text(sums + f"{'0' * 64}  {'x' * 300}\n")
    with pytest.raises(BundleError, match="SHA256SUMS is damaged"):
        open_bundle(copied_bundle)


def bomb(megabytes: int) -> bytes:
    """Zeros that unpack to a size."""
    return lzma.compress(bytes(megabytes << 20))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xfd7zXZ\x00", bomb(100), lzma.compress(b"code")[:-4], lzma.compress(b"code") * 2, b"x" * 1000],
    ids=["empty", "cut", "bomb", "short", "twice", "garbage"],
)
def test_kernels_that_are_none_are_a_sentence(copied_bundle: Path, data: bytes) -> None:
    """Unpacked only as far as a kernel may go."""
    (copied_bundle / "project_tile_normalise.sm_87.cubin.xz").write_bytes(data)
    reseal(copied_bundle)
    opened = open_bundle(copied_bundle)
    (kernel,) = (kernel for kernel in opened.config.kernels if kernel.target == "sm_87")

    with pytest.raises(BundleError, match=r"sm_87\.cubin\.xz is no kernel") as refusal:
        opened.kernel(kernel)

    assert_sentence(refusal.value)


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "unverified"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_a_runtime_does_not_take_is_a_sentence(
    copied_bundle: Path, engine: str, verified: bool
) -> None:
    """Every shape is right, and a setting is a word where the runtime wants a number."""
    leaky = helper.make_node("LeakyRelu", ["patches"], ["end"], alpha="much")
    (copied_bundle / "fp32.onnx").write_bytes(written(network([leaky], [], "end", ("N", 2, 64, 64))))
    edit_config(copied_bundle, **({} if verified else {"verification": None}))
    opened = open_bundle(copied_bundle)

    with pytest.raises(BundleError, match=r"(OpenVINO|ONNX Runtime) cannot run .*fp32\.onnx") as refusal:
        open_engine(opened, engine, "fp32")

    assert_sentence(refusal.value)


def test_the_command_line_ends_with_4(
    copied_bundle: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    """One line that names file, operator and remedy, and nothing beside the image."""
    parts = [helper.make_node("Loop", ["", "", "patches"], ["end"], body=identity_graph())]
    (copied_bundle / "fp16.onnx").write_bytes(written(network(parts, [], "end", ("N", 2, 64, 64))))
    reseal(copied_bundle)
    image = tmp_path / "images" / "a.tif"
    image.parent.mkdir()
    write_imagej(image, simulate_projection("control", 1, size_px=128))

    code, _, err = run("run", image, "--bundle", copied_bundle)

    assert code == 4
    assert err == (
        f"colvi-edge: error: {copied_bundle}/fp16.onnx has the operator 'Loop', which is not taken here; "
        "export again, or ask whoever made the bundle\n"
    )
    assert [file.name for file in image.parent.iterdir()] == ["a.tif"]
