"""Measures of the blocks of a backbone on images: of one tensor of each, block by block.

Diversity is one such measure: how unlike each other the channels of a block are (figure 6).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from fcmae.commands.analyze import BlockTensor
from fcmae.errors import unknown
from fcmae.models.encoder import Backbone
from fcmae.models.layers import Block

Measure = Callable[[Tensor], Tensor]  # of a tensor [B, H, W, C]


def check_tensor(backbone: Backbone, tensor: str) -> None:
    """Refuse a tensor that no block has, or that these blocks do not have.

    Raises:
        ValueError: naming it and what to ask for instead.
    """
    if tensor not in get_args(BlockTensor):
        raise unknown("tensor", tensor, get_args(BlockTensor))
    if tensor == "grn" and any(block.grn is None for _, block in blocks_of(backbone, stage=0)):
        nothing = "" if backbone.response == "grn" else f" with response {backbone.response}"
        raise ValueError(
            f"tensor 'grn': {backbone.model}{nothing} has no GRN; 'widened' is what enters the "
            "last linear layer of a block, with GRN or without"
        )


def blocks_of(backbone: Backbone, stage: int) -> Iterator[tuple[str, Block]]:
    """The blocks of a stage under the names that they have in the weights: "stages.2.5"."""
    blocks: nn.Module = backbone.stages[stage]
    for number, block in enumerate(blocks.children()):
        assert isinstance(block, Block)
        yield f"stages.{stage}.{number}", block


def each_block(
    backbone: Backbone,
    images: Tensor,
    measure: Measure,
    tensor: str = "block",
    only: str | None = None,
) -> dict[str, Tensor]:
    """Measure a tensor of each block on whole images; nothing of it is kept but the measure.

    Args:
        backbone: any backbone.
        images: [B, in_channels, H, W], normalised.
        measure: of a tensor [B, H, W, C].
        tensor: one of `BlockTensor`.
        only: the name of a block; no other is measured.

    Returns:
        What `measure` gives, by the blocks' names, in order.

    Raises:
        ValueError: if the blocks have no such tensor.
    """
    check_tensor(backbone, tensor)
    backbone.check_images(images)
    measures: dict[str, Tensor] = {}
    x = images.permute(0, 2, 3, 1)  # [B, H, W, C]
    for stage, downsample in enumerate(backbone.downsample_layers):
        x = downsample(x)
        for name, block in blocks_of(backbone, stage):
            if only not in (None, name):
                x = block(x)
                continue
            with _heard(block, tensor, measure) as found:
                x = block(x)
            measures[name] = found[0] if found else measure(x)
    return measures


def diversity(backbone: Backbone, images: Tensor, tensor: str = "block") -> dict[str, float]:
    """Feature cosine distance of each block on whole images, averaged over the images.

    Args:
        backbone: any backbone.
        images: [B, C, H, W], normalised.
        tensor: of each block: "block", "branch", "grn" or "widened", as `BlockTensor` says.

    Returns:
        Distances by the blocks' names, "stages.0.0" first.

    Raises:
        ValueError: if there is no such tensor, as "grn" in V1.
    """
    distances = each_block(backbone, images, cosine_distances, tensor)
    return {name: values.mean().item() for name, values in distances.items()}


def cosine_distances(x: Tensor) -> Tensor:
    """Mean over all pairs of channels of (1 - cosine) / 2 of their flattened maps, an image each.

    0 when all channels are alike, as in a collapse, and 0.5 when they are unrelated. As in the
    paper (the main paper's section 3, and figure 6) the mean is over C x C ordered pairs, those of
    a channel with itself among them. A channel that is zero everywhere has cosine 0 with any.

    The cosines are the entries of the Gram matrix of the channels as units, and their sum is the
    squared length of the sum of the units: the matrix itself is not needed.

    Args:
        x: maps [B, H, W, C].

    Returns:
        float64 [B].
    """
    distances = []
    for image in x:  # one by one, since float64 of a batch is large
        channels = image.flatten(0, 1)  # [H * W, C]
        double = channels.cpu().double() if channels.device.type == "mps" else channels.double()
        units = torch.nn.functional.normalize(double, dim=0)
        distances.append((1 - units.sum(1).square().sum() / channels.shape[1] ** 2) / 2)
    return torch.stack(distances)


@contextmanager
def _heard(block: Block, tensor: str, measure: Measure) -> Iterator[list[Tensor]]:
    """The measure of what passes inside a block meanwhile; nothing where its output is wanted.

    The output needs no hook, and a block that is compiled would not notice one.
    """
    found: list[Tensor] = []

    def left(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(measure(output))

    def entered(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(measure(inputs[0]))

    if tensor == "block":
        yield found
        return
    if tensor == "widened":
        handle = block.pwconv2.register_forward_pre_hook(entered)
    else:
        part = block.drop_path if tensor == "branch" else block.grn
        assert part is not None
        handle = part.register_forward_hook(left)
    try:
        yield found
    finally:
        handle.remove()
