"""The kernels of a bundle: the variant that it needs, and the file for a GPU."""

from collections.abc import Sequence

from colvi_edge.bundle import Config
from colvi_edge.bundle.manifest import KernelFile
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.variant import Variant


def variant_for(config: Config) -> Variant:
    """Return what a bundle's kernels are compiled for: every input that its precisions take on a GPU."""
    half = "fp16" in config.precisions  # every other network takes float32, int8-trt too: it begins with Q
    return Variant(
        patch_px=config.patch_px,
        channels=len(config.channels),
        kind=config.normalisation.kind,
        outputs=("f32", "f16") if half else ("f32",),
    )


def best_kernel(kernels: Sequence[KernelFile], compute_capability: tuple[int, int]) -> KernelFile:
    """Return the kernels to load: the newest cubin of the GPU's generation that it can run, else PTX.

    A driver older than the toolkit that made the cubin may still refuse it, as a driver of CUDA 12
    may those for RTX 50; then take the best of the others.

    Args:
        kernels: `config.kernels` of a bundle.
        compute_capability: of the GPU, such as (8, 7).

    Raises:
        EngineUnavailableError: none of them runs on this GPU.
    """
    major, minor = compute_capability
    fitting = [
        kernel
        for kernel in kernels
        if (kernel.is_ptx and kernel.compute_capability <= compute_capability)
        or (kernel.compute_capability[0] == major and kernel.compute_capability[1] <= minor)
    ]
    if not fitting:
        held = ", ".join(kernel.target for kernel in kernels) or "none"
        raise EngineUnavailableError(
            f"the bundle's CUDA kernels ({held}) do not run on compute capability {major}.{minor}; export "
            "the model again with 'colvi-edge[kernels]' installed, or use --engine openvino"
        )
    return max(fitting, key=lambda kernel: (not kernel.is_ptx, kernel.compute_capability))
