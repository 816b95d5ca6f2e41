"""The operators that networks are made of: they compute, and touch neither files nor the machine.

Every one of our own networks, of torchvision's ResNet and DenseNet and of U-Nets (resizing, transposed
convolution, instance and group normalisation), scripted, traced and exported, with what other classifiers
commonly add. Whatever is not in this list is refused by name.
"""

import re

_LAYERS = """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d _convolution
    _convolution_mode convolution linear addmm matmul mm bmm baddbmm bilinear embedding
    batch_norm native_batch_norm _native_batch_norm_legit_no_training instance_norm group_norm
    native_group_norm layer_norm native_layer_norm local_response_norm rms_norm normalize norm
    linalg_vector_norm
    max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d lp_pool2d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d _adaptive_avg_pool2d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d
    upsample_trilinear3d upsample_bicubic2d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa _upsample_lanczos2d_aa
    pixel_shuffle pixel_unshuffle channel_shuffle
    pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
    replication_pad2d replication_pad3d
    dropout feature_dropout alpha_dropout feature_alpha_dropout native_dropout bernoulli
    scaled_dot_product_attention
"""

_ACTIVATIONS = """
    relu relu6 prelu leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh softplus
    softsign softshrink hardshrink tanhshrink threshold sigmoid log_sigmoid tanh softmax log_softmax softmin
    glu _softmax _log_softmax
"""

_ARITHMETIC = """
    add sub rsub mul div floor_divide floordiv remainder fmod true_divide neg abs sign pow sqrt rsqrt square
    exp expm1 log log1p log2 sin cos erf reciprocal floor ceil round trunc clamp clamp_min clamp_max minimum
    maximum where lerp addcmul addcdiv
    sum mean std var var_mean amax amin max min argmax argmin prod cumsum logsumexp
    eq ne lt le gt ge logical_and logical_or logical_not isnan isfinite
    __and__ __or__ __not__ __is__ __isnot__ __contains__ __range_length __derive_index
"""

_SHAPES = """
    size dim numel len view view_as reshape reshape_as flatten unflatten squeeze unsqueeze permute transpose
    t T mT movedim swapaxes contiguous clone detach alias expand expand_as repeat repeat_interleave tile flip
    roll cat concat stack hstack vstack split split_with_sizes chunk unbind narrow select slice index
    index_select gather take_along_dim masked_fill fill unfold im2col col2im einsum meshgrid arange zeros ones
    full zeros_like ones_like full_like empty new_zeros new_ones new_full scalar_tensor tensor to type_as
    float double half int bool long _to_copy lift_fresh_copy item Int Float Bool IntImplicit FloatImplicit
    ScalarImplicit sym_size sym_numel is_floating_point
    append list format warn __getitem__ _set_item copy
"""

OPERATORS = frozenset(
    form for name in f"{_LAYERS}{_ACTIVATIONS}{_ARITHMETIC}{_SHAPES}".split() for form in (name, f"{name}_")
)
"""Names in the namespace `aten`; the second form of each works in place."""

_PRIMITIVES = """
    NumToTensor RaiseException device dtype layout requires_grad is_cuda min max abs
    unchecked_unwrap_optional TupleIndex TupleUnpack ListUnpack data shape
"""

PRIMITIVES = frozenset(_PRIMITIVES.split())
"""Names in the namespace `prim`."""

TARGETS = re.compile(
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|math\.(ceil|floor|trunc)|torch\.sym_(int|float|max|min|not)"
)
"""What else computes sizes in a program of torch.export."""

_ATEN_TARGET = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+")


def is_target(name: str) -> bool:
    """Return whether a node of torch.export calls an operator of the list."""
    aten = _ATEN_TARGET.fullmatch(name)
    return aten[1] in OPERATORS if aten else bool(TARGETS.fullmatch(name))
