"""Names and words from outside as text that can be printed, logged and stored.

Whatever is printed goes through here: a file's name, a model's, the words of an exception may hold a line
break that forges a line, or an escape sequence that a terminal obeys.
"""

import json
import traceback
from collections.abc import Sequence

_NOT_PORTABLE = frozenset('/\\:*?"<>|')  # a share is also opened from Windows; "\" is EINVAL on CIFS

_LEFT_OUT = "(its words are left out, as they may hold names; --log-names shows them)"


def portable_name(name: str) -> str:
    """Return a name that may be part of a file's on any share: what has another meaning somewhere is "_"."""
    return "".join(c if c.isprintable() and c not in _NOT_PORTABLE else "_" for c in name)


def printable_name(name: str) -> str:
    """Return a file name, or words that may hold one, fit for a message, a log or JSON.

    Control characters, unpaired surrogates and invisible characters are escaped: a name with a
    line break in it could forge a line of a log. What is printable is returned as it is.
    """
    if name.isprintable():
        return name
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name
    )


def unambiguous_name(name: str) -> str:
    """Return a file name as `printable_name` does, but so that no other name is printed alike.

    For lists, in which a name says which row is whose. A backslash of the name itself is doubled, or a
    line feed and a backslash with an n would be one.
    """
    return "".join(r"\\" if c == "\\" else printable_name(c) for c in name)


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number of things in words: `1 image`, `1,204 images`; `more` is a plural without s."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def in_a_row(words: Sequence[str], last: str = "or") -> str:
    """Return words as a sentence lists them: `auto, fp32 or int8`; `last` stands before the last one."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def printable_lines(text: str) -> str:
    """Return a text of several lines whose line feeds are our own, each line printable."""
    return "\n".join(map(printable_name, text.split("\n")))


def printable_json(text: str) -> str:
    r"""Return JSON with the same meaning, in which everything that is not printable is escaped.

    Serialisers escape what JSON demands, which leaves DEL, the controls from U+0080 to U+009F and marks that
    turn the direction of a line. Outside of strings JSON has nothing of that but line feeds.
    """
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)


def printable_traceback(error: BaseException, *, words: bool = True) -> str:
    """Return where a bug showed and what led to it, each line printable.

    Args:
        error: a bug.
        words: also what the exceptions say. That may hold the names of files, which the lines of code do not.
    """
    chain = [error]
    while (led_to := _led_to(chain[0])) and led_to not in chain:
        chain.insert(0, led_to)
    return "\nIt led to another exception:\n\n".join(_traceback(each, words) for each in chain).rstrip("\n")


def _led_to(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _traceback(error: BaseException, words: bool) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    frames = printable_lines("".join(traceback.format_tb(error.__traceback__)))
    said = printable_name(str(error)) if words else _LEFT_OUT
    return f"Traceback (most recent call last):\n{frames}{name}: {said}\n"
