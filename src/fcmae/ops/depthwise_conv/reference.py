"""The definition: mask, convolve the dense map, mask again (appendix A.2, "before and after")."""

import torch.nn.functional as F
from torch import Tensor

from fcmae.ops.tiles import hide


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, masked: Tensor | None) -> Tensor:
    """x [B, H, W, C], weight [C, 1, k, k], bias [C], masked bool [B, H, W, 1] or None."""
    channels, _, kernel, _ = weight.shape
    x = hide(x, masked).permute(0, 3, 1, 2)  # [B, C, H, W], channels last in memory
    x = F.conv2d(x, weight, bias, padding=kernel // 2, groups=channels)
    return hide(x.permute(0, 2, 3, 1), masked)  # [B, H, W, C]
