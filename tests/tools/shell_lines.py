"""The calls of colvi-edge in a piece of shell, found without running it."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

PROGRAM = "colvi-edge"

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
    | (?P<redirect>\d*(?:>>|>&|<&|&>|<<<|<|>)(?:&?\d+|-)?)
    | (?P<end>[;&|()`\n]+)
    | (?P<word>(?:[^\s'"\\;&|()<>`]|\\.|'[^']*'|"(?:\\.|[^"\\])*")+)
    """,
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = {"do", "then", "else", "elif", "if", "while", "until", "!", "{", "time", "exec", "command"}
_WRAPPERS = {
    "sudo": {"-u", "-g"},
    "env": {"-u"},
    "nice": {"-n"},
    "nohup": set[str](),
    "timeout": {"-s", "-k"},
    "xargs": {"-n", "-P", "-I", "-a", "-d"},
    "time": set[str](),
    "srun": set[str](),
    "strace": {"-e", "-o"},
}
"""Programs that start another one, and which of their options take a word."""
_CONTAINERS = ("podman", "docker")
_CONTAINER_WORDS = {"-v", "-e", "-u", "-w", "--name", "--volume", "--env", "--user", "--device", "--network"}


class Call(NamedTuple):
    """A call of the program: the words behind its name, and the variables that are set for it."""

    words: list[str]
    variables: dict[str, str]


def calls(script: str) -> Iterator[Call]:
    """Yield each call of the program in a script."""
    exported: dict[str, str] = {}
    for words in commands(script):
        if words[0] == "export":
            exported |= _assigned(words[1:])
        elif (arguments := arguments_of(words)) is not None:
            yield Call(arguments, exported | _assigned(words[: len(words) - len(arguments)]))


def mentioned(script: str) -> int:
    """Return how often the program's name stands before a word of lower case, but in comments."""
    text = "\n".join(" ".join(words) for words in commands(script))
    return len(re.findall(rf"(?:^|[\s/(]){PROGRAM}(?::\S+)? +[a-z][a-z-]*\b", text, re.MULTILINE))


def commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, quotes and comments taken away."""
    words: list[str] = []
    redirected = False
    for token in _TOKEN.finditer(_without_heredocs(script.replace("\\\n", " "))):
        if token["end"]:
            if words:
                yield words
            words, redirected = [], False
        elif token["redirect"]:
            redirected = token["redirect"][-1] not in "0123456789-"
        elif token["word"] and redirected:
            redirected = False
        elif token["word"]:
            words += shlex.split(token["word"]) or [""]
    if words:
        yield words


def arguments_of(words: list[str]) -> list[str] | None:
    """Return the words behind the program's name, if it is what a simple command runs."""
    rest = list(words)
    appended: list[str] = []
    while rest:
        name = rest[0].rpartition("/")[2]
        if name == PROGRAM:
            return rest[1:] + appended
        if rest[:3] in (["python", "-m", "colvi_edge"], ["python3", "-m", "colvi_edge"]):
            return rest[3:] + appended
        if _ASSIGNMENT.match(rest[0]) or rest[0] in _KEYWORDS:
            rest = rest[1:]
        elif name in _WRAPPERS:
            appended += ["appended"] if name == "xargs" else []
            rest = _behind_options(rest[1:], _WRAPPERS[name])
            rest = rest[1:] if name == "timeout" else rest
        elif name in _CONTAINERS and rest[1:2] == ["run"]:
            rest = _behind_options(rest[2:], _CONTAINER_WORDS)
            is_ours = bool(rest) and rest[0].rpartition("/")[2].partition(":")[0] == PROGRAM
            return rest[1:] if is_ours else None
        elif name in _CONTAINERS and rest[1:2] == ["exec"]:
            rest = _behind_options(rest[2:], _CONTAINER_WORDS)[1:]
        else:
            return None
    return None


def _assigned(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if _ASSIGNMENT.match(word))


def _behind_options(words: list[str], with_word: set[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in with_word and rest:
            rest.pop(0)
    return rest


def _without_heredocs(script: str) -> str:
    kept: list[str] = []
    end = ""
    for line in script.splitlines():
        if end:
            end = "" if line.strip() == end else end
            continue
        kept.append(line)
        if found := _HEREDOC.search(line):
            end = found[2]
    return "\n".join(kept) + "\n"
