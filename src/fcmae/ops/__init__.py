"""The two operators that look across tiles; all else in the encoder is local to a site or tile.

Each has a folder with a README (what it computes and what that must cost), a `reference.py` that
defines it on dense maps, and faster implementations that agree with it, forward and gradient.
"""

import functools
import importlib
from types import ModuleType

import torch
from torch import Tensor

from fcmae.ops.depthwise_conv import reference as conv_reference
from fcmae.ops.depthwise_conv import tiled as conv_tiled
from fcmae.ops.response_norm import reference as norm_reference
from fcmae.ops.response_norm import tiled as norm_tiled
from fcmae.tiles import Sites, Tiles


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, sites: Sites) -> Tensor:
    """Depthwise convolution that visible sites alone enter and leave; x keeps its shape.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        weight: [C, 1, k, k] with k odd.
        bias: [C].
        sites: which sites x has.
    """
    if isinstance(sites, Tiles):
        compiled = compiled_conv() if _suits_compiled(x) else None
        packed: Tensor = (compiled or conv_tiled).depthwise_conv(x, weight, bias, sites)
        return packed
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


@functools.cache
def compiled_conv() -> ModuleType | None:
    """The processor's compiled convolution, or None where numba cannot be loaded."""
    try:
        return importlib.import_module("fcmae.ops.depthwise_conv.cpu")
    except ImportError:
        return None


def _suits_compiled(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
