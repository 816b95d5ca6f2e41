"""What is installed is what is in the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel that was built from a source distribution of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_is_in_the_wheel(wheel_names: set[str]) -> None:
    """A sub-package forgotten in pyproject.toml works in an editable install and nowhere else."""
    modules = {
        str((Path(folder) / name).relative_to(ROOT))
        for folder, _, names in os.walk(ROOT / "colvi_edge", followlinks=True)
        for name in names
        if name.endswith(".py")
    }

    assert "colvi_edge/export/networks/patch_cnn.py" in modules
    assert modules <= wheel_names


def test_everything_beside_the_modules_is_in_the_wheel(wheel_names: set[str]) -> None:
    """Bundle, schema, kernel, systemd's files and py.typed are data, which is easily forgotten."""
    folders = ("demo.colvi", "systemd")
    data = {
        f"colvi_edge/{folder}/{p.name}"
        for folder in folders
        for p in (ROOT / "colvi_edge" / folder).iterdir()
    }
    sources = {f"colvi_edge/kernels/{path.name}" for path in (ROOT / "kernels").glob("*.cu")}

    assert len(sources) == 1
    assert data | sources | {"colvi_edge/py.typed", "colvi_edge/outputs/sidecar.schema.json"} <= wheel_names


def test_no_second_top_level_package_is_installed(wheel_names: set[str]) -> None:
    """`export` at the root is imported as colvi_edge.export, never by a name that others use."""
    top = {name.split("/")[0] for name in wheel_names}

    assert {name for name in top if not name.endswith(".dist-info")} == {"colvi_edge"}
