"""The backbone, and the encoder that runs it on what a mask leaves visible, in three ways.

| mode   | what runs                                       | cost               |
| ------ | ----------------------------------------------- | ------------------ |
| dense  | every site                                      | all sites          |
| masked | dense maps, masked around every convolution     | all sites and more |
| tiled  | only visible tiles, packed in one list          | visible sites      |

Masked is the definition (appendix A.2); tiled equals it and is what pre-training uses.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fcmae.errors import unknown
from fcmae.models.layers import Block, Downsample, Stem, initialise, only_the_first_size_varies
from fcmae.models.masks import check_mask, enlarge, patch_grid
from fcmae.models.responses import USUAL, check_response
from fcmae.ops.tiles import Sites, Tiles
from fcmae.sizes import is_v2, size_of, total_stride

Mode = Literal["tiled", "masked", "dense"]
TILE = 8  # sites a side of a cell at the first stage; 4, 2, 1 at the others


class Backbone(nn.Module):
    """Stem, three downsampling layers and four stages of blocks, under the authors' names.

    Args:
        model: a name of `list_models()`.
        in_channels: channels of the images.
        stem_stride: 4 as in the paper; 1 or 2 for small images. Strides are s, 2s, 4s, 8s.
        drop_path: rate of the last block; it grows linearly from 0 at the first.
        response: what V2's blocks have in GRN's place, of `fcmae.models.responses`.
    """

    def __init__(
        self,
        model: str,
        *,
        in_channels: int = 3,
        stem_stride: int = 4,
        drop_path: float = 0.0,
        response: str = USUAL,
    ) -> None:
        super().__init__()
        size = size_of(model)
        check_response(model, response)
        if in_channels < 1:
            raise ValueError(f"in_channels {in_channels} is not a number of channels: 1 or more")
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path {drop_path} is not in [0, 1)")
        self.stride = total_stride(stem_stride)  # pixels a side of a cell: 32, or 8 or 16
        self.model, self.in_channels, self.stem_stride = model, in_channels, stem_stride
        self.response = response
        self.checkpoint_blocks = False  # recompute each block in the backward pass: slower, smaller
        rates = iter(torch.linspace(0, drop_path, sum(size.depths), device="cpu").tolist())
        before = (0, *size.widths)
        self.downsample_layers = nn.ModuleList(
            [Stem(in_channels, size.width, stem_stride)]
            + [Downsample(before[i], before[i + 1]) for i in (1, 2, 3)]
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *[
                    Block(width, v2=is_v2(model), drop_path=next(rates), response=response)
                    for _ in range(depth)
                ]
            )
            for depth, width in zip(size.depths, size.widths, strict=True)
        )

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return size_of(self.model).widths

    def run(self, x: Tensor, sites: Sequence[Sites]) -> list[Tensor]:
        """The four stages, channels last.

        Args:
            x: pixels [B, H, W, in_channels] or tiles of pixels [M, 8s, 8s, in_channels].
            sites: which sites count, at each of the four stages.

        Returns:
            Each stage's output, [B, H_i, W_i, C_i] or [M, t_i, t_i, C_i].
        """
        outputs = []
        for downsample, stage, where in zip(
            self.downsample_layers, self.stages, sites, strict=True
        ):
            x = downsample(x)
            for block in stage:  # type: ignore[attr-defined]
                only_the_first_size_varies(block, x)
                if self.checkpoint_blocks and self.training:
                    x = checkpoint(block, x, where, use_reentrant=False)
                else:
                    x = block(x, where)
            outputs.append(x)
        return outputs

    def features(self, images: Tensor) -> list[Tensor]:
        """Four dense maps [B, C_i, H / (s 2^i), W / (s 2^i)] of images [B, in_channels, H, W]."""
        self.check_images(images)
        return [x.permute(0, 3, 1, 2) for x in self.run(images.permute(0, 2, 3, 1), [None] * 4)]

    def check_images(self, images: Tensor) -> None:
        """Refuse images that this backbone cannot take, in words."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images have shape {list(images.shape)}: [B, {self.in_channels}, H, W] is needed"
            )
        if min(images.shape[2:]) < self.stride:
            raise ValueError(
                f"images are {images.shape[2]} x {images.shape[3]} pixels: both sides must be "
                f"at least {self.stride}, the total stride; a smaller stem_stride takes smaller "
                "images"
            )


class Encoder(Backbone):
    """The backbone on masked images: what pre-training trains and what it leaves behind."""

    def __init__(
        self, model: str, *, in_channels: int = 3, stem_stride: int = 4, response: str = USUAL
    ) -> None:
        super().__init__(model, in_channels=in_channels, stem_stride=stem_stride, response=response)
        self.apply(initialise)

    def forward(self, images: Tensor, mask: Tensor | None = None, mode: str = "tiled") -> Tensor:
        """The last stage's map, zero at masked cells.

        Args:
            images: [B, in_channels, H, W], H and W multiples of the patch size.
            mask: bool, True where masked, [B, H / p, W / p] for patches of p pixels, a multiple of
                the total stride; None for nothing masked.
            mode: "tiled", "masked", or "dense", which takes no masked cells.

        Returns:
            [B, C_4, H / 8s, W / 8s].
        """
        cells = self.cells(images, mask)
        visible = self.visible(images, cells, mode)  # [M, C_4]
        map_ = visible.new_zeros(*cells.shape, visible.shape[1])
        map_[~cells] = visible
        return map_.permute(0, 3, 1, 2)

    def visible(self, images: Tensor, cells: Tensor, mode: str = "tiled") -> Tensor:
        """The last stage at visible cells alone, in the order of `~cells`: [M, C_4].

        Args:
            images: [B, in_channels, H, W].
            cells: bool [B, H / 8s, W / 8s], True where masked.
            mode: "tiled", "masked", or "dense", which takes no masked cells.
        """
        pixels = images.permute(0, 2, 3, 1)  # [B, H, W, in_channels]
        if mode == "tiled":
            tiles = Tiles.visible(cells)
            return self.run(tiles.pack(pixels), [tiles] * 4)[-1].flatten(0, 2)
        if mode == "masked":
            masked = [enlarge(cells, TILE >> stage).unsqueeze(-1) for stage in range(4)]
            return self.run(pixels, masked)[-1][~cells]
        if mode == "dense":
            if cells.any():
                raise ValueError(
                    'mode "dense" hides nothing: masked cells need "tiled" or "masked"'
                )
            return self.run(pixels, [None] * 4)[-1].flatten(0, 2)
        raise unknown("mode", mode, get_args(Mode))

    def cells(self, images: Tensor, mask: Tensor | None) -> Tensor:
        """The mask at the grid of the last stage: bool [B, H / 8s, W / 8s], True where masked."""
        self.check_images(images)
        batch, _, height, width = images.shape
        grid = patch_grid(height, width, self.stride)
        if mask is None:
            return torch.zeros(batch, *grid, dtype=torch.bool, device=images.device)
        factor = grid[0] // max(mask.shape[1], 1) if mask.ndim == 3 else 0
        if factor < 1 or grid[0] % factor or grid[1] % factor:
            factor = 1
        check_mask(mask, (grid[0] // factor, grid[1] // factor), batch)
        return enlarge(mask, factor)
