"""The operators with more than one implementation.

Two of them look across tiles, the convolution and GRN's norm; all else in the encoder is local to a
site or tile. The third, `feed_forward`, is what follows the convolution in a block, at once.

Each has a folder with a README (what it computes and what that must cost), a `reference.py` that
defines it, and implementations that agree with that, forward and gradient.
"""

from torch import Tensor

from fcmae.ops.depthwise_conv import reference as conv_reference
from fcmae.ops.depthwise_conv import tiled as conv_tiled
from fcmae.ops.feed_forward import fused
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.feed_forward.reference import Weights
from fcmae.ops.kernels import FeedForwardKernels, convolution_kernels, feed_forward_kernels
from fcmae.ops.response_norm import response_norm
from fcmae.ops.tiles import Sites, Tiles


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, sites: Sites) -> Tensor:
    """Depthwise convolution that visible sites alone enter and leave; x keeps its shape.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        weight: [C, 1, k, k] with k odd.
        bias: [C].
        sites: which sites x has.
    """
    if kernels := convolution_kernels(x, sites):
        assert not isinstance(sites, Tensor)
        return kernels.depthwise_conv(x, weight, bias, sites)
    if isinstance(sites, Tiles):
        return conv_tiled.depthwise_conv(x, weight, bias, sites)
    return conv_reference.depthwise_conv(x, weight, bias, sites)


def feed_forward(
    x: Tensor, weights: Weights, sites: Sites, epsilon: float, kernels: FeedForwardKernels
) -> Tensor:
    """LayerNorm, linear, GELU, GRN (if it has weights) and linear at once: x keeps its shape.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        weights: of all of them.
        sites: which sites x has; not a mask.
        epsilon: LayerNorm's.
        kernels: what `feed_forward_kernels(x, sites)` gave; where it gave None, layer by layer is
            the way (`fcmae.models.layers.Block`).
    """
    assert not isinstance(sites, Tensor)
    return fused.feed_forward(x, weights, Images.of(x, sites), epsilon, kernels)


__all__ = ["Weights", "depthwise_conv", "feed_forward", "feed_forward_kernels", "response_norm"]
