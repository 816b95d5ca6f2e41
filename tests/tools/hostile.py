"""JSON with one value, or one key twice, replaced by what nobody would write; the text need not be JSON."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]

EXTREMES = (
    *("0", "-1", "-0.0", "0.5", "1e-320", "1e10", "1e308", "1e400", "-1e400", "NaN", "Infinity"),
    *(str(2**power - less) for power in (31, 53, 63, 64) for less in (1, 0)),
    *(str(-(2**63) - 1), "1" + 400 * "0", 5000 * "9"),
    *("true", "null", '""', "[]", "{}", '"x"', '"18446744073709551615"', '"\\ud800"', '"\\u0000"'),
    *('"\\u001b[2J\\r\\n[/]\\u202e"', '"../../x"', '"/"', '"colvi-edge.sidecar/3"'),
    *('"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-11-20T12:00:00"'),
    *(f'"{100_000 * "x"}"', f"[{9_999 * '0,'}0]", f"[{9_999 * '{},'}0]", '{"a":1,"a":[]}'),
    *(150 * "[" + 150 * "]", 100_000 * "[", 50_000 * '{"a":'),
)
"""Fragments of JSON, or nearly."""

_HERE, _TWICE = "@here@", "@twice@"


def places(tree: Any, at: Place = ()) -> Iterator[Place]:
    """Yield where in a tree of dicts and lists a value may be replaced: everywhere, the whole included."""
    yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def spoilt(tree: Any, place: Place, fragment: str, *, twice: bool = False) -> bytes:
    """Return a tree as JSON with a fragment in the place of a value, or beside it under the same key.

    Args:
        tree: of dicts and lists.
        place: from `places`.
        fragment: of JSON; lone surrogates stand as they are.
        twice: the key stays, and comes once more with the fragment.
    """
    if not place:
        return fragment.encode("utf-8", "surrogatepass")
    whole = json.loads(json.dumps(tree))
    parent = whole
    for key in place[:-1]:
        parent = parent[key]
    last = place[-1]
    if twice and isinstance(parent, dict):
        parent[_TWICE] = 0
        text = json.dumps(whole).replace(f'"{_TWICE}": 0', f"{json.dumps(last)}: {fragment}")
    else:
        parent[last] = _HERE
        text = json.dumps(whole).replace(f'"{_HERE}"', fragment)
    return text.encode("utf-8", "surrogatepass")


def every(tree: Any) -> Iterator[bytes]:
    """Yield a tree with each extreme in each place, a list's but for its first and last."""
    for place in places(tree):
        if all(isinstance(key, str) or key == 0 for key in place):
            for fragment in EXTREMES:
                yield spoilt(tree, place, fragment)


def some(tree: Any) -> st.SearchStrategy[bytes]:
    """Draw a tree that was spoilt in one place, by an extreme or any value, or had bytes changed."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ).map(json.dumps)
    one = st.builds(
        spoilt,
        st.just(tree),
        st.sampled_from(list(places(tree))),
        st.sampled_from(EXTREMES) | values,
        twice=st.booleans(),
    )
    text = json.dumps(tree).encode()
    cut = st.builds(
        lambda begin, length, put: text[:begin] + put + text[begin + length :],
        st.integers(0, len(text)),
        st.integers(0, 40),
        st.binary(max_size=8) | st.sampled_from([b"9" * 20, b"e400", b"[", b"]", b'"', b",", b"null"]),
    )
    return one | cut
