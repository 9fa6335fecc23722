"""Diversity of features: how unlike each other the channels of a block are (figure 6)."""

import torch
from torch import Tensor

from fcmae.models.encoder import Backbone
from fcmae.probes.blocks import each_block


def diversity(backbone: Backbone, images: Tensor, tensor: str = "block") -> dict[str, float]:
    """Feature cosine distance of each block on whole images, averaged over the images.

    Args:
        backbone: any backbone.
        images: [B, C, H, W], normalised.
        tensor: of each block: "block", "branch", "grn" or "widened", as `blocks.Measured` says.

    Returns:
        Distances by the blocks' names, "stages.0.0" first.

    Raises:
        ValueError: if there is no such tensor, as "grn" in V1.
    """
    distances = each_block(backbone, images, cosine_distances, tensor)
    return {name: values.mean().item() for name, values in distances.items()}


def cosine_distances(x: Tensor) -> Tensor:
    """Mean over all pairs of channels of (1 - cosine) / 2 of their flattened maps, an image each.

    0 when all channels say the same, as in a collapse, and 0.5 when they are unrelated. As in the
    paper (the main paper's section 3, and figure 6) the mean is over C x C ordered pairs, those of
    a channel with itself among them. A channel that is zero everywhere has cosine 0 with any.

    The cosines are the entries of the Gram matrix of the channels as units, and their sum is the
    squared length of the sum of the units: the matrix itself is not needed.

    Args:
        x: maps [B, H, W, C].

    Returns:
        float64 [B].
    """
    return torch.stack([_cosine_distance(image.flatten(0, 1)) for image in x])


def _cosine_distance(channels: Tensor) -> Tensor:
    """Of the columns of [H * W, C]; image by image, since float64 of a batch is large."""
    double = channels.cpu().double() if channels.device.type == "mps" else channels.double()
    units = torch.nn.functional.normalize(double, dim=0)
    return (1 - units.sum(1).square().sum() / channels.shape[1] ** 2) / 2
