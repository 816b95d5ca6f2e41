"""Compiled networks that were kept: the same bits as fresh ones, or not used."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.openvino.silent import openvino

Noise = Callable[..., NDArray[Any]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the kept networks, still missing."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "openvino"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every compilation."""
    done: list[str] = []
    compile_model = openvino.Core.compile_model

    def counting(core: openvino.Core, *arguments: Any, **settings: Any) -> openvino.CompiledModel:
        done.append("compiled")
        return compile_model(core, *arguments, **settings)

    monkeypatch.setattr(openvino.Core, "compile_model", counting)
    return done


def judged(bundle: Bundle, planes: NDArray[Any], precision: str = "int8") -> NDArray[np.float32]:
    """Open the engine anew and let it judge."""
    with closing(open_engine(bundle, "openvino", precision)) as engine:
        return engine.field(planes)


def test_the_second_start_compiles_nothing_and_finds_the_same(
    state: Path, compilations: list[str], demo_bundle: Bundle, noise: Noise
) -> None:
    """Equal to the last bit; another precision is another network."""
    planes = noise((1, 2, 256, 320), "uint16", 900)
    fresh = judged(demo_bundle, planes)

    assert len(compilations) == len(list(state.iterdir())) == 1
    np.testing.assert_array_equal(judged(demo_bundle, planes), fresh)
    assert len(compilations) == 1
    judged(demo_bundle, planes, "fp32")
    assert len(compilations) == len(list(state.iterdir())) == 2


@pytest.mark.parametrize("damage", ["a byte", "an end", "nothing left"])
def test_a_damaged_one_is_compiled_again(
    damage: str, state: Path, compilations: list[str], demo_bundle: Bundle, noise: Noise
) -> None:
    """A flipped byte changes decisions in OpenVINO's own cache; here it is found, and mended."""
    planes = noise((1, 2, 128, 192), "uint16", 900)
    fresh = judged(demo_bundle, planes)
    (file,) = state.iterdir()
    data = bytearray(file.read_bytes())
    data[-10_000] ^= 0x40
    file.write_bytes({"a byte": data, "an end": data[:-5000], "nothing left": bytearray()}[damage])

    np.testing.assert_array_equal(judged(demo_bundle, planes), fresh)
    np.testing.assert_array_equal(judged(demo_bundle, planes), fresh)
    assert len(compilations) == 2


def test_one_that_openvino_refuses_is_compiled_again(
    state: Path, compilations: list[str], demo_bundle: Bundle, noise: Noise
) -> None:
    """Whole by its hash, but no blob: what a later version may say of an older one's."""
    import hashlib

    planes = noise((1, 2, 64, 64), "uint16", 900)
    fresh = judged(demo_bundle, planes)
    (file,) = state.iterdir()
    file.write_bytes(hashlib.sha256(b"not a blob").digest() + b"not a blob")

    np.testing.assert_array_equal(judged(demo_bundle, planes), fresh)
    assert len(compilations) == 2


def test_without_a_place_it_works_as_well(
    state: Path, compilations: list[str], demo_bundle: Bundle, noise: Noise
) -> None:
    """A file where the folder should be: nothing is kept, and nothing is said."""
    state.parent.write_text("in the way")
    planes = noise((1, 2, 64, 64), "uint16", 900)

    assert judged(demo_bundle, planes).shape == judged(demo_bundle, planes).shape == (1, 1, 2)
    assert len(compilations) == 2


def test_old_ones_go(state: Path, demo_bundle: Bundle, noise: Noise) -> None:
    """Eight are kept, the newest of them the one just made."""
    state.mkdir(parents=True)
    for number in range(20):
        (state / f"{number}.blob").touch()
    judged(demo_bundle, noise((1, 2, 64, 64)))

    kept = [path for path in state.iterdir() if path.stat().st_size]
    assert len(list(state.iterdir())) == 8
    assert len(kept) == 1
