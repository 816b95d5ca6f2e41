"""The pages of the commands say what `--help` says: every name, sentence and default, and nothing else."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt

from colvi_edge.cli.line.variables import options_of
from generated import commands, variables

NAMES = sorted(commands.commands())
Run = Callable[..., tuple[int, str, str]]


class Told(NamedTuple):
    """What a command is, as its help or its page tells; without spaces, as help is folded."""

    usage: str
    words: list[str]
    sections: dict[str, dict[str, str]]
    variables: str


def unspaced(text: str) -> str:
    """Return a text without what folding lines adds and takes away."""
    return "".join(text.split())


def told_by_help(text: str) -> Told:
    """Read what `--help` prints."""
    parts = re.split(r"^(\w[\w ]*):$", text, flags=re.MULTILINE)
    usage, *words = parts[0].strip().split("\n\n")
    last = re.split(r"\n\n(?=Every option)", parts[-1])
    sections = dict(zip(parts[1::2], [*parts[2:-1:2], last[0]], strict=True))
    return Told(
        unspaced(usage.removeprefix("Usage:")),
        [unspaced(word) for word in words],
        {name: dict(map(row, re.split(r"\n(?=  \S)", body.strip("\n")))) for name, body in sections.items()},
        unspaced(last[1]) if len(last) > 1 else "",
    )


def row(lines: str) -> tuple[str, str]:
    """Return the name and the sentence of a row of help."""
    name, _, sentence = lines.strip().partition("  ")
    if not sentence.strip():  # a long name stands in a line of its own
        name, _, sentence = lines.strip().partition("\n")
    return unspaced(name), unspaced(sentence)


def told_by_page(text: str) -> Told:
    """Read what a page of the site says, as it is shown."""
    tokens = MarkdownIt("commonmark").parse(text)
    shown: list[tuple[str, str]] = []
    for opening, inline in pairwise(tokens):
        if opening.type in ("heading_open", "paragraph_open"):
            shown.append((opening.tag, words_of(inline)))
    (usage,) = [token.content for token in tokens if token.type == "fence"]
    words: list[str] = []
    sections: dict[str, dict[str, str]] = {}
    place, name = "", ""
    for tag, words_here in shown[1:]:
        if tag == "h2":
            place, name = words_here, ""
        elif tag == "h3":
            name = unspaced(re.sub(r" \{ #[\w-]+ \}$", "", words_here))
            sections.setdefault(place, {})[name] = ""
        elif not place:
            words.append(unspaced(words_here))
        elif name and "{ .variable }" not in words_here:
            sections[place][name] += unspaced(words_here)
    below = dict(pairwise(text for _, text in shown))
    variable_words = below.get("Variables", "").removesuffix("All variables.")
    return Told(unspaced(usage), words, sections, unspaced(variable_words))


def words_of(inline: Any) -> str:
    """Return the text of a paragraph or a heading, its marks taken away."""
    return "".join(
        " " if child.type == "softbreak" else child.content
        for child in inline.children
        if child.type in ("text", "code_inline", "softbreak")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_help_says(name: str, run: Run) -> None:
    """Neither more nor less."""
    code, text, _ = run(name, "--help")

    assert code == 0
    assert told_by_page(dict(commands.pages())[f"reference/commands/{name}.md"]) == told_by_help(text)


def test_help_was_read() -> None:
    """The reader of this test takes no empty pages for equal ones."""
    found = told_by_page(dict(commands.pages())["reference/commands/run.md"])

    assert found.usage == "colvi-edgerun[OPTIONS]IMAGES..."
    assert found.sections["Options"]["--engineENGINE"].endswith("[default:auto]")
    assert found.sections["Options"]["--bundlePATH|demo"].endswith("[required]")
    assert found.variables.startswith("EveryoptionalsoreadsCOLVI_EDGE_<OPTION>")
    assert len(found.words) > 2
    assert "-h,--help" in found.sections["Options"]


def test_the_list_is_that_of_help(run: Run) -> None:
    """The groups and the sentence of each command, in the same order."""
    _, text, _ = run("--help")
    listed = text[text.index("At the microscope:") :]
    page = re.sub(r"\[`([\w-]+)`\]\(\1\.md\)", r"\1", commands.index())
    heads = ("command", "---")
    shown = re.findall(r"^(?:## (.+)|\| ([\w-]+) \| (.+) \|)$", page, re.MULTILINE)

    expected = [unspaced(line.removesuffix(":")) for line in re.split(r"\n(?! {4})", listed) if line.strip()]
    assert [unspaced("".join(parts)) for parts in shown if parts[1] not in heads] == expected


def test_the_program_s_options_are_those_of_help(run: Run) -> None:
    """Those that stand before a command, and what each does."""
    _, text, _ = run("--help")
    options = text.partition("Options:\n")[2].partition("\n\n")[0]
    told = dict(map(row, re.split(r"\n(?=  \S)", options)))

    page = re.findall(r"^\| <code>(.+?)</code> \| (.+?) \|$", commands.options_of_the_program(), re.MULTILINE)
    assert len(told) > 1
    assert {unspaced(name): unspaced(words) for name, words in page} == told


def test_every_variable_is_on_the_page(run: Run) -> None:
    """With every command that reads it, and no other."""
    read = {variable for command in commands.commands().values() for variable in options_of(command)}

    assert set(variables.readers()) == read
    assert "COLVI_EDGE_BUNDLE" in read
    for name, text in commands.pages():
        shown = set(re.findall(r"^<code>(\S+)</code>\n\{ \.variable \}$", text, re.MULTILINE))
        command = commands.commands()[name.split("/")[-1].removesuffix(".md")]
        assert {one.replace("&#95;", "_") for one in shown} == options_of(command)
