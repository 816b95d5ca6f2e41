"""A small U-Net that has learnt where the nuclei of simulated cultures are, and images of these."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from colvi_edge.bundle.task import Largest, Segment
from colvi_edge.bundle.window import Windows
from colvi_edge.export.converting.calibration import Calibration, Images
from colvi_edge.export.networks.known import Parameters, build_known
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.patches import Normalisation, normalise_image, project
from colvi_edge.simulate import simulate_projection
from colvi_edge.tasks.classify import CLASSES

PARAMETERS: Parameters = {"outputs": 2, "depth": 2, "base": 4, "norm": "batch", "up": "nearest"}
NUCLEI = Segment(kind="segment", classes=("background", "nucleus"), decision=Largest(rule="largest"))


def cultures(seed: int, count: int, size_px: int = 192) -> Images:
    """Return the nuclei of simulated cultures, (1, 1, H, W) uint16 each."""
    planes = [
        simulate_projection(CLASSES[k % 2], seed + k, size_px=size_px)[np.newaxis, :1] for k in range(count)
    ]
    return Images([f"culture {seed + k}" for k in range(count)], planes, [""] * count)


@pytest.fixture(scope="session")
def images() -> Calibration:
    """Return images to calibrate with, and others to judge by."""
    return Calibration(cultures(0, 6), cultures(50, 2))


@pytest.fixture(scope="session")
def trained(images: Calibration) -> Checkpoint:
    """Return a network of 60 steps: it draws what is bright, so that rounding turns few pixels over."""
    normalisation = Normalisation("image")
    inputs = [normalise_image(project(planes), normalisation) for planes in images.calibrating.planes]
    smooth = np.stack([gaussian_filter(one[0], 1.5) for one in inputs])
    x = torch.from_numpy(np.stack(inputs))
    truth = torch.from_numpy((smooth > 0.8).astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_known("unet", 1, PARAMETERS)
        optimiser = torch.optim.Adam(network.parameters(), 0.02)
        for step in range(60):
            part = slice(2 * step % 6, 2 * step % 6 + 2)
            loss = functional.cross_entropy(network(x[part]), truth[part])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return Checkpoint(
        network=network.eval(),
        name="unet",
        channels=("nuclei",),
        activation="softmax",
        temperature=1.0,
        normalisation=normalisation,
        training={},
        parameters=PARAMETERS,
        task=NUCLEI,
        windows=Windows(px=96),
    )
