"""The help of every command: it fits 80 columns, is written for people, and tells the truth."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer.main

from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.cli import app
from colvi_edge.raw_files import RAW_SUFFIXES

Run = Callable[..., tuple[int, str, str]]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
TYPES = r"<(list|tuple|dict|str|int|float|bool|path|dir|file|Path|None|[a-z0-9]+\||[^>]* range)\b[^>]*>"


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> Any:
    """Give each command."""
    return COMMANDS[request.param]


def options_of(command: Any) -> dict[str, Any]:
    """Return the options by their flags."""
    return {
        next(name for name in one.opts if name.startswith("--")): one
        for one in command.params
        if one.param_type_name == "option" and not one.hidden
    }


def told(text: str) -> dict[str, str]:
    """Return what a help says of each option and argument: what stands behind its name, in one line."""
    found: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if start := re.match(r"  (?:-\w, )?(--[\w-]+|[A-Z]+)\S*(.*)", line):
            name = start[1]
            found[name] = start[2].strip()
        elif name and line.startswith("   "):
            found[name] += f" {line.strip()}"
        elif line:
            name = ""
    return found


@pytest.mark.parametrize("columns", ["80", "200", "60"])
def test_no_line_is_too_long(run: Run, monkeypatch: pytest.MonkeyPatch, command: Any, columns: str) -> None:
    """Not even on a wide terminal, where long lines are hard to read."""
    monkeypatch.setenv("COLUMNS", columns)

    code, text, _ = run(command.name, "--help")

    assert code == 0
    assert max(map(len, text.split("\n"))) <= min(int(columns), 80)
    assert text.startswith(f"Usage: colvi-edge {command.name} [OPTIONS]")
    assert re.search(r"\n\n  [A-Z][^\n]+\.\n", text)  # first what it does, a sentence in a line


def test_it_is_written_for_people(run: Run, command: Any) -> None:
    """No type of a programming language; each option and argument has words, in its choices' own."""
    _, text, _ = run(command.name, "--help")
    words = told(text)

    assert not re.search(TYPES, text)
    assert "None" not in text
    for flag, option in options_of(command).items():
        assert option.help, flag
        assert option.help.endswith("."), flag
        assert len(words[flag]) >= 15, flag
    for argument in (one for one in command.params if one.param_type_name == "argument"):
        assert len(words[argument.name.upper()]) >= 10, argument.name
    for name, hint in get_type_hints(command.callback, include_extras=True).items():
        for kind in choices_in(hint):
            flag = f"--{name.replace('_', '-')}"
            assert all(re.search(rf"\b{choice.value}\b", words[flag]) for choice in kind), flag


def choices_in(hint: Any) -> list[type[Enum]]:
    """Return the enumerations in an annotation, which may be optional."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return [one for one in (hint, *get_args(hint)) if inspect.isclass(one) and issubclass(one, Enum)]


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [
        ("run", "IMAGES", RAW_SUFFIXES),
        ("bench", "--engine", [engine.value for engine in EngineName]),
        ("bench", "--precision", [precision.value for precision in PrecisionChoice]),
    ],
)
def test_lists_and_files_are_named_too(run: Run, name: str, what: str, words: Sequence[str]) -> None:
    """What may stand in a list, or is looked for in a folder: no choices, but each in words."""
    _, text, _ = run(name, "--help")

    assert not [word for word in words if not re.search(rf"{re.escape(word)}\b", told(text)[what])]


def test_needed_and_without(run: Run, command: Any) -> None:
    """What must be given is said, and what holds without the others."""
    _, text, _ = run(command.name, "--help")
    words = told(text)

    for name, parameter in inspect.signature(command.callback).parameters.items():
        shown = words.get(f"--{name.replace('_', '-')}", words.get(name.upper(), ""))
        if not shown:  # an option that is called otherwise, such as report's page
            continue
        default = parameter.default
        assert shown.endswith("[required]") == (default is inspect.Parameter.empty), name
        if default not in (None, False, inspect.Parameter.empty):
            assert shown.endswith(f"[default: {getattr(default, 'value', default)}]"), name


def test_the_last_paragraph_tells_every_variable(run: Run, command: Any) -> None:
    """By the rule that it tells, the variable of each option is the one that is read."""
    _, text, _ = run(command.name, "--help")
    paragraph = " ".join(text.strip().split("\n\n")[-1].split())
    options = {flag: one for flag, one in options_of(command).items() if one.envvar}
    if not options:
        assert "COLVI_EDGE_" not in text
        return

    all_but = "".join(f" but {flag}" for flag, one in options_of(command).items() if not one.envvar)
    rule = re.fullmatch(
        rf"Every option{all_but} also reads (\w+)_<OPTION>: (\w+) for (--[\w-]+)\."
        r"(?: Those of this command alone read (\w+)_<OPTION>: (.+)\.)?",
        paragraph,
    )
    assert rule, paragraph
    of_all, variable, example, of_own, own = rule.groups()
    assert options[example].envvar == variable
    for flag, option in options.items():
        prefix = of_own if own and flag in own.split(", ") else of_all
        assert option.envvar == f"{prefix}_{flag[2:].upper().replace('-', '_')}", flag


def test_an_option_is_alike_in_all_commands() -> None:
    """What is put in is called the same, but where one command takes several or writes a file."""
    called: dict[str, set[str]] = defaultdict(set)
    for command in COMMANDS.values():
        for flag, option in options_of(command).items():
            if not option.is_flag:
                called[flag].add(option.metavar)

    differ = {flag for flag, names in called.items() if len(names) > 1}
    assert differ <= {"--engine", "--precision", "--output"}
    assert called["--bundle"] == {"PATH|demo"}
    assert {*called["--html"], *called["--report"], *called["--result-csv"]} == {"FILE"}


def test_the_list_of_commands_is_grouped(run: Run) -> None:
    """By where they are used; none is missing, none is cut short."""
    _, text, _ = run("--help")

    sections = dict(re.findall(r"(?m)^([A-Z][\w ]+):\n((?:  .+\n)+)", text))
    assert list(sections)[:2] == ["Options", "At the microscope"]
    listed = [
        line.split()[0]
        for name, lines in sections.items()
        if name != "Options"
        for line in lines.splitlines()
    ]
    assert sorted(listed) == sorted(COMMANDS)
    assert "..." not in text.split("Options:")[1]
    assert max(map(len, text.split("\n"))) <= 80
