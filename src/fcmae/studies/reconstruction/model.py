"""A masked autoencoder at one resolution, small enough for a toy: the same for every mask size."""

import torch
from torch import Tensor, nn

from fcmae.models.layers import Block, LayerNorm, PatchConv, initialise
from fcmae.models.loss import unpatchify
from fcmae.models.masks import enlarge
from fcmae.studies.reconstruction import Architecture

CHANNELS = 3


class Toy(nn.Module):
    """Linear embedding, encoder, LayerNorm, and a linear head to the pixels of each position.

    A masked pixel has the same value whatever it hides, and the embedding is told which pixels are
    masked: a vector that is learnt for each of them, its mask token.

    Args:
        architecture: the encoder.
        stride: pixels a side of a position.
        image_size: pixels a side, a multiple of the stride.
    """

    def __init__(self, architecture: Architecture, *, stride: int, image_size: int) -> None:
        super().__init__()
        side = image_size // stride
        width = architecture.width
        self.stride = stride
        self.embedding = PatchConv(CHANNELS + 1, width, stride)
        self.encoder = (
            Transformer(architecture, side) if architecture.heads else convnext(architecture)
        )
        self.norm = LayerNorm(width)
        self.head = nn.Linear(width, stride**2 * CHANNELS)
        self.apply(initialise)
        # A deviation of 0.02 would drown a position's few pixels in the code of its place.
        nn.init.xavier_uniform_(self.embedding.weight.flatten(1))

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Predict every pixel.

        Args:
            images: [B, 3, H, W], standardised.
            mask: bool [B, h, w], True where masked; H is a multiple of h.

        Returns:
            [B, 3, H, W].
        """
        return unpatchify(self.head(self.norm(self.encode(images, mask))), self.stride)

    def encode(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the last block gives of images under a mask, or whole: [B, h', w', width]."""
        hidden = torch.zeros_like(images[:, :1], dtype=torch.bool)
        if mask is not None:
            hidden = pixels(mask, images)
        seen = images.masked_fill(hidden, 0)  # by selection, so that not even a NaN gets through
        x = torch.cat((seen, hidden.to(seen.dtype)), 1)  # [B, 4, H, W]
        maps: Tensor = self.encoder(self.embedding(x.permute(0, 2, 3, 1)))
        return maps


def convnext(architecture: Architecture) -> nn.Sequential:
    """Blocks of 7x7 kernels, of V2 even without GRN: LayerScale would be a second difference."""
    width, response = architecture.width, architecture.response
    return nn.Sequential(*(Block(width, response=response) for _ in range(architecture.blocks)))


class Transformer(nn.Module):
    """Blocks of attention among all positions, whose places are fixed codes."""

    def __init__(self, architecture: Architecture, side: int) -> None:
        super().__init__()
        width = architecture.width
        self.places: Tensor
        self.register_buffer("places", sine_cosine(side, width), persistent=False)
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width,
                    architecture.heads,
                    dim_feedforward=4 * width,
                    dropout=0.0,
                    activation="gelu",
                    layer_norm_eps=1e-6,
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(architecture.blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, C] -> the same shape."""
        blocks: Tensor = self.blocks((x + self.places).flatten(1, 2))
        return blocks.view_as(x)


def sine_cosine(side: int, width: int) -> Tensor:
    """Codes of the places of a square, as masked autoencoders have them: [side, side, width].

    Half of the width is for the row and half for the column: sines, then cosines, of the place
    times frequencies from 1 down to 1/10000.

    Args:
        side: places a side.
        width: a multiple of 4.
    """
    frequencies = 10000 ** -torch.linspace(0, 1, width // 4 + 1, dtype=torch.float64)[:-1]
    angles = torch.arange(side)[:, None] * frequencies  # [side, width / 4]
    line = torch.cat((angles.sin(), angles.cos()), 1).float()  # [side, width / 2]
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat((rows, columns), 2)


def pixels(mask: Tensor, images: Tensor) -> Tensor:
    """A mask at the resolution of images [B, C, H, W]: [B, h, w] -> [B, 1, H, W]."""
    return enlarge(mask, images.shape[2] // mask.shape[1]).unsqueeze(1)


def squared_errors(prediction: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Of each value of masked pixels: [B, C, H, W] twice and bool [B, h, w] -> float32 [N]."""
    errors = (prediction.float() - images).square()
    return errors[pixels(mask, images).expand_as(errors)]
