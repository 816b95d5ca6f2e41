"""Every piece of code on the pages that people read: it is parsed, held against the commands, or run."""

import ast
import configparser
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from colvi_edge.bundle import demo_path
from colvi_edge.simulate import simulate_planes, write_imagej
from colvi_edge.tasks.classify import CLASSES
from tests.tools.command_lines import complaint
from tests.tools.documents import PAGES, Block, blocks
from tests.tools.shell_lines import calls, mentioned

BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test by the blocks of some languages."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=str)


def test_the_blocks_are_found() -> None:
    """On the pages of the root and on those of docs/, wherever they stand."""
    assert {"README.md", "docs/how-to/update-a-model.md", "docs/reference/commands/index.md"} <= set(PAGES)
    assert len([block for block in BLOCKS if block.language == "sh"]) > 20


def test_every_block_says_its_language() -> None:
    """One that says none, or is only indented, is read by nobody but people."""
    assert [str(block) for block in BLOCKS if not block.language] == []


def test_every_language_is_one() -> None:
    """Its colours depend on it, and so does which test reads it."""

    def is_known(language: str) -> bool:
        try:
            get_lexer_by_name(language)
        except ClassNotFound:
            return False
        return language not in ("bash", "shell", "console", "py", "yml")  # which have another name here

    assert [f"{block}: {block.language}" for block in BLOCKS if not is_known(block.language)] == []


@of("sh")
def test_shell_is_shell(block: Block) -> None:
    """Bash reads it to its end."""
    read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)

    assert (read.returncode, read.stderr) == (0, "")


@of("sh")
def test_its_commands_are_those_of_the_program(block: Block) -> None:
    """Command, options, what is needed, choices and numbers; none is passed over."""
    found = list(calls(block.text))

    assert mentioned(block.text) <= len(found)
    assert {" ".join(call.words): said for call in found if (said := complaint(call))} == {}


@of("python")
def test_python_is_python(block: Block) -> None:
    """It compiles."""
    compile(block.text, str(block), "exec")


def read_toml(text: str) -> object:
    """Return what is written in TOML."""
    return pytest.importorskip("tomllib").loads(text)  # Python 3.10 lacks it


def read_settings(text: str) -> object:
    """Return what units of systemd, and environment files, which have no sections, set."""
    parser = configparser.RawConfigParser(strict=False, interpolation=None, allow_no_value=False)
    parser.read_string(text if text.lstrip("#; \n").startswith("[") else f"[all]\n{text}")
    return parser.sections()


READERS: dict[str, Callable[[str], object]] = {
    "ini": read_settings,
    "json": json.loads,
    "toml": read_toml,
    "yaml": yaml.safe_load,
}


@of(*READERS)
def test_data_are_what_they_say(block: Block) -> None:
    """A program reads them."""
    assert READERS[block.language](block.text)


def test_no_block_is_said_to_run_and_does_not() -> None:
    """Only Python is run here."""
    assert [str(block) for block in BLOCKS if block.runs and block.language != "python"] == []


@pytest.fixture(scope="module")
def microscope(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a function that makes a folder with images and a bundle, called as the pages call them."""
    made = tmp_path_factory.mktemp("made")
    for seed, label in enumerate(CLASSES):
        write_imagej(made / "scope" / f"culture_0{7 + seed}.tif", simulate_planes(label, seed, planes=1))
    demo = made / "colvi-edge-demo" / "patient"  # as `demo` leaves it, of which README's reader has come
    demo.mkdir(parents=True)
    shutil.copy(made / "scope" / "culture_08.tif", demo / "P01_2026-11-17_1.tif")
    shutil.copytree(demo_path(), made / "my.colvi")

    def copied() -> Path:
        return Path(shutil.copytree(made, tmp_path_factory.mktemp("page"), dirs_exist_ok=True))

    return copied


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.runs}))
def test_what_is_said_to_run_runs(page: str, microscope: Callable[[], Path]) -> None:
    """In the order of the page, in one namespace, each as it stands."""
    room = microscope()
    script = room / "page.py"
    ran = [block for block in blocks(page) if block.runs]
    script.write_text("\n".join("\n" * 2 + block.text for block in ran), encoding="utf-8")
    ast.parse(script.read_text(encoding="utf-8"))

    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=room,
        env={**os.environ, "STATE_DIRECTORY": str(room / "state")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
