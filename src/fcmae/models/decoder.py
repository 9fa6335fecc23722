"""The decoder: one ConvNeXt block over visible features and mask tokens (section 3, "decoder")."""

from typing import cast

import torch
from torch import Tensor, nn

from fcmae.models.layers import Block, initialise, only_the_first_size_varies


class Decoder(nn.Module):
    """Predicts the pixels of each cell.

    Its block sees every cell, so it is an ordinary dense V2 block, whatever the encoder's version.

    Args:
        in_channels: channels of the encoder's last stage, C_4.
        out_values: values to predict for each cell: pixels a side squared times image channels.
        width: channels of the block (the paper's choice is 512).
        depth: number of blocks (the paper's choice is 1).
    """

    def __init__(
        self, in_channels: int, out_values: int, *, width: int = 512, depth: int = 1
    ) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.Sequential(*[Block(width) for _ in range(depth)])
        self.pred = nn.Linear(width, out_values)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, visible: Tensor, cells: Tensor) -> Tensor:
        """Decode.

        Args:
            visible: the encoder's features of visible cells, [M, C_4], in the order of `~cells`.
            cells: bool [B, h, w], True where masked.

        Returns:
            [B, h, w, width], which `predict` turns into pixels.
        """
        visible = self.proj(visible)
        x = self.mask_token.to(visible.dtype).expand(*cells.shape, -1).clone()  # [B, h, w, width]
        x[~cells] = visible
        for block in self.blocks:
            only_the_first_size_varies(cast(Block, block), x)
            x = block(x)
        return x

    def predict(self, decoded: Tensor) -> Tensor:
        """Pixels of any selection of cells: [..., width] -> [..., out_values]."""
        predicted: Tensor = self.pred(decoded)
        return predicted
