"""A bundle is opened only as it was exported; anything else is named."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colvi_edge.bundle import Bundle, demo_path, open_bundle
from colvi_edge.bundle.arrays import STRUCTURE
from colvi_edge.bundle.manifest import MOST_BYTES
from colvi_edge.bundle.opening import MANIFEST, SUMS
from colvi_edge.errors import BundleError
from colvi_edge.quality.familiarity import STRUCTURE as QUALITY_STRUCTURE
from tests.tools.bundles import edit_config, reseal

DEMO_FILES = sorted(entry.name for entry in demo_path().iterdir())


def test_the_demo_bundle_opens_and_says_what_it_is(demo_bundle: Bundle) -> None:
    """The shipped model is called synthetic wherever its name appears, and states how well it does."""
    evaluation = demo_bundle.config.evaluation

    assert "synthetic demo model" in demo_bundle.name
    assert demo_bundle.config.channels == ("collagen", "nuclei")
    assert evaluation is not None
    assert evaluation.patch_accuracy >= 0.95
    (cc, cp), (pc, pp) = evaluation.confusion
    assert evaluation.patch_accuracy == pytest.approx((cc + pp) / (cc + cp + pc + pp), abs=1e-4)


def test_the_demo_bundle_stays_small() -> None:
    """It is installed with the package, and its kernels change with their source."""
    assert sum(p.stat().st_size for p in demo_path().iterdir()) < 8 << 20
    assert sum(p.stat().st_size for p in demo_path().glob("*.xz")) < 300_000


def test_the_demo_bundle_holds_kernels_for_every_gpu(demo_bundle: Bundle) -> None:
    """PTX that ends with the driver's NUL, and cubins; each with the entries that fp32 and fp16 need."""
    kernels = demo_bundle.config.kernels
    ptx, *cubins = (demo_bundle.kernel(kernel) for kernel in kernels)
    entries = [
        f"project_tile_normalise_{i}_{o}".encode() for i in ("u8", "u16", "f32") for o in ("f32", "f16")
    ]

    assert [kernel.target for kernel in kernels] == [
        "compute_75",
        *("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_110", "sm_120"),
    ]
    assert [kernel.compute_capability for kernel in kernels[-2:]] == [(11, 0), (12, 0)]
    assert [kernel.is_ptx for kernel in kernels] == [True] + 8 * [False]
    assert b".version 8.5\n" in ptx
    assert ptx.endswith(b"}\n\n\0")
    assert all(cubin.startswith(b"\x7fELF") for cubin in cubins)
    assert all(entry in code for code in (ptx, *cubins) for entry in entries)


@pytest.mark.parametrize("name", DEMO_FILES)
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_changed_byte_is_found_and_the_file_named(copied_bundle: Path, name: str, where: str) -> None:
    """Any single byte of any file, the sums themselves included."""
    file = copied_bundle / name
    data = bytearray(file.read_bytes())
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[where]] ^= 1
    file.write_bytes(data)

    with pytest.raises(BundleError) as refusal:
        open_bundle(copied_bundle)

    # A changed sum accuses the file that it belongs to; every other change its own file.
    assert name == SUMS or name in str(refusal.value)


def test_every_single_byte_of_the_sums_counts(copied_bundle: Path) -> None:
    """No change of SHA256SUMS goes unnoticed: neither a hash, nor a name, nor a blank."""
    sums = copied_bundle / SUMS
    original = sums.read_bytes()
    for index in range(0, len(original), 7):
        spoilt = bytearray(original)
        spoilt[index] ^= 0x20  # swaps the case of letters, turns blanks into NUL
        sums.write_bytes(spoilt)

        with pytest.raises(BundleError):
            open_bundle(copied_bundle)


@pytest.mark.parametrize("name", DEMO_FILES)
def test_a_missing_file_is_named(copied_bundle: Path, name: str) -> None:
    """An interrupted copy is told from a bad one."""
    (copied_bundle / name).unlink()

    with pytest.raises(BundleError, match=name):
        open_bundle(copied_bundle)


def test_a_file_that_is_not_listed_is_refused(copied_bundle: Path) -> None:
    """What was not exported does not belong to the bundle."""
    (copied_bundle / "extra.onnx").write_bytes(b"?")

    with pytest.raises(BundleError, match=r"extra\.onnx is not listed"):
        open_bundle(copied_bundle)


def test_a_link_is_not_a_file_of_the_bundle(copied_bundle: Path, tmp_path: Path) -> None:
    """A bundle refers to nothing outside its folder."""
    shutil.move(copied_bundle / "fp32.onnx", tmp_path / "elsewhere.onnx")
    (copied_bundle / "fp32.onnx").symlink_to(tmp_path / "elsewhere.onnx")

    with pytest.raises(BundleError, match=r"fp32\.onnx is not a plain file"):
        open_bundle(copied_bundle)


def test_a_name_in_the_sums_cannot_lead_outside(copied_bundle: Path, tmp_path: Path) -> None:
    """`../secret` is no file name."""
    (tmp_path / "secret").write_bytes(b"s")
    with (copied_bundle / SUMS).open("a") as sums:
        sums.write(f"{hashlib.sha256(b's').hexdigest()}  ../secret\n")

    with pytest.raises(BundleError, match="SHA256SUMS is damaged"):
        open_bundle(copied_bundle)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema_version": 3}, "schema_version"),
        ({"patch_px": 0}, "patch_px"),
        ({"channels": ["collagen", "collagen"]}, "collagen and nuclei once each"),
        ({"classes": ["patient", "control"]}, "classes"),
        ({"normalisation": {"kind": "fixed"}}, "normalisation"),
        ({"bands": {"green": 0.5}}, "bands"),
        ({"precisions": {}}, "fp32"),
        ({"precisions": {"fp32": {"file": "gone.onnx", "purpose": "x"}}}, "gone.onnx"),
        ({"kernels": [{"file": "gone.cubin.xz", "target": "sm_87"}]}, "gone.cubin.xz"),
        ({"kernels": [{"file": "fp32.onnx", "target": "sm_8x"}]}, "target"),
        ({"kernels": [{"file": "fp32.onnx", "target": "gfx90"}]}, "target"),
        ({"verification": {"patches": "gone.npy", "probabilities": "gone.npy"}}, "gone.npy"),
        ({"colour": "red"}, "colour"),
        ({"patch_px": 1025}, "patch_px"),
        ({"patch_px": 2**70}, "patch_px"),
        ({"expected": {"pixel_size_um": float("inf")}}, "expected.pixel_size_um"),
        ({"expected": {"pixel_size_um": float("nan")}}, "expected.pixel_size_um"),
        ({"expected": {"planes": 2**64 - 1}}, "expected.planes"),
        ({"expected": {"patches_at_least": 2**64 - 1}}, "expected.patches_at_least"),
        ({"normalisation": {"kind": "scale", "divisor": 1e300, "dtype": "uint8"}}, "normalisation.divisor"),
        ({"normalisation": {"kind": "scale", "divisor": 1e-300, "dtype": "uint8"}}, "normalisation"),
        ({"normalisation": {"kind": "scale", "divisor": 1, "dtype": "object"}}, "normalisation.dtype"),
        ({"normalisation": {"kind": "fixed", "mean": [0, 0], "std": [1, 1e-300]}}, "normalisation.std"),
        ({"normalisation": {"kind": "fixed", "mean": [0] * 99, "std": [1] * 99}}, "normalisation.mean"),
        ({"precisions": {"fp32": {"file": "../fp32.onnx", "purpose": "x"}}}, "precisions.fp32.file"),
        ({"precisions": {"fp32": {"file": "fp32.onnx", "purpose": "x\x1b[31m"}}}, "control characters"),
        ({"precisions": {"fp32": {"file": "fp32.onnx", "purpose": "x" * 501}}}, "precisions.fp32.purpose"),
        ({"seen": ["x\n"]}, "seen.0"),
        (
            {"kernels": [{"file": "x", "target": "sm_75"} for _ in range(101)]},
            r"kernels: .* at most 100 items",
        ),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    copied_bundle: Path, changes: dict[str, Any], complaint: str
) -> None:
    """Well sealed is not enough: every value is checked, and the complaint says which."""
    edit_config(copied_bundle, **changes)

    with pytest.raises(BundleError, match=complaint):
        open_bundle(copied_bundle)


@pytest.mark.parametrize("content", ["", "a: [", "- 1\n", "type: dataset\n", "!!python/object:os.system {}"])
def test_a_manifest_that_is_none_is_refused(copied_bundle: Path, content: str) -> None:
    """Broken YAML, another type and YAML that would run code all end as a sentence."""
    (copied_bundle / MANIFEST).write_text(content)
    reseal(copied_bundle)

    with pytest.raises(BundleError, match=MANIFEST):
        open_bundle(copied_bundle)


def test_a_manifest_has_a_length(copied_bundle: Path) -> None:
    """One of a mebibyte is read, one byte more is not looked at."""
    manifest = copied_bundle / MANIFEST
    text = manifest.read_bytes()
    line = b"# " + b"x" * 1021 + b"\n"
    long = text + line * ((MOST_BYTES - len(text)) // len(line))
    for length in (MOST_BYTES, MOST_BYTES + 1):
        manifest.write_bytes(long.ljust(length, b"\n"))
        reseal(copied_bundle)
        if length == MOST_BYTES:
            open_bundle(copied_bundle)

    with pytest.raises(BundleError, match="is not a plain file of at most 1 MiB"):
        open_bundle(copied_bundle)


def test_what_the_references_are_is_one_number(demo_bundle: Bundle) -> None:
    """The bundle says how many numbers describe an image, quality how they are made."""
    references = demo_bundle.references()

    assert STRUCTURE == QUALITY_STRUCTURE
    assert references is not None
    assert references.shape[1] == STRUCTURE


def test_a_folder_without_sums_is_no_bundle(tmp_path: Path) -> None:
    """A wrong path is said to be one."""
    with pytest.raises(BundleError, match="not a bundle"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="not a folder"):
        open_bundle(tmp_path / "nowhere")


def test_a_file_changed_after_opening_is_not_read(copied_bundle: Path) -> None:
    """What is read later is what was verified."""
    opened = open_bundle(copied_bundle)
    (copied_bundle / "fp32.onnx").write_bytes(b"swapped")

    with pytest.raises(BundleError, match=r"fp32\.onnx was changed"):
        opened.network("fp32")


def test_sums_are_what_coreutils_checks(copied_bundle: Path) -> None:
    """`sha256sum --check` agrees, so an administrator needs no tool of ours."""
    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=copied_bundle, capture_output=True)

    assert done.returncode == 0, done.stderr.decode()


def test_equal_networks_give_equal_bundles(make_bundle: Callable[..., tuple[Bundle, Any]]) -> None:
    """Exporting again changes not a byte: no time, path or host gets in."""
    one, _ = make_bundle(seed=3)
    other, _ = make_bundle(seed=3)

    assert one.sha256 == other.sha256


def test_the_test_tensors_are_the_networks_own(demo_bundle: Bundle) -> None:
    """The pair that the model zoo checks belongs to the FP32 network, in another runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(demo_bundle.network("fp32"), providers=["CPUExecutionProvider"])
    given = np.load(demo_bundle.path / "test_input.npy")
    expected = np.load(demo_bundle.path / "test_output.npy")

    np.testing.assert_allclose(session.run(None, {"patches": given})[0], expected, atol=1e-5)
