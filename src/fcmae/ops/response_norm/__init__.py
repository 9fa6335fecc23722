"""The per-image statistic of global response normalisation over visible sites."""

from torch import Tensor

from fcmae.ops.response_norm import reference, tiled
from fcmae.ops.tiles import Sites, Tiles


def response_norm(x: Tensor, sites: Sites) -> Tensor:
    """GRN's N(G(X)): each image's channel norms over its visible sites, divided by their mean.

    Args:
        x: [B, H, W, C], or [M, t, t, C] where `sites` are tiles.
        sites: which sites x has.

    Returns:
        [B, C] in float32 (float64 for float64 x).
    """
    if isinstance(sites, Tiles):
        return tiled.response_norm(x, sites)
    return reference.response_norm(x, sites)
