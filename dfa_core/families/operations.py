"""Native operations of PyTorch's graph, sorted by how their gradients read a weight."""

from __future__ import annotations

from functools import cache

from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node

#: Views of their input, and casts, which are recognised where autograd saved them.
VIEWS = {
    "Alias", "AsStrided", "Conj", "Diagonal", "Expand", "Permute", "ReshapeAlias", "Select", "Slice", "Split",
    "SplitWithSizes", "Squeeze", "T", "ToCopy", "Transpose", "Unbind", "Unfold", "UnsafeView", "Unsqueeze", "View",
}  # fmt: skip
#: Several tensors laid side by side.
JOINING = {"BlockDiag", "Cat", "Stack"}
#: Copies of their input, in the same order or another.
COPIES = {"Clone", "ConstantPadNd", "Flip", "Repeat", "Roll", "Tril", "Triu"}
#: Rows of their input, chosen by data. Rows of a table are activations, rows of a weight are weights.
GATHERING = {"Embedding", "EmbeddingBag", "Gather", "Index", "IndexSelect", "MaskedSelect", "Take"}
#: Operations whose input's gradient needs no other input.
ADDING = {
    "Add", "CopySlices", "IndexAdd", "IndexCopy", "IndexPut", "MaskedScatter", "Rsub", "Scatter", "ScatterAdd",
    "SelectScatter", "SliceScatter", "Sub", "Where",
}  # fmt: skip
#: Operations on entries of several tensors: of weights alone, they make another weight.
COMPUTING = {
    "Addcdiv", "Addcmul", "Atan2", "Clamp", "ClampMax", "ClampMin", "Div", "Lerp", "MaskedFill", "Maximum", "Minimum",
    "Mul", "Pow", "WeightNormInterface", "Where",
}  # fmt: skip
#: Argument of a sum within another operation, by its place: no other argument's gradient reads it.
ADDEND = {
    "Addbmm": 0, "Addcdiv": 0, "Addcmul": 0, "Addmm": 0, "Addmv": 0, "Addr": 0, "Baddbmm": 0, "NativeLayerNorm": 2,
    "ScaledDotProductCudnnAttention": 3, "ScaledDotProductEfficientAttention": 3, "SparseAddmm": 0,
    "ThnnFusedGruCell": 2, "ThnnFusedLstmCell": 2,
}  # fmt: skip

#: Products and sums of products: the gradient of a factor does not read that factor.
_PRODUCTS = {
    "Addbmm", "Addcmul", "Addmm", "Addmv", "Addr", "Baddbmm", "Bmm", "ConvDepthwise2D", "ConvDepthwise3D", "ConvTbc",
    "Convolution", "ConvolutionOverrideable", "CudnnConvolution", "CudnnConvolutionTranspose", "CudnnRnn", "Dot",
    "EmbeddingBag", "GroupedMm", "Linear", "LinalgCross", "MiopenConvolution", "MiopenConvolutionTranspose",
    "MiopenDepthwiseConvolution", "MiopenRnn", "MkldnnConvolution", "MkldnnLinear", "MkldnnRnnLayer", "Mm",
    "MpsConvolution", "MpsConvolutionTranspose", "Mul", "Mv", "NnpackSpatialConvolution", "SlowConv2D", "SlowConv3D",
    "SlowConvDilated2D", "SlowConvDilated3D", "SlowConvTranspose2D", "SlowConvTranspose3D", "SparseAddmm",
    "SparseMmReduceImpl", "SparseSampledAddmm", "Trilinear", "Vdot",
}  # fmt: skip
#: Operations that are linear in one argument alone, and the name of that one.
_LINEAR_IN = {
    "BatchNormWithUpdate": "weight", "CudnnBatchNorm": "weight", "Div": "self", "FusedRmsNorm": "weight",
    "GridSampler2D": "input", "GridSampler2DCpuFallback": "input", "GridSampler3D": "input",
    "MiopenBatchNorm": "weight", "NativeBatchNorm": "weight", "NativeBatchNormLegit": "weight",
    "NativeBatchNormLegitNoTraining": "weight", "NativeGroupNorm": "weight", "NativeLayerNorm": "weight",
    "PreluKernel": "weight",
}  # fmt: skip
#: Arguments that a parameter may be, but never as a weight: sums, initial states, and the input of a recurrence.
_KEPT = {
    "CudnnRnn": ("input", "hx", "cx"), "MiopenRnn": ("input", "hx", "cx"), "NativeLayerNorm": ("bias",),
    "ScaledDotProductCudnnAttention": ("attn_bias",), "ScaledDotProductEfficientAttention": ("attn_bias",),
    "ScaledDotProductFlashAttentionForCpu": ("attn_mask",),
    "ScaledDotProductFusedAttentionOverrideable": ("attn_bias",),
    "ThnnFusedGruCell": ("hx",), "ThnnFusedLstmCell": ("cx",),
}  # fmt: skip
#: Of three factors, the gradient of each reads the other two: only one of them can be replaced.
_FACTORS = {"Trilinear": ("i1", "i2", "i3")}


@cache
def _name_of(kind: type) -> str:
    own = issubclass(kind, BackwardCFunction) or kind.__name__ == "CppFunction"
    return "" if own else kind.__name__.partition("Backward")[0]


def operation(node: Node) -> str:
    """The name of a node's native operation, without "Backward"; empty for an `autograd.Function` of a user's own."""
    return _name_of(type(node))


def kept_arguments(node: Node) -> tuple[str, ...]:
    """Names of the arguments of a node that are no weights, even if they are parameters."""
    return _KEPT.get(operation(node), ())


def linear_argument(node: Node) -> str | None:
    """The one argument that a node's operation is linear in; None if that is any, or none."""
    return _LINEAR_IN.get(operation(node))


def factors(node: Node) -> tuple[str, ...]:
    """Names of the factors of a product of three."""
    return _FACTORS.get(operation(node), ())


def is_product(node: Node) -> bool:
    """Whether the gradient of a weight, whichever argument it is, does not read it; a user's own is trusted."""
    name = operation(node)
    return not name or name in _PRODUCTS
