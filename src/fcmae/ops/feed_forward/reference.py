"""The definition: what follows the convolution in a block, one layer after another."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from fcmae.ops.response_norm import response_norm
from fcmae.ops.tiles import Sites, spread


class Weights(NamedTuple):
    """The parameters, C channels widened to D."""

    norm_weight: Tensor  # [C]
    norm_bias: Tensor  # [C]
    widen_weight: Tensor  # [D, C]
    widen_bias: Tensor  # [D]
    narrow_weight: Tensor  # [C, D]
    narrow_bias: Tensor  # [C]
    gamma: Tensor | None  # [D], GRN's; None: there is no GRN
    beta: Tensor | None  # [D]


def feed_forward(x: Tensor, weights: Weights, sites: Sites, epsilon: float) -> Tensor:
    """x [B, H, W, C], or [M, t, t, C] where `sites` are tiles -> the same shape."""
    x = F.layer_norm(x, x.shape[-1:], weights.norm_weight, weights.norm_bias, epsilon)
    x = F.gelu(F.linear(x, weights.widen_weight, weights.widen_bias))  # [.., .., .., D]
    if weights.gamma is not None and weights.beta is not None:
        factor = 1 + weights.gamma * response_norm(x, sites)  # [B, D]
        x = (x * spread(factor, sites) + weights.beta).to(x.dtype)
    return F.linear(x, weights.narrow_weight, weights.narrow_bias)
