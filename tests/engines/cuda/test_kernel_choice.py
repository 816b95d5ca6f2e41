"""The right file of a bundle for every GPU, without opening one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colvi_edge.bundle.manifest import FlatConfig, KernelFile, PrecisionFile
from colvi_edge.engines.cuda.kernel_choice import best_kernel, variant_for
from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.nvrtc import RELEASES
from colvi_edge.kernels.variant import Variant
from colvi_edge.patches import Normalisation

SHIPPED = [KernelFile(file=target, target=target) for release in RELEASES for target in release.targets]


@pytest.mark.parametrize(
    ("gpu", "compute_capability", "target"),
    [
        ("T4", (7, 5), "sm_75"),
        ("A100", (8, 0), "sm_80"),
        ("RTX 3060", (8, 6), "sm_86"),
        ("Orin", (8, 7), "sm_87"),
        ("an 8.8", (8, 8), "sm_87"),
        ("RTX 4060", (8, 9), "sm_89"),
        ("H200", (9, 0), "sm_90"),
        ("B200", (10, 0), "compute_75"),
        ("Thor", (11, 0), "sm_110"),
        ("RTX 5090", (12, 0), "sm_120"),
        ("GB10", (12, 1), "sm_120"),
        ("of years to come", (13, 0), "compute_75"),
    ],
)
def test_every_gpu_gets_machine_code_where_there_is_some(
    gpu: str, compute_capability: tuple[int, int], target: str
) -> None:
    """Of the same generation and not newer than the GPU; PTX for all the others."""
    for kernels in (SHIPPED, SHIPPED[::-1]):
        assert best_kernel(kernels, compute_capability).target == target, gpu


def test_a_gpu_older_than_the_ptx_is_told_so() -> None:
    """Xavier is 7.2. A bundle without kernels says the same."""
    with pytest.raises(
        EngineUnavailableError, match=r"\(compute_75, sm_75, .*\) do not run on .* 7\.2; export"
    ):
        best_kernel(SHIPPED, (7, 2))
    with pytest.raises(EngineUnavailableError, match=r"\(none\) do not run on compute capability 8\.7"):
        best_kernel([], (8, 7))


def test_the_next_best_is_ptx() -> None:
    """A driver that refuses the cubin can be given what is left."""
    refused = best_kernel(SHIPPED, (12, 0))

    assert best_kernel([kernel for kernel in SHIPPED if kernel != refused], (12, 0)).target == "compute_75"


capabilities = st.tuples(st.integers(1, 19), st.integers(0, 9))
targets = st.builds(
    lambda kind, of: f"{kind}_{of[0]}{of[1]}", st.sampled_from(["sm", "compute"]), capabilities
)


@given(st.lists(targets, unique=True), capabilities)
def test_nothing_is_chosen_that_cannot_run(held: list[str], gpu: tuple[int, int]) -> None:
    """CUDA's rule, written down again: a cubin runs within its major version, PTX on all that is newer."""
    running = {
        target: (kind == "sm", of)
        for target in held
        for kind, _, digits in [target.partition("_")]
        for of in [(int(digits[:-1]), int(digits[-1]))]
        if of <= gpu and (kind == "compute" or of[0] == gpu[0])
    }
    kernels = [KernelFile(file=target, target=target) for target in held]
    if running:
        assert best_kernel(kernels, gpu).target == max(running, key=lambda target: running[target])
    else:
        with pytest.raises(EngineUnavailableError):
            best_kernel(kernels, gpu)


@pytest.mark.parametrize(
    ("precisions", "outputs"),
    [(["fp32"], ("f32",)), (["fp32", "int8-trt", "int8-cpu"], ("f32",)), (["fp32", "fp16"], ("f32", "f16"))],
)
def test_a_bundle_needs_its_own_variant_and_no_other(precisions: list[str], outputs: tuple[str, ...]) -> None:
    """Channels, empty ones too, patch and normalisation are the bundle's; float16 comes with fp16 alone."""
    config = FlatConfig.model_validate(
        {
            "patch_px": 32,
            "channels": ("empty", "collagen", "nuclei"),
            "normalisation": Normalisation(kind="patch-channel"),
            "precisions": {name: PrecisionFile(file="n.onnx", purpose="x") for name in precisions},
        }
    ).with_task()

    assert variant_for(config) == Variant(32, 3, "patch-channel", outputs)  # type: ignore[arg-type] # see parameters
