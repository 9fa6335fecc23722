"""On packed tiles, through a dense map that lives only inside the operator.

Plain autograd would keep the dense map until the backward pass. It is cheap to make again, so only
the packed tiles are kept.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fcmae.ops.tiles import Tiles


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
    """x [M, t, t, C], weight [C, 1, k, k], bias [C] -> [M, t, t, C]."""
    if torch.is_autocast_enabled(x.device.type):  # a custom Function is not cast by itself
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    result: Tensor = _TiledDepthwiseConv.apply(x, weight, bias, tiles)
    return result


class _TiledDepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, tiles: Tiles) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tiles = tiles
        dense = tiles.unpack(x).permute(0, 3, 1, 2)  # [B, C, H, W]
        out = F.conv2d(dense, weight, bias, padding=weight.shape[2] // 2, groups=weight.shape[0])
        return tiles.pack(out.permute(0, 2, 3, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        tiles: Tiles = ctx.tiles
        channels, _, kernel, _ = weight.shape
        outer = tiles.unpack(gradients[0]).permute(0, 3, 1, 2)  # [B, C, H, W]
        dense = tiles.unpack(x).permute(0, 3, 1, 2)
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            outer, dense, weight, [channels], [1, 1], [kernel // 2] * 2, [1, 1], False, [0, 0],
            channels, ctx.needs_input_grad[:3],
        )  # fmt: skip
        if grad_x is not None:
            grad_x = tiles.pack(grad_x.permute(0, 2, 3, 1))
        return grad_x, grad_weight, grad_bias, None
