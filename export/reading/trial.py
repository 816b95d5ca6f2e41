"""A network tried on noise: does it do what a bundle promises, whatever its file says?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from colvi_edge.choices import Outputs
from colvi_edge.errors import ModelError
from colvi_edge.export.networks.patch_cnn import PATCH_PX
from colvi_edge.system.confinement import MEMORY_BYTES

from .checkpoint import Checkpoint
from .foreign.words import FROM_ONE_OUTPUT, last_line


def channel_counts(
    module: nn.Module,
    given: Sequence[str] | None,
    size: tuple[int, int] = (PATCH_PX, PATCH_PX),
    *,
    refuse_one: bool = True,
) -> list[int]:
    """Return how many channels a network takes, found out by trying where it is not given.

    Raises:
        ModelError: it takes one alone, or no patches at all.
    """
    taken, refusals = [], {}
    for count in [len(given)] if given else range(1, 9):
        try:
            with torch.inference_mode():
                module(torch.zeros(2, count, *size))
            taken.append(count)
        except Exception as error:  # noqa: BLE001 # a foreign graph raises what it likes
            _refuse_greed(error)
            refusals[count] = last_line(error)
    if taken == [1] and refuse_one:
        raise ModelError(
            "the network takes one channel, expected two or more: collagen and nuclei; train it on both"
        )
    if not taken:
        count = len(given) if given else 2
        raise ModelError(
            f"the network takes no (N, {count if given else 'C'}, {size[0]}, {size[1]}) float32 patches "
            f"({refusals[count]}); it must be made for {size[0]} x {size[1]} pixels and its --channels"
        )
    return taken


def try_out(checkpoint: Checkpoint) -> None:
    """Refuse a network that does not give (N, K) or (N, K, h, w), each for itself, always the same.

    Raises:
        ModelError: saying which of that does not hold.
    """
    network, size = checkpoint.network, trial_size(checkpoint)
    patches = _noise(len(checkpoint.channels), size)
    outputs_of_each = (
        int(checkpoint.parameters.get("outputs", len(checkpoint.task.classes))),
        *(size if checkpoint.is_dense else ()),
    )
    with torch.inference_mode():
        outputs, again = _run(network, patches), _run(network, patches)
        _refuse_shape(outputs, outputs_of_each)
        if not outputs.isfinite().all():
            raise ModelError("the network gives NaN or infinity for noise; take an earlier checkpoint of it")
        if not _close(outputs, again):
            raise ModelError(
                "the network gives other outputs for the same patches; dropout is on: "
                "call model.eval() before saving"
            )
        if not _close(outputs, torch.cat([_run(network, patch[None]) for patch in patches])):
            raise ModelError(
                "the network gives a patch other outputs in company than alone; batch normalisation is in "
                "training mode: call model.eval() before saving"
            )
        if checkpoint.activation != "none":
            if outputs.min() >= 0 and (outputs.sum(1) - 1).abs().max() < 1e-4:
                raise ModelError("the network's outputs already sum to 1; name --outputs probabilities")
            return
        low, high = outputs.min().item(), outputs.max().item()
    if low < -1e-4 or high > 1 + 1e-4:
        raise ModelError(
            f"the network's outputs run from {low:.3g} to {high:.3g} and are no probabilities; "
            "name --outputs softmax-logits or sigmoid-logits"
        )


def refuse_other_shapes(network: nn.Module, channels: int) -> None:
    """Raise ModelError unless a network gives two outputs for each patch."""
    with torch.inference_mode():
        _refuse_shape(_run(network, _noise(channels)), (2,))


def trial_size(checkpoint: Checkpoint) -> tuple[int, int]:
    """Return height and width on which a network is tried; one that answers for each pixel takes any."""
    px = checkpoint.windows.cell_px or PATCH_PX
    return checkpoint.input.resize_px or (px, px)


def outputs_of(network: nn.Module, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Return what a network gives for one image of noise: (K,) or (K, h, w).

    Raises:
        ModelError: it takes no such images, or gives something else.
    """
    with torch.inference_mode():
        outputs = _run(network, _noise(channels, size))
    if not isinstance(outputs, Tensor) or outputs.ndim not in (2, 4) or len(outputs) != 4:
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ModelError(f"the network gives {found} for 4 images; expected (4, K), or (4, K, height, width)")
    return tuple(outputs.shape[1:])


def _refuse_shape(outputs: Any, of_each: tuple[int, ...]) -> None:
    """Raise ModelError unless these are as many outputs for each of four patches."""
    if isinstance(outputs, Tensor) and outputs.shape == (4, *of_each):
        return
    found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    remedy = f"; {FROM_ONE_OUTPUT}" if found in ((4, 1), (4,)) else ""
    raise ModelError(
        f"the network gives {found} for 4 patches; expected {(4, *of_each)}, one output a class{remedy}"
    )


def _noise(channels: int, size: tuple[int, int] = (PATCH_PX, PATCH_PX)) -> Tensor:
    """Return four patches, each of another contrast."""
    noise = torch.randn((4, channels, *size), generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor([0.3, 1.0, 3.0, 10.0]).reshape(-1, 1, 1, 1)


def likely_outputs(
    network: nn.Module | None, counts: Sequence[int], size: tuple[int, int] = (PATCH_PX, PATCH_PX)
) -> Outputs:
    """Return what a network's outputs look like, as an example for whoever knows."""
    if network is None:
        return Outputs.SOFTMAX_LOGITS
    with torch.inference_mode():
        outputs = _run(network, _noise(counts[0], size))
    is_within = isinstance(outputs, Tensor) and bool(((outputs >= 0) & (outputs <= 1)).all())
    return Outputs.PROBABILITIES if is_within else Outputs.SOFTMAX_LOGITS


def _run(network: nn.Module, patches: Tensor) -> Any:
    try:
        return network(patches)
    except Exception as error:
        _refuse_greed(error)
        raise ModelError(
            f"the network takes 2 patches but not {len(patches)} ({last_line(error)}); its batch is fixed: "
            "write x.flatten(1) or x.shape[0] in forward and save it again"
        ) from error


def _refuse_greed(error: Exception) -> None:
    """Raise ModelError if a network broke off because it was given no more memory."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        raise ModelError(
            f"the network takes more than {MEMORY_BYTES >> 30} GiB of memory for a few patches; take another"
        ) from error


def _close(one: Tensor, other: Tensor) -> bool:
    """Compare up to the rounding of float32, which another batch adds up in another order."""
    return one.shape == other.shape and bool(
        (one - other).abs().max() <= 1e-4 * max(1, one.abs().max().item())
    )
