"""A manifest is read as PyYAML's safe loader reads it, or not at all."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.bundle import demo_path
from colvi_edge.bundle.opening import MANIFEST
from colvi_edge.bundle.plain_yaml import MOST_DEPTH, YamlError, load

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text("aé'\":#-,[]{}&*!|>%@`?0159.eE+_ \n\t~<=", max_size=8)
)
_TEXTS = tuple(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "value", "merge"))


class Texts(yaml.SafeLoader):
    """PyYAML's safe loader, to which dates, = and << are texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TEXTS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abé:# ", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_the_demo_reads_as_ever() -> None:
    """Every value, and its type."""
    data = (demo_path() / MANIFEST).read_bytes()

    assert repr(load(data)) == repr(yaml.safe_load(data))


@settings(max_examples=150, deadline=None)
@given(tree=TREES)
def test_what_is_written_is_read(tree: Any) -> None:
    """Any tree of plain values comes back as it was, in both styles."""
    for flow in (True, False):
        assert repr(load(yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False).encode())) == repr(
            tree
        )


@settings(max_examples=300, deadline=None)
@given(text=st.text("ab10 -:[]{},&*!|>'\"#%?@`~<=.\n\t_", max_size=30))
def test_any_text_is_read_as_pyyaml_reads_it_or_refused(text: str) -> None:
    """Refused in one line; what PyYAML refuses always, and more."""
    try:
        ours = load(text.encode())
    except YamlError as error:
        refusal: YamlError | None = error
    else:
        refusal = None
        assert repr(ours) == repr(yaml.load(text, Texts))  # noqa: S506 - it is a safe one

    assert refusal is None or (str(refusal).isprintable() and len(str(refusal)) < 300)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: &x 1\nb: *x", "an anchor or alias in line 1"),
        ("*x", "an anchor or alias in line 1"),
        ("&x [*x]", "an anchor or alias in line 1"),
        ("!!python/object/apply:os.system [x]", "a tag in line 1"),
        ("a: !!binary aGVsbG8=", "a tag in line 1"),
        ("a: ! b", "a tag in line 1"),
        ("a: 1\nb: 2\na: 3", "a key twice in line 1"),
        ("{1: 2}", "a key that is no text"),
        ("{~: 2}", "a key that is no text"),
        ("? [a]\n: 2", "a key that is no text"),
        (f"a: {'9' * 5000}", "a number of 5000 digits in line 1"),
        (f"a: 1{':59' * 2000}", "a number of 6001 digits"),
        (f"a: 0x{'f' * 5000}", "a number of 5002 digits"),
        ("[" * 100_000, f"more than {MOST_DEPTH} levels"),
        ("- " * 100_000, f"more than {MOST_DEPTH} levels"),
        ("{a: " * 100_000, f"more than {MOST_DEPTH} levels"),
        ("a: 1\n---\nb: 2", "found another document"),
        ("a: b: c", "mapping values are not allowed here in line 1"),
        ("\x00", "special characters|not allowed"),
    ],
)
def test_what_is_more_than_plain_is_refused(text: str, complaint: str) -> None:
    """By what it is and where it stands."""
    with pytest.raises(YamlError, match=complaint):
        load(text.encode())


def test_what_looks_like_a_date_is_a_text() -> None:
    """Whether a calendar has it or not; so is a key to merge. NaN is a number, for the model to refuse."""
    assert load(b"a: 1\n<<: {b: 2}") == {"a": 1, "<<": {"b": 2}}
    read = load(b"a: 2001-01-01\nb: 2001-99-99\nc: 2001-01-01 99:99:99\nd: .nan\n")

    assert list(read.values())[:3] == ["2001-01-01", "2001-99-99", "2001-01-01 99:99:99"]
    assert math.isnan(read["d"])
