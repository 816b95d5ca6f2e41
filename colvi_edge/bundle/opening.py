"""The bundle on disk: a folder `NAME.colvi/` that is opened only if every byte is the one exported.

A bundle is a BioImage.IO model package (spec 0.5): `bioimageio.yaml` names the FP32 network and
its test tensors, `config.colvi_edge` holds what the model zoo has no words for, and
`SHA256SUMS` covers every other file. The sums detect corruption, not malice: whoever can
write the folder can write new sums. So what the files say is checked as well, before a runtime sees
it: networks operator by operator (`colvi_edge.onnx`), arrays, the manifest; all within bounds.
"""

import errno
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import arrays, manifest
from colvi_edge.bundle.arrays import KnownRegion, VerificationSet
from colvi_edge.bundle.manifest import Config, KernelFile, Precision, Verification, VerificationRegion
from colvi_edge.bundle.npy import ArrayError
from colvi_edge.choices import DEMO, DEMOS
from colvi_edge.errors import BundleError
from colvi_edge.onnx import NetworkError, check_dense_network, check_network
from colvi_edge.printable import printable_name
from colvi_edge.system.bounded import read_bounded

MANIFEST = "bioimageio.yaml"
SUMS = "SHA256SUMS"
_MOST_SUMS_BYTES = 2**16
_MOST_FILE_BYTES = 2**28
_MOST_BYTES = 2**30
_MOST_KERNEL_BYTES = 2**24
"""Of one that is decompressed; the demo's have at most 267 kB."""

_SUMS_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]{0,99})\n")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: verified when it was opened, and again wherever a file of it is read.

    Attributes:
        path: the folder.
        name: from the manifest, for people.
        version: likewise.
        sha256: hash of SHA256SUMS, hence of everything.
        config: what colvi-edge needs to know.
    """

    path: Path
    name: str
    version: str
    sha256: str
    config: Config
    _sums: Mapping[str, str]

    @property
    def label(self) -> str:
        """Name and version, as people are told of it."""
        return f"{self.name} {self.version}"

    def network(self, precision: Precision) -> bytes:
        """Return the ONNX file of a precision that `config.precisions` holds."""
        return self.read(self.config.precisions[precision].file)

    def kernel(self, kernel: KernelFile) -> bytes:
        """Return what `cuModuleLoadData` takes of one of `config.kernels`.

        Raises:
            BundleError: the file is not the one that was exported, or holds none.
        """
        import lzma  # a Python that was built without liblzma can still run networks on a CPU

        xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_FILE_BYTES)
        try:
            code = xz.decompress(self.read(kernel.file), _MOST_KERNEL_BYTES)
        except lzma.LZMAError as error:
            raise _damaged(self.path, kernel.file, f"is no kernel ({error})") from error
        if not xz.eof or xz.unused_data:
            raise _damaged(self.path, kernel.file, f"is no kernel of at most {_MOST_KERNEL_BYTES >> 20} MiB")
        return code

    def verification_set(self) -> VerificationSet | None:
        """Return the patches with which engines are tried; None without them, and where there are none.

        Raises:
            BundleError: a file is not the one that was exported.
        """
        names = self.config.verification
        if not isinstance(names, Verification):
            return None
        patches = arrays.patches(self.read(names.patches), self.config)
        probabilities = arrays.probabilities(self.read(names.probabilities), self.config)
        if len(patches) != len(probabilities):
            why = f"holds {len(patches)} patches, and there are {len(probabilities)} probabilities"
            raise _damaged(self.path, names.patches, why)
        return VerificationSet(patches, probabilities)

    def known_region(self) -> KnownRegion | None:
        """Return the region with which engines are tried; None without one.

        Raises:
            BundleError: a file is not the one that was exported.
        """
        names = self.config.verification
        if not isinstance(names, VerificationRegion):
            return None
        planes = arrays.region(self.read(names.region), self.config)
        field = arrays.field(self.read(names.field), self.config)
        size = self.config.input.resize_px or planes.shape[2:]
        cells = size if self.config.is_dense else (1, 1)
        if planes.shape[2:] != size or field.shape[:2] != cells:
            why = f"holds the answers {field.shape}, and {names.region} the planes {planes.shape}"
            raise _damaged(self.path, names.field, why)
        return KnownRegion(planes, field)

    def references(self) -> NDArray[np.float32] | None:
        """Return what `config.familiarity` refers to, (M, STRUCTURE); None without it.

        Raises:
            BundleError: the file is not the one that was exported.
        """
        familiarity = self.config.familiarity
        return arrays.references(self.read(familiarity.references), familiarity) if familiarity else None

    def read(self, name: str) -> bytes:
        """Return a file of the bundle.

        Raises:
            BundleError: the file is not the one that was exported.
        """
        return _read_verified(self.path, name, self._sums[name])


def open_bundle(where: str | Path) -> Bundle:
    """Open and verify a bundle.

    Args:
        where: its folder, or one of DEMOS for a synthetic demo model that is shipped.

    Raises:
        BundleError: it is no bundle, or a file is missing, changed, not listed, or not what it should be.
    """
    path = demo_path(str(where)) if str(where) in DEMOS else Path(where)
    if not _is_folder(path):
        words = " or ".join(f"'{word}'" for word in DEMOS)
        raise BundleError(f"{_shown(path)} is not a folder; give a bundle NAME.colvi/ or the word {words}")
    sums, sha256 = _read_sums(path)
    _refuse_strays(path, sums)
    described, config = _read_manifest(path, sums)
    checks = _checks(config)
    missing = sorted(set(checks) - set(sums))
    if missing:
        raise BundleError(
            f"{_shown(path)}: {MANIFEST} names {missing[0]}, which is not there; export the bundle again"
        )
    room = _MOST_BYTES
    for name, expected in sums.items():
        data = _read_verified(path, name, expected)
        room -= len(data)
        if room < 0:
            raise BundleError(f"{_shown(path)} holds more than {_MOST_BYTES >> 30} GiB; export it again")
        for check in checks.get(name, ()):
            try:
                check(data)
            except (NetworkError, ArrayError) as error:
                raise _damaged(path, name, str(error)) from error
    return Bundle(path, described.name, described.version, sha256, config, sums)


def listed_files(path: Path) -> frozenset[str]:
    """Return the names of the files of a bundle, whole or damaged, its list included.

    Raises:
        BundleError: the folder is no bundle.
    """
    return frozenset({*_read_sums(path)[0], SUMS})


def demo_path(word: str = DEMO) -> Path:
    """Return the folder of a shipped bundle, by its word."""
    return Path(str(files("colvi_edge"))) / f"{word}.colvi"


def _checks(config: Config) -> dict[str, list[Callable[[bytes], object]]]:
    """Return what has to be true of each file that a manifest names, by its name."""
    checks: list[tuple[str, Callable[[bytes], object]]] = [
        (held.file, partial(_network, config=config, precision=precision))
        for precision, held in config.precisions.items()
    ]
    checks += [(kernel.file, len) for kernel in config.kernels]  # decompressed where there is a GPU
    if config.familiarity:
        checks.append(
            (config.familiarity.references, partial(arrays.references, familiarity=config.familiarity))
        )
    known = config.verification
    if isinstance(known, Verification):
        checks.append((known.patches, partial(arrays.patches, config=config)))
        checks.append((known.probabilities, partial(arrays.probabilities, config=config)))
    elif known:
        checks.append((known.region, partial(arrays.region, config=config)))
        checks.append((known.field, partial(arrays.field, config=config)))
    by_name: dict[str, list[Callable[[bytes], object]]] = {}
    for name, check in checks:
        by_name.setdefault(name, []).append(check)
    return by_name


def _network(data: bytes, config: Config, precision: Precision) -> None:
    dtype = "float16" if precision == "fp16" else "float32"
    channels, classes, windows = len(config.channels), len(config.task.classes), config.windows
    if config.is_dense:
        px = None if windows.px == "whole" else windows.px
        check_dense_network(data, channels, classes, px, windows.step_px, dtype)
    else:
        size = config.patch_px if config.has_patches else config.input.resize_px
        assert size is not None  # noqa: S101 - a whole image that is classified has one
        check_network(data, channels, size, dtype, classes)


def _shown(path: Path) -> str:
    return printable_name(str(path))


def _damaged(path: Path, name: str, why: str) -> BundleError:
    return BundleError(f"{_shown(path / name)} {why}; export again, or ask whoever made the bundle")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name without end, a folder that may not be entered
        return False


def _read_manifest(path: Path, sums: Mapping[str, str]) -> tuple[manifest.Manifest, Config]:
    data = _read_verified(path, MANIFEST, sums[MANIFEST], manifest.MOST_BYTES)
    try:
        return manifest.parse(data)
    except ValueError as error:
        raise _damaged(path, MANIFEST, str(error)) from error


def _read_sums(path: Path) -> tuple[dict[str, str], str]:
    try:
        data = _read_bounded(path / SUMS, _MOST_SUMS_BYTES)
        text = data.decode("ascii")
    except FileNotFoundError:
        raise BundleError(
            f"{_shown(path)} holds no {SUMS}, so it is not a bundle; name a folder NAME.colvi/ that "
            f"'colvi-edge export' made, or '{DEMO}'"
        ) from None
    except UnicodeDecodeError:
        text = ""
    lines = [_SUMS_LINE.fullmatch(line) for line in text.splitlines(keepends=True)]
    sums = {line["name"]: line["sha256"] for line in lines if line}
    if not sums or len(sums) != len(lines) or MANIFEST not in sums:
        raise BundleError(f"{_shown(path / SUMS)} is damaged; copy or export the bundle again")
    return sums, hashlib.sha256(data).hexdigest()


def _refuse_strays(path: Path, sums: Mapping[str, str]) -> None:
    try:
        stray = min(({entry.name for entry in path.iterdir()} - {*sums, SUMS}), default=None)
    except OSError as error:
        raise BundleError(f"{_shown(path)} cannot be read ({error.strerror}); see who may read it") from error
    if stray is not None:
        raise BundleError(
            f"{_shown(path / stray)} is not listed in {SUMS}; remove it or export the bundle again"
        )


def _read_verified(path: Path, name: str, expected: str, most_bytes: int = _MOST_FILE_BYTES) -> bytes:
    try:
        data = _read_bounded(path / name, most_bytes)
    except FileNotFoundError:
        raise BundleError(f"{_shown(path / name)} is missing; copy or export the bundle again") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(
            f"{_shown(path / name)} was changed since the export; copy or export the bundle again"
        )
    return data


def _read_bounded(file: Path, most_bytes: int) -> bytes:
    """Return the content of a plain file; a link is not followed, a pipe not waited for."""
    try:
        return read_bounded(file, most_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EINVAL, errno.EFBIG):
            raise BundleError(
                f"{_shown(file)} cannot be read ({error.strerror}); see who may read it, or copy it again"
            ) from error
    bound = f"{most_bytes >> 20} MiB" if most_bytes >= 2**20 else f"{most_bytes >> 10} KiB"
    raise BundleError(f"{_shown(file)} is not a plain file of at most {bound}; export the model again")
