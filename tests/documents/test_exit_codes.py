"""The exit codes: each stands once in the code and once on its page, whose table tells them all."""

import re
from pathlib import Path

from colvi_edge import errors
from colvi_edge.errors import ColviEdgeError
from generated import errors as pages

CODES = {name: code for name, code in vars(errors).items() if name.startswith("EXIT_")}
PAGE = (Path(__file__).parents[2] / "docs/reference/exit-codes.md").read_text(encoding="utf-8")


def kinds(of: type[ColviEdgeError]) -> list[type[ColviEdgeError]]:
    """Return a kind of error and all below it."""
    return [of, *(below for kind in of.__subclasses__() for below in kinds(kind))]


def test_the_page_tells_each_of_them() -> None:
    """Every one, and no other; two causes never share a number."""
    table = PAGE.split("| exit code | meaning |\n")[1].split("\n\n")[0]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(CODES.values())
    assert len(set(CODES.values())) == len(CODES)
    assert sorted(CODES.values()) == [*range(8), 130]


def test_errors_end_with_one_of_them() -> None:
    """Whatever cause is ever raised."""
    assert len(kinds(ColviEdgeError)) > 20
    assert {kind.exit_code for kind in kinds(ColviEdgeError)} <= set(CODES.values()) - {errors.EXIT_DONE}


def test_the_page_lists_every_kind_of_error() -> None:
    """Each word with its code, its class and its meaning, as they stand in the code."""
    rows = re.findall(
        r"^\| <code>(.+?)</code> \| (\d+) \| <code>(\w+)</code> \| (.+) \|$", pages.by_kind(), re.M
    )
    public = [kind for kind in kinds(ColviEdgeError) if kind.__module__ == errors.__name__]

    assert {(word.replace("&#95;", "_"), int(code), name) for word, code, name, _ in rows} == {
        (kind.kind, kind.exit_code, kind.__name__) for kind in public
    }
    assert all(meaning.strip() for *_, meaning in rows)
    assert len(rows) == len(public) > 20


def test_no_kind_is_missing_at_its_code() -> None:
    """The second table is the first, the other way round."""
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", pages.by_code(), re.M))

    words = {int(code): re.findall(r"<code>(.+?)</code>", cell) for code, cell in rows.items()}
    assert sum(map(len, words.values())) == len(pages.kinds())
    assert set(words) == {kind.exit_code for kind in pages.kinds()}
