"""The operators with more than one implementation.

Two of them look across tiles, the convolution and GRN's norm; all else in the encoder is local to a
site or tile. The third, `feed_forward`, is what follows the convolution in a block, at once.

Each has a folder with a README (what it computes and what that must cost), and implementations that
agree, forward and gradient, with what defines it: a `reference.py` for dense maps, or for the third
the layers of a block, one after another.
"""

import functools
import importlib
from types import ModuleType

import torch
from torch import Tensor

from fcmae.ops.depthwise_conv import reference as conv_reference
from fcmae.ops.depthwise_conv import tiled as conv_tiled
from fcmae.ops.feed_forward import fused
from fcmae.ops.feed_forward.fused import Weights
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.response_norm import reference as norm_reference
from fcmae.ops.response_norm import tiled as norm_tiled
from fcmae.ops.tiles import Sites, Tiles


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, sites: Sites) -> Tensor:
    """Depthwise convolution that visible sites alone enter and leave; x keeps its shape.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        weight: [C, 1, k, k] with k odd.
        bias: [C].
        sites: which sites x has.
    """
    if compiled := compiled_for("depthwise_conv", x, sites):
        out: Tensor = compiled.depthwise_conv(x, weight, bias, sites)
        return out
    if isinstance(sites, Tiles):
        return conv_tiled.depthwise_conv(x, weight, bias, sites)
    return conv_reference.depthwise_conv(x, weight, bias, sites)


def response_norm(x: Tensor, sites: Sites) -> Tensor:
    """GRN's N(G(X)): each image's channel norms over its visible sites, divided by their mean.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        sites: which sites x has.

    Returns:
        [B, C] in float32 (float64 for float64 x).
    """
    if isinstance(sites, Tiles):
        return norm_tiled.response_norm(x, sites)
    return norm_reference.response_norm(x, sites)


def feed_forward(
    x: Tensor, weights: Weights, sites: Sites, epsilon: float, compiled: ModuleType
) -> Tensor:
    """LayerNorm, linear, GELU, GRN (if it has weights) and linear at once: x keeps its shape.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        weights: of all of them.
        sites: which sites x has; not a mask.
        epsilon: LayerNorm's.
        compiled: what `compiled_for("feed_forward", x, sites)` gave; where it gave None, layer by
            layer is the way (`fcmae.models.layers.Block`).
    """
    assert not isinstance(sites, Tensor)
    return fused.feed_forward(x, weights, Images.of(x, sites), epsilon, compiled)


def compiled_for(operator: str, x: Tensor, sites: Sites) -> ModuleType | None:
    """The compiled implementation that suits x, or None.

    numba compiles for the processor, Triton for CUDA. Neither knows masks on dense maps, nor can
    PyTorch's compiler look into them: it makes its own from the plain ones.
    """
    if isinstance(sites, Tensor) or torch.compiler.is_compiling():
        return None
    device, dtype = x.device.type, x.dtype
    if device not in SUITED:
        return None
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    if dtype not in SUITED[device]:
        return None
    return load(f"fcmae.ops.{operator}.{'cpu' if device == 'cpu' else 'triton'}")


SUITED = {
    "cpu": (torch.float32, torch.float64),
    "cuda": (torch.float32, torch.bfloat16, torch.float16),
}


@functools.cache
def load(name: str) -> ModuleType | None:
    """A module of kernels; None where what compiles them is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


__all__ = ["Weights", "compiled_for", "depthwise_conv", "feed_forward", "load", "response_norm"]
