"""What tests of exports share: few images, and how not to pay each time for kernels they do not look at."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from colvi_edge.kernels.compile import compile_kernels
from colvi_edge.kernels.nvrtc import RELEASES, Release
from colvi_edge.simulate import simulate_projection, write_imagej
from colvi_edge.tasks.classify import CLASSES

WITHOUT_KERNELS = """
import colvi_edge.kernels.compile as kernels
from colvi_edge.kernels.nvrtc import Release
kernels.RELEASES = (Release("no-such-package", "13.", ("sm_120",)),)
"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of what every child process in Python does when it starts."""
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "sitecustomize.py"


@pytest.fixture
def without_kernels(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no compiler be found: nine kinds of GPU are most of an export, and tests/kernels has them."""
    site.write_text(WITHOUT_KERNELS)
    missing = Release("no-such-package", "13.", ("sm_120",))
    monkeypatch.setattr("colvi_edge.kernels.compile.RELEASES", (missing,))
    monkeypatch.setattr("colvi_edge.export.converting.package.compile_kernels", compile_kernels.__wrapped__)


@pytest.fixture
def one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile for one kind of GPU only: it does for an export, and tests/kernels has all nine."""
    release = RELEASES[0]
    one = replace(release, targets=release.targets[:1])
    monkeypatch.setattr("colvi_edge.kernels.compile.RELEASES", (one,))
    monkeypatch.setattr("colvi_edge.export.converting.package.compile_kernels", compile_kernels.__wrapped__)


@pytest.fixture
def small_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the simulated images that an export without --calibration is measured on small."""
    small = partial(simulate_projection, size_px=256)
    monkeypatch.setattr("colvi_edge.export.converting.calibration.simulate_projection", small)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of as few and small images as the gate takes."""
    folder = tmp_path_factory.mktemp("few")
    for number in range(4):
        label = CLASSES[number % 2]
        (folder / label).mkdir(exist_ok=True)
        write_imagej(folder / label / f"{number}.tif", simulate_projection(label, number, size_px=128))
    return folder
