"""Matrix products for the hand-written passes, where no autograd listens."""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [R, in] times weight [out, in], plus bias [out]: [R, out], by the fastest library at hand.

    PyTorch gives single precision on a processor to MKL; oneDNN, which comes along, is a tenth
    faster.
    """
    single = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0
    if single and (onednn := _onednn()):
        return onednn(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Sums over rows: a [R, m], b [R, n] -> [m, n]. Faster where m is the smaller."""
    return linear(a.t(), b.t())


@functools.cache
def _onednn() -> Callable[..., Tensor] | None:
    """What PyTorch's compiler calls for linear layers, if this build of PyTorch has it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
