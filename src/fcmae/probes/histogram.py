"""The control that knows colours and nothing else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fcmae.probes.features import Network

JOINT, SEPARATE = 8, 32  # bins a channel
REACH = 3  # deviations on either side of the mean


def colour_histogram(mean: Sequence[float], std: Sequence[float]) -> Network:
    """Square roots of the shares of pixels in each bin.

    Of three channels the histogram is joint, 8 x 8 x 8 bins; of any other number, C, it is C
    histograms of 32 bins. Bins divide mean ± 3 deviations as far as that lies in 0..1, all of it
    for ordinary photographs; what lies outside counts in the outermost. With roots the scalar
    product of two histograms is the Bhattacharyya coefficient, a stronger control than that of
    the shares.

    Args:
        mean: of each channel, in units of 0..1.
        std: likewise.

    Returns:
        A function of images [B, C, H, W] in 0..1, whose features are [B, 512] or [B, 32 C].
    """
    channels = len(mean)
    joint = channels == 3
    bins = JOINT if joint else SEPARATE
    total = bins**3 if joint else channels * bins

    def network(images: Tensor) -> Tensor:
        centre, reach = (torch.tensor(x, device=images.device).view(-1, 1) for x in (mean, std))
        low = (centre - REACH * reach).clamp(min=0)
        high = (centre + REACH * reach).clamp(max=1)
        pixels = images.flatten(2)  # [B, C, H W]
        bin_ = ((pixels - low) / (high - low) * bins).long().clamp(0, bins - 1)
        if joint:
            bin_ = (bin_[:, 0] * bins + bin_[:, 1]) * bins + bin_[:, 2]  # [B, H W]
        else:
            bin_ = bin_ + bins * torch.arange(channels, device=images.device).view(-1, 1)
        image = torch.arange(len(images), device=images.device) * total
        numbers = (bin_.flatten(1) + image.view(-1, 1)).flatten()
        counts = torch.bincount(numbers, minlength=len(images) * total).view(len(images), total)
        return (counts / pixels.shape[2]).sqrt()

    return network
