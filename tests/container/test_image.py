"""The Containerfile built, and the command run in what it makes: as no root, and on a root that is read-only.

The base is Debian as debootstrap lays it out, from the mirror that this machine's apt uses, and pip goes by
this machine's settings: no registry of images is asked.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from colvi_edge import __version__
from colvi_edge.simulate import simulate_projection, write_imagej

pytestmark = [pytest.mark.buildah, pytest.mark.nspawn]

ROOT = Path(__file__).parents[2]
SUITE = re.findall(r"ARG BASE=debian:([a-z]+)-slim", (ROOT / "Containerfile").read_text())[0]
BASE = "localhost/debian-base"
MOST_BYTES = 750 * 10**6
UID = 10001


def told(*command: str | Path, **settings: Any) -> str:
    """Run a command of the system, and return what it says."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Built(NamedTuple):
    """An image.

    Attributes:
        buildah: the command, with where its images are kept.
        container: one of the image.
        root: of its file system.
        config: what the image says of itself.
    """

    buildah: list[str]
    container: str
    root: Path
    config: dict[str, Any]


def mirror() -> str:
    """Return where this machine's apt takes Debian from."""
    found = told("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages").split(
        "\n"
    )
    return next(line.split()[0] for line in found if line.endswith(f" {SUITE}"))


def pip_settings(folder: Path) -> list[str]:
    """Write this machine's settings of pip for the build; return what is to be mounted there."""
    settings = {}
    for line in told(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    mounts = []
    if certificates := settings.get("cert"):
        settings["cert"] = "/etc/pip/ca.crt"  # apart from Debian's own, which a package may be writing
        mounts.append(f"{certificates}:/etc/pip/ca.crt:ro")
    for name, value in settings.items():
        for path in map(Path, re.findall(r"(?:^|\s|file://)(/\S+)", value) if name != "cert" else ()):
            there = path.parent if path.name == "simple" else path  # an index, which names files beside it
            mounts.append(f"{there}:{there}:ro")
    (folder / "pip.conf").write_text(
        "".join(["[global]\n", *(f"{key} = {settings[key]}\n" for key in settings)])
    )
    return [f"--volume={mount}" for mount in dict.fromkeys([*mounts, f"{folder}/pip.conf:/etc/pip.conf:ro"])]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build the image, and give a container of it; all is removed afterwards."""
    folder = tmp_path_factory.mktemp("container")
    told("debootstrap", "--variant=minbase", SUITE, folder / "base", mirror())
    buildah = ["buildah", f"--root={folder}/images", f"--runroot={folder}/run", "--storage-driver=overlay"]
    try:
        base = told(*buildah, "from", "scratch").strip()
        told(*buildah, "add", "--quiet", base, folder / "base", "/")
        told(*buildah, "commit", "--quiet", "--rm", "--disable-compression", base, BASE)
        shutil.rmtree(folder / "base")
        told(
            *(*buildah, "build", "--isolation=chroot", f"--build-arg=BASE={BASE}", *pip_settings(folder)),
            *("--tag=colvi-edge", ROOT),
        )
        said = json.loads(told(*buildah, "inspect", "--type=image", "colvi-edge"))
        container = told(*buildah, "from", "colvi-edge").strip()
        root = Path(told(*buildah, "mount", container).strip())
        yield Built(buildah, container, root, said["OCIv1"]["config"])
    finally:
        told(*buildah, "rm", "--all")
        shutil.rmtree(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with an image of a patient, that any user may write to."""
    folder = tmp_path / "data"
    write_imagej(folder / "x.tif", simulate_projection("patient", 1))
    folder.chmod(0o777)
    return folder


@pytest.fixture
def contained(built: Built, data: Path) -> Callable[..., str]:
    """Return a function that runs the command as the image says, or as another user."""

    def run(*words: str, user: str = str(built.config["User"])) -> str:
        where = ["--isolation=chroot", f"--volume={data}:/data", f"--user={user}"]
        return told(*built.buildah, "run", *where, built.container, "--", *built.config["Entrypoint"], *words)

    return run


def test_the_image_says_what_it_is(built: Built) -> None:
    """Its command, its user, where data lie, and labels in the words of the Open Container Initiative."""
    config = built.config
    labels = {
        name.rpartition(".")[2]: label for name, label in config["Labels"].items() if "opencontainers" in name
    }

    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["colvi-edge"], ["--help"], "colvi")
    assert config["WorkingDir"] == "/data"
    assert set(config["Volumes"]) == {"/data", "/var/lib/colvi-edge"}
    assert labels["title"] == "colvi-edge"
    assert "Research use only" in labels["description"]
    assert (labels["licenses"], labels["version"]) == ("Apache-2.0", __version__)


def test_only_what_runs_is_in_it(built: Built) -> None:
    """No compiler, no pip, no package lists, and no network of a GPU."""
    programs = {
        path.name for place in ("usr/bin", "opt/colvi-edge/bin") for path in (built.root / place).iterdir()
    }
    packages = {path.name for path in built.root.glob("opt/colvi-edge/lib/python3*/site-packages/*")}

    assert {"colvi-edge", "python3"} <= programs
    assert programs.isdisjoint({"pip", "pip3", "gcc", "cc", "c++", "make"})
    assert packages.isdisjoint({"pip", "setuptools", "torch", "tensorrt", "pycuda"})
    assert not list((built.root / "var/lib/apt/lists").glob("*"))
    used = {(at.st_dev, at.st_ino): at.st_size for at in (path.lstat() for path in built.root.rglob("*"))}
    assert sum(used.values()) < MOST_BYTES


def test_it_diagnoses_as_here_and_not_as_root(contained: Callable[..., str], data: Path) -> None:
    """The same answer in files of its user; with --user, of another's."""
    assert contained("--version") == f"colvi-edge {__version__}\n"
    here: list[str | Path] = [sys.executable, "-m", "colvi_edge", "run", data, "--bundle", "demo"]
    told(*here, "--output-dir", data.parent / "o")

    told_there = contained("run", "/data", "--bundle", "demo")
    first = json.loads((data / "x.tif.colvi.json").read_text())
    assert contained("run", "/data", "--bundle", "demo", "--again", "-q", user="1234:1234") == ""

    ours = json.loads((data.parent / "o" / "x.tif.colvi.json").read_text())
    assert "1 image: 1 patient" in told_there
    assert (first["diagnosis"], first["result_id"]) == (ours["diagnosis"], ours["result_id"])
    assert first["score"] == pytest.approx(ours["score"], abs=1)
    assert len(list(data.glob("x.tif.colvi.*"))) == 5
    assert {path.stat().st_uid for path in data.glob("*.colvi.json")} == {1234}
    assert (data / "x.tif").stat().st_uid == os.getuid()


def test_it_needs_neither_a_root_to_write_to_nor_rights_nor_a_network(built: Built, data: Path) -> None:
    """Where what it keeps is on a tmpfs; `watch`, too."""
    state = "/var/lib/colvi-edge"
    less = ["--read-only", "--private-network", "--drop-capability=all", "--no-new-privileges=yes"]
    places = [f"--directory={built.root}", f"--tmpfs={state}:mode=1777", f"--bind={data}:/data"]
    environment = [f"--setenv={one}" for one in built.config["Env"]]
    nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--user=colvi"]
    words = ["/opt/colvi-edge/bin/colvi-edge", "watch", "/data", "--bundle=demo", "--once", "--marker=.done"]
    (data / "x.tif.done").touch()

    told(*nspawn, *less, *places, *environment, "--", *words)

    assert json.loads((data / "x.tif.colvi.json").read_text())["diagnosis"] == "patient"
    assert {path.stat().st_uid for path in data.glob("*.colvi.*")} == {UID}
    assert not list((built.root / state.lstrip("/")).iterdir())
