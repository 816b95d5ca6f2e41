"""The emulator itself: what it runs is what CUDA would run, and what CUDA forbids is seen."""

import ctypes
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.gxx


@pytest.fixture(params=["", "-DCUDA_ON_CPU_UCONTEXT"], ids=["assembler", "ucontext"])
def probe(libraries: Any, request: pytest.FixtureRequest) -> ctypes.CDLL:
    """Return the emulator with its small kernels, once with each kind of fiber."""
    handle: ctypes.CDLL = libraries.load("probe.cpp", *filter(None, [request.param]))
    return handle


def launch(
    probe: ctypes.CDLL,
    name: str,
    packed: bytes,
    blocks: tuple[int, int, int] = (1, 1, 1),
    threads: tuple[int, int, int] = (64, 1, 1),
    seed: int = 0,
) -> str:
    """Run a kernel on two OS threads; return the error, or nothing."""
    failed = probe.cuda_on_cpu_launch(
        name.encode(),
        (ctypes.c_uint * 3)(*blocks),
        (ctypes.c_uint * 3)(*threads),
        packed,
        ctypes.c_uint64(seed),
        2,
    )
    return probe.cuda_on_cpu_error().decode() if failed else ""


def pointers(*arrays: NDArray[Any]) -> bytes:
    """Pack the addresses of arrays."""
    return struct.pack(f"{len(arrays)}P", *(array.ctypes.data for array in arrays))


def test_a_barrier_lets_all_threads_see_shared_memory(probe: ctypes.CDLL) -> None:
    """Every block reverses its numbers in a memory of its own."""
    given = np.arange(100 * 64, dtype=np.int32)
    found = np.zeros_like(given)

    assert not launch(probe, "reverse", pointers(given, found), (100, 1, 1))
    np.testing.assert_array_equal(found.reshape(100, 64), given.reshape(100, 64)[:, ::-1])


@pytest.mark.parametrize("seed", range(3))
def test_a_missing_barrier_shows(probe: ctypes.CDLL, seed: int) -> None:
    """The same kernel without its barrier is wrong in any order of threads."""
    given = np.arange(64, dtype=np.int32) + 1
    found = np.zeros_like(given)

    assert not launch(probe, "race", pointers(given, found), seed=seed)
    assert (found != given[::-1]).any()


def test_shuffles_stay_in_their_warp(probe: ctypes.CDLL) -> None:
    """A butterfly of shuffles gives each warp its own sum, with all 64 bits of it."""
    given = np.random.default_rng(0).integers(2**31, size=96, dtype=np.int32)
    found = np.zeros(96, np.int64)

    assert not launch(probe, "sum_warps", pointers(given, found), threads=(96, 1, 1))
    np.testing.assert_array_equal(found, given.reshape(3, 32).sum(axis=1, dtype=np.int64).repeat(32))


@pytest.mark.parametrize(
    ("name", "threads", "waiting"),
    [("leave_early", 64, 63), ("shuffle_in_part", 64, 32), ("sum_warps", 80, 16)],
)
def test_threads_that_wait_for_ever_are_an_error(
    probe: ctypes.CDLL, name: str, threads: int, waiting: int
) -> None:
    """What not all reach, or a lane that is not there, hangs a GPU; here the launch says which block."""
    arrays = np.zeros(threads, np.int32), np.zeros(threads, np.int64)

    error = launch(probe, name, pointers(*arrays), (2, 1, 1), (threads, 1, 1))

    assert f", 0, 0): {waiting} of {threads} threads wait" in error
    assert "others never reach" in error


def test_the_order_of_threads_follows_the_seed(probe: ctypes.CDLL) -> None:
    """Another seed is another order, the same seed the same one; each thread has its turn."""

    def turns(seed: int) -> list[int]:
        noted = np.zeros(65, np.int32)
        assert not launch(probe, "note_turns", pointers(noted, noted), seed=seed)
        return noted[1:].tolist()

    first, again, other = turns(1), turns(1), turns(2)

    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(64)) != first


def test_grids_and_blocks_have_three_dimensions(probe: ctypes.CDLL) -> None:
    """Every thread of every block runs exactly once."""
    runs = np.zeros(2 * 3 * 4 * 5 * 3 * 2, np.uint32)

    assert not launch(probe, "locate", pointers(runs, runs), (2, 3, 4), (5, 3, 2))
    assert (runs == 1).all()


def test_arguments_are_unpacked_as_the_driver_packs_them(probe: ctypes.CDLL) -> None:
    """Each argument stands at the next multiple of its own alignment."""
    found = np.zeros(4, np.int8)
    packed = struct.pack("Pc7xc7xdh", found.ctypes.data, b"\1", b"\2", 3.0, 4)

    assert probe.cuda_on_cpu_packed_bytes(b"unpack") == len(packed)
    assert not launch(probe, "unpack", packed, threads=(1, 1, 1))
    assert found.tolist() == [1, 2, 3, 4]


def test_an_unknown_kernel_is_named(probe: ctypes.CDLL) -> None:
    """A wrong entry name is an error, not a crash."""
    assert probe.cuda_on_cpu_packed_bytes(b"gone") == 0
    assert launch(probe, "gone", b"") == "there is no kernel gone"
