"""The network stage of the engine beside the best that OpenVINO itself reaches on the same ONNX file.

usage: python benchmarks/network.py [BUNDLE] [--rounds N]

OpenVINO is used as its own `benchmark_app` uses it: the ONNX as it is, its input never touched, requests
kept busy, for each performance hint and batch. The engine does more: it is given 256 normalised patches,
copies them in and the probabilities out. All take turns in one process, and the medians are compared.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.openvino.silent import openvino

PATCHES = 256
BATCHES = (4, 8, 16, 32, 64, 128)


def plain(bundle: Bundle, hint: str, batch: int) -> Callable[[], None]:
    """Return a function that runs as many batches as one image has, with nothing but OpenVINO."""
    core = openvino.Core()
    model = core.read_model(bundle.network("int8-cpu"))
    config = bundle.config
    model.reshape([batch, len(config.channels), config.patch_px, config.patch_px])
    # Not its silent bfloat16: both then do the same arithmetic.
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"})
    requests = [
        compiled.create_infer_request()
        for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    ]

    def run() -> None:
        turns = PATCHES // batch
        for turn in range(turns):
            request = requests[turn % len(requests)]
            if turn >= len(requests):
                request.wait()
            request.start_async()
        for request in requests[:turns]:
            request.wait()

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The engine's network stage beside plain OpenVINO.")
    parser.add_argument("bundle", nargs="?", default="demo")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    config = bundle.config
    shape = (PATCHES, len(config.channels), config.patch_px, config.patch_px)
    patches = np.random.default_rng(0).standard_normal(shape, np.float32)
    engine = open_engine(bundle, "openvino", "int8")
    ways: dict[str, Callable[[], object]] = {"colvi-edge": lambda: engine.network(patches)}
    for hint in ("LATENCY", "THROUGHPUT"):
        for batch in BATCHES:
            ways[f"OpenVINO {hint.lower()}, batch {batch}"] = plain(bundle, hint, batch)
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds + 3):
        for name, run in ways.items():
            run()  # the caches are the last one's
            begin = time.perf_counter()
            run()
            if number >= 3:
                samples[name].append(1000 * (time.perf_counter() - begin))
    medians = {name: float(np.median(taken)) for name, taken in samples.items()}
    ours = medians["colvi-edge"]
    print(f"{engine.info.device}, OpenVINO {engine.info.version}, {options.rounds} rounds after 3")
    print(f"{'256 patches, median ms':36} {'':>6}  colvi-edge is so many times as fast")
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:36} {median:6.1f}  {median / ours:.2f}")


if __name__ == "__main__":
    main()
