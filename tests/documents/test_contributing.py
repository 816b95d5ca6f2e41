"""Pages for those who carry on name what is there: files, tests, commands, rooms, hooks, and how to cite."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from colvi_edge import __version__
from colvi_edge.cli import app
from tests.test_house import FLOORS

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "RELEASING.md")}
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"(?m)^## ", CONTRIBUTING)[1:]}
PATHS = [part for title, part in SECTIONS.items() if title.startswith("How to add")]
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

SUFFIXES = r"(?:py|md|toml|yml|yaml|txt|env|cff|json|sh)"
PLACEHOLDERS = ("NAME", "X.tif", "build/", "dist")
"""What a page names that is made by who follows it."""


def words(text: str) -> list[str]:
    """Return what stands in code's letters, in a line."""
    return re.findall(r"`([^`\n]+)`", text)


def paths(text: str) -> list[str]:
    """Return the files and folders that a text names, each from the root or from the package."""
    found = [word.partition("::")[0] for word in words(text)]
    return [
        word
        for word in found
        if re.fullmatch(rf"[\w.@/-]+(?:/|\.{SUFFIXES})|tests/[\w/]+|\.ci/run", word)
        and not any(placeholder in word for placeholder in PLACEHOLDERS)
        and word not in ("status.json", "__init__.py")
        and not re.fullmatch(r"\.\w+(?:\.\w+)?", word)  # the end of a name
    ]


def lines_of_shell(text: str) -> list[str]:
    """Return commands: of blocks, and those within a sentence."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    return [*"\n".join(blocks).splitlines(), *words(text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_is_there(page: str) -> None:
    """A file that was renamed is named by its new name."""
    named = paths(PAGES[page])
    gone = [path for path in named if not ((ROOT / path).exists() or (ROOT / "colvi_edge" / path).exists())]

    assert len(named) > (100 if page == "CONTRIBUTING.md" else 3)
    assert gone == []


def test_every_test_is_there() -> None:
    """By file and name."""
    named = [word for page in PAGES.values() for word in words(page) if "::" in word]

    assert len(named) > 20
    for name in named:
        file, _, test = name.partition("::")
        assert re.search(rf"(?m)^def {test}\(", (ROOT / file).read_text(encoding="utf-8")), name


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one(page: str) -> None:
    """Targets of make, paths of pytest and commands of the program."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    commands: Any = typer.main.get_command(app)
    lines = lines_of_shell(PAGES[page])
    made = [
        word for line in lines for one in re.findall(r"\bmake((?: [a-z-]+)+)", line) for word in one.split()
    ]
    tested = [
        path for line in lines if line.startswith("pytest") for path in re.findall(r"\btests/\S+", line)
    ]
    called = [name for line in lines for name in re.findall(r"(?<!/)\bcolvi-edge ([a-z-]+)", line)]

    assert made
    assert set(made) <= targets
    assert [path for path in tested if not (ROOT / path).exists()] == []
    assert {name for name in called if not name.startswith("-")} <= set(commands.commands)


@pytest.mark.parametrize("section", PATHS, ids=lambda section: section.partition("\n")[0])
def test_every_name_of_a_path_is_in_its_files(section: str) -> None:
    """Lists, classes and functions that a step names stand in one of the files of its section."""
    files = [ROOT / path for path in paths(section) if (ROOT / path).is_file()]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    called = re.compile(r"_?[A-Z][A-Za-z]*[a-z_][A-Za-z_]*|_?[A-Z]{2,}(?:_[A-Z]+)*|_?[a-z]+(?:_[a-z0-9]+)+")
    names = [word for word in words(section) if called.fullmatch(word)]

    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_a_path_says_what_guards_it_and_what_to_run() -> None:
    """Ten and more ways to add something, each with steps."""
    assert len(PATHS) == 12
    for section in PATHS:
        title = section.partition("\n")[0]
        assert re.search(r"(?m)^2\. ", section), title
        assert "\nGuards: " in section, title
        assert re.search(r"[Rr]un\s+`(?:pytest|colvi-edge) ", section), title


def test_the_map_names_every_room() -> None:
    """On the floor that the test of the house gives it, counted from 1."""
    rows = re.findall(r"(?m)^\| (\d) \| (.+?) \| .+ \|$", SECTIONS["The map"])
    told = {(int(number) - 1, Path(word).stem) for number, rooms in rows for word in words(rooms)}

    assert told == {(number, room) for number, rooms in enumerate(FLOORS) for room in rooms if room}


def test_its_numbers_are_those_of_the_house() -> None:
    """Modules a folder, lines a module."""
    from tests.test_house import MOST_LINES, MOST_MODULES

    assert f"at most {MOST_MODULES} modules a folder, {MOST_LINES} lines a module" in CONTRIBUTING


def test_its_limits_of_time_are_those_of_ci() -> None:
    """Minutes of each target that `.ci/run` makes."""
    parts = re.findall(r"(?m)^part (\d+) (.+)$", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    told = re.findall(r"(?m)^\| `make (.+?)` \| .+ \| (\d+) min \|$", SECTIONS["Set up"])

    assert told == [(made, str(int(limit_s) // 60)) for limit_s, made in parts]


def test_it_sets_up_as_the_readme_does() -> None:
    """And `.ci/run` runs the command of the latter."""
    command = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- test command -->\n```sh\n")[1]

    assert command.partition("\n")[0] in lines_of_shell(SECTIONS["Set up"])


def test_hooks_call_what_make_calls() -> None:
    """No more, no less, and with no version of their own; nothing is fetched for them."""
    dry = subprocess.run(
        ["make", "--no-print-directory", "-n", "lint", "types"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (repository,) = HOOKS["repos"]

    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == dry.stdout.splitlines()
    for hook in repository["hooks"]:
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


def test_the_citation_has_what_the_format_needs() -> None:
    """The keys that version 1.2.0 requires, of the software and of the paper."""
    paper = CITATION["preferred-citation"]

    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys()
    assert {"type", "title", "authors"} <= paper.keys()
    for author in (*CITATION["authors"], *paper["authors"]):
        assert author.keys() in ({"name"}, {"given-names", "family-names"})
    assert re.fullmatch(r"10\.\d{4,9}(?:\.\d+)?/[\w.()/;:-]+", paper["doi"])
    assert all(isinstance(word, str) and word for word in CITATION["keywords"])


def test_the_citation_is_of_this_software() -> None:
    """Its name and licence are the package's; a version, if there is one, too."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'name = "{CITATION["title"]}"' in project
    assert f'license = "{CITATION["license"]}"' in project
    assert CITATION.get("version", __version__) == __version__
    assert "1901.11074" in str(CITATION["preferred-citation"]["identifiers"])
