"""What is installed is what is in the checkout."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from colvi_edge import __version__

ROOT = Path(__file__).parent.parent


class Distributions(NamedTuple):
    """What a source distribution of this checkout holds, and a wheel that was built from it.

    Attributes:
        sdist: paths as in the checkout.
        wheel: paths below site-packages.
        metadata: of the source distribution, and of the wheel.
    """

    sdist: set[str]
    wheel: set[str]
    metadata: list[Message]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Return the names in both."""
    out = tmp_path_factory.mktemp("dist")
    # A copy, as what an earlier build left beside the sources would hide what is missing.
    fresh = out / "checkout"
    compiled = shutil.ignore_patterns("__pycache__")
    for name in ("colvi_edge", "export", "kernels", "systemd"):
        shutil.copytree(ROOT / name, fresh / name, symlinks=True, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, fresh)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as source:
        names = {name.partition("/")[2]: name for name in source.getnames()}
        told = source.extractfile(names["PKG-INFO"])
        assert told
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Distributions(
            set(names),
            set(archive.namelist()),
            [message_from_bytes(told.read()), message_from_bytes(archive.read(metadata))],
        )


def files() -> dict[str, str]:
    """Return every file of the package: its path in the checkout -> below site-packages."""
    folders = {"colvi_edge": "colvi_edge"} | {
        name: f"colvi_edge/{name}" for name in ("export", "kernels", "systemd")
    }
    return {
        str(path.relative_to(ROOT)): f"{inside}/{path.relative_to(ROOT / folder)}"
        for folder, inside in folders.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pt"  # for tests alone
    }


FILES = files()


def test_every_file_is_in_the_wheel_and_in_the_source(built: Distributions) -> None:
    """A sub-package or data forgotten in pyproject.toml works in an editable install and nowhere else."""
    assert {"export/networks/patch_cnn.py", "colvi_edge/pages/style.css"} <= FILES.keys()
    assert set(FILES.values()) <= built.wheel
    assert FILES.keys() <= built.sdist


def test_every_module_is_found_as_it_is_installed() -> None:
    """In an editable install, which is how the tests are run, `export` and `kernels` lie beside the rest."""
    names = [path.removesuffix(".py").replace("/", ".") for path in FILES.values() if path.endswith(".py")]
    for name in names:
        spec = find_spec(name.removesuffix(".__init__"))
        assert spec, name
        assert Path(str(spec.origin)).resolve().is_relative_to(ROOT), name


def test_no_second_top_level_package_is_installed(built: Distributions) -> None:
    """`export` at the root is imported as colvi_edge.export, never by a name that others use."""
    top = {name.split("/")[0] for name in built.wheel}

    assert {name for name in top if not name.endswith(".dist-info")} == {"colvi_edge"}


def test_both_say_the_packages_version_and_the_paper(built: Distributions) -> None:
    """The version stands in the package alone; no address is named that is not there."""
    for metadata in built.metadata:
        assert metadata["Version"] == __version__
        assert metadata.get_all("Project-URL") == ["Paper, https://arxiv.org/abs/1901.11074"]
        assert metadata["License-Expression"] == "Apache-2.0"
