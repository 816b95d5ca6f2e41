"""Records as a bench leaves them, of made-up times."""

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from colvi_edge.bench.record import (
    END_TO_END,
    ENGINE,
    NETWORK,
    READ,
    WRITE,
    Clocks,
    EngineUsed,
    Image,
    Machine,
    Model,
    Record,
    Series,
    Settings,
    timed,
)

ENGINES = ("openvino int8-cpu", "openvino fp32")
INPUTS = ("uncompressed", "LZW")


def series_of(engine: str, network_ms: float, scatter: np.random.Generator) -> list[Series]:
    """Everything that is measured of one engine, 20 times; a third of a millisecond of scatter."""

    def around(middle_ms: float, count: int = 20) -> Sequence[float]:
        samples: list[float] = (middle_ms * scatter.normal(1, 0.02, count)).tolist()
        return samples

    found = [timed(engine, "", "continuous", NETWORK, around(network_ms), ENGINE)]
    for given, read_ms in zip(INPUTS, (1, 11), strict=True):
        stages = {READ: read_ms, "quality": 2, ENGINE: network_ms + 1, "decide": 0.2, "rest": 1.5, WRITE: 9}
        for stage, middle_ms in stages.items():
            found.append(timed(engine, given, "continuous", stage, around(middle_ms)))
        for stage, middle_ms in {"overlay": 3, "encode": 5}.items():
            found.append(timed(engine, given, "continuous", stage, around(middle_ms), WRITE))
        found.append(timed(engine, given, "continuous", END_TO_END, around(sum(stages.values()))))
    found.append(timed(engine, INPUTS[0], "after idle", END_TO_END, around(90, 5)))
    found.append(timed(engine, INPUTS[0], "burst", END_TO_END, around(network_ms + 5, 3)))
    found.append(timed(engine, "", "cold start", END_TO_END, around(500, 7)))
    found.append(timed(engine, "", "cold start", "whole process", around(600, 7)))
    return found


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Return a function that gives a record; fields can be replaced, and all times multiplied."""

    def make(seed: int = 0, **replaced: Any) -> Record:
        scatter = np.random.default_rng(seed)
        return Record(
            created=datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc),
            software="colvi-edge 0.0.0",
            machine=Machine(
                cpu="A CPU (model 1)",
                cores=2,
                governor="schedutil 800-4000 MHz",
                power_mode="",
                gpu="",
                memory_gib=16,
                system="Debian, 6.1, x86_64",
                is_virtual=False,
                file_system="ext4",
                load_average=0.1,
                busy=0.02,
                versions={"colvi-edge": "0.0.0", "numpy": "2.0"},
            ),
            clocks=(Clocks(when="before the start", cpu_mhz=(800, 4000), gpu=""),),
            model=Model(name="a model", version="1.0", sha256="0" * 64),
            image=Image(
                is_simulated=True,
                sha256="1" * 64,
                axes="CYX",
                shape=(2, 1024, 1024),
                dtype="uint16",
                file_bytes=dict.fromkeys(INPUTS, 4194304),
            ),
            settings=Settings(
                rounds=20, warm_up_images=3, idle_s=3, idle_gaps=5, cold_starts=7, burst_images=16
            ),
            engines=tuple(
                EngineUsed(
                    name=name,
                    runtime="openvino",
                    version="1.0",
                    precision=name.split()[1],
                    device="A CPU",
                    reason="it was asked for",
                )
                for name in ENGINES
            ),
            series=(
                *series_of(ENGINES[0], 30, scatter),
                *series_of(ENGINES[1], 150, scatter),
                timed("", "", "cold start", "--help", [60.0, 61.0, 62.0]),
            ),
        ).model_copy(update=replaced)

    return make
