"""Arrays are read as NumPy wrote them, or not at all."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colvi_edge.bundle.npy import ArrayError, read_npy

DTYPES = ("uint8", "uint16", "float32")


def npy(array: object) -> bytes:
    """An array as NumPy writes it."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), dtype=st.sampled_from(DTYPES))
def test_what_numpy_writes_is_read(shape: list[int], dtype: str) -> None:
    """Every dtype and shape that a bundle may have."""
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)

    found = read_npy(npy(array), DTYPES, (None, *shape[1:]))

    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_read_as_numpy_reads_it(data: st.DataObject) -> None:
    """Bytes changed anywhere, most in the header: the one error, or the array that NumPy finds."""
    spoilt = bytearray(npy(np.arange(6, dtype=np.uint16).reshape(3, 2)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = read_npy(bytes(spoilt), DTYPES, (None, 2))
    except ArrayError as error:
        words = str(error)
    else:
        words = ""
        np.testing.assert_array_equal(found, np.load(io.BytesIO(bytes(spoilt)), allow_pickle=False))

    assert words.isprintable()


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((3, 2), np.float64), "is no .npy"),
        (np.zeros((3, 2), np.uint8), r"holds uint8 \(3, 2\), expected uint16 or float32 \(N, 2\)"),
        (np.zeros((3, 3), np.uint16), r"holds uint16 \(3, 3\), expected"),
        (np.zeros((0, 2), np.uint16), r"holds uint16 \(0, 2\), expected"),
        (np.zeros(6, np.uint16), r"holds uint16 \(6\), expected"),
        (np.array(1, np.uint16), "is no .npy"),
        (np.full((3, 2), np.nan, np.float32), "some of them no numbers"),
        (np.full((3, 2), -np.inf, np.float32), "some of them no numbers"),
        (np.array([[{}, {}]]), "is no .npy"),
        (np.zeros((3, 2), ">u2"), "is no .npy"),
        (np.asfortranarray(np.zeros((3, 2), np.uint16)), "is no .npy"),
    ],
)
def test_another_array_is_refused(array: object, complaint: str) -> None:
    """By what was found and what was expected."""
    with pytest.raises(ArrayError, match=complaint):
        read_npy(npy(array), ("uint16", "float32"), (None, 2))


def test_a_header_is_believed_only_with_its_numbers() -> None:
    """No memory is taken for what is not there, and none is left over."""
    whole = npy(np.zeros((3, 2), np.uint16))
    giant = whole.replace(b"(3, 2), }          ", b"(999999999, 2), }  ")

    assert len(giant) == len(whole)
    for spoilt, held in ((whole[:-1], 11), (whole + b"x", 13), (giant, 12)):
        with pytest.raises(ArrayError, match=f"and has {held} bytes of numbers"):
            read_npy(spoilt, ("uint16",), (None, 2))
