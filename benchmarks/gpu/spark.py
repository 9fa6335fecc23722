"""Our encoder as SparK runs a dense network (Tian et al., 2023): masks multiplied into maps."""

from typing import NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from fcmae.models.encoder import TILE, Encoder
from fcmae.models.layers import Block
from fcmae.models.masks import enlarge


class _Active(NamedTuple):
    """The active sites of a stage."""

    map: Tensor  # bool [B, H, W, 1], True where active
    places: tuple[Tensor, ...]  # image, row and column of each

    @staticmethod
    def of(cells: Tensor, stage: int) -> "_Active":
        active = ~enlarge(cells, TILE >> stage)
        return _Active(active.unsqueeze(-1), active.nonzero(as_tuple=True))


def visible_by_multiplying(encoder: Encoder, images: Tensor, cells: Tensor) -> Tensor:
    """The encoder as SparK runs a dense network; it gives what `Encoder.visible` gives.

    The output of every convolution is multiplied by what is active, LayerNorm is given active sites
    alone and its output is put back among zeros, and all else runs on dense maps. To the method's
    GRN active sites alone count. What is active is looked up once a stage, rather than each time.

    Args:
        encoder: ours; its parameters are used.
        images: [B, in_channels, H, W].
        cells: bool [B, h, w], True where masked.

    Returns:
        [M, C_4], in the order of `~cells`.
    """
    x = images.permute(0, 2, 3, 1)  # [B, H, W, in_channels]
    stages = zip(encoder.downsample_layers, encoder.stages, strict=True)
    for stage, (downsample, blocks) in enumerate(stages):
        for layer in cast(nn.Sequential, downsample):
            if isinstance(layer, nn.Conv2d):  # after LayerNorm on the sites of the stage before
                active = _Active.of(cells, stage)
                x = _convolve(x, layer, active)
            else:
                x = _normalise(x, layer, active)
        for block in cast(nn.Sequential, blocks):
            x = _run(cast(Block, block), x, active)
    return x[~cells]


def _run(block: Block, x: Tensor, active: _Active) -> Tensor:
    shortcut, masked = x, ~active.map
    x = _normalise(_convolve(x, block.dwconv, active), block.norm, active)
    x = F.gelu(block.pwconv1(x))
    if block.grn is not None:
        x = block.grn(x, masked)
    x = block.pwconv2(x)
    if block.gamma is not None:
        x = block.gamma * x
    out: Tensor = shortcut + block.drop_path(x * active.map, masked)
    return out


def _convolve(x: Tensor, layer: nn.Conv2d, active: _Active) -> Tensor:
    x = F.conv2d(
        x.permute(0, 3, 1, 2),
        layer.weight,
        layer.bias,
        layer.stride,
        layer.padding,
        groups=layer.groups,
    )
    return x.permute(0, 2, 3, 1) * active.map


def _normalise(x: Tensor, layer: nn.Module, active: _Active) -> Tensor:
    values: Tensor = layer(x[active.places])  # [sites, C]
    out = values.new_zeros(x.shape)
    out[active.places] = values
    return out
