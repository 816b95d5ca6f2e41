"""README: short, three ways in on its first screen, and two commands that are taken from it as they are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
WAYS = ("tutorials/first-diagnosis.md", "tutorials/first-model.md", "tutorials/first-service.md")


def marked(which: str) -> str:
    """Return the command below a marker: its block's lines, as `.ci/run` takes them."""
    (block,) = re.findall(rf"^<!-- {which} command -->\n```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    return str(block)


def test_it_is_read_in_minutes() -> None:
    """It is a door: what is told in full stands in docs/."""
    assert len(README.splitlines()) <= 150


def test_the_three_ways_stand_on_its_first_screen() -> None:
    """Before the first picture, and so does what it is not."""
    before, _, _ = README.partition("![")
    assert len(before.splitlines()) < 20
    for way in WAYS:
        assert f"(docs/{way})" in before
    assert "Research use only. Not for use in diagnostic procedures." in before


def test_the_site_begins_with_the_same_ways() -> None:
    """And with the same two pictures."""
    first = (ROOT / "docs" / "index.md").read_text()
    for target in (*WAYS, "images/control.png", "images/patient.png"):
        assert f"]({target})" in first
        assert f"](docs/{target})" in README


@pytest.mark.parametrize(("which", "last"), [("run", "colvi-edge demo"), ("test", "make test lab cuda")])
def test_the_marked_commands_are_one_line_each(which: str, last: str) -> None:
    """From an environment of their own to the end, joined so that the first failure stops them."""
    command = marked(which)
    assert "\n" not in command
    steps = command.split(" && ")
    assert steps[0].startswith("python3 -m venv ")
    assert steps[-1] == last


def test_make_knows_what_the_test_command_makes() -> None:
    """Each is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in marked("test").split(" && ")[-1].split()[1:]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_it_is_markdown_alone() -> None:
    """No tag but comments, so that every viewer shows it alike."""
    prose = re.sub(r"```.*?```|`[^`]*`|<!--.*?-->", "", README, flags=re.DOTALL)
    assert not re.search(r"<[a-zA-Z/]", prose)


@pytest.mark.parametrize(
    "words",
    [
        "Raw files are never changed",
        "the other way round every culture looks ill",
        "A rejection is not a failure",
        "Little collagen is the disease",
        "They know nothing of real cultures",
        "None of it has run on a GPU yet",
    ],
)
def test_it_says_what_one_must_know_early(words: str) -> None:
    """Before a result is believed, and before a machine is bought."""
    assert words in " ".join(README.replace("**", "").split())
