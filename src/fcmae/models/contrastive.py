"""Momentum contrast, MoCo v3 (arXiv:2104.02057): two views of an image, told from all others'.

This file is the method's figure. It is the paper's setting for ViT with a ConvNeXt in its place,
which appendix D of the ConvNeXt V2 paper compares masked pre-training with.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcmae.models.encoder import Encoder
from fcmae.models.perceptron import perceptron, wide
from fcmae.models.responses import USUAL
from fcmae.parallel.processes import gather_rows, rank


class Branch(nn.Module):
    """An encoder, global average pooling, and the projector: images [n, C, H, W] -> [n, width].

    There is no LayerNorm between pooling and projector, which begins with one linear layer and
    BatchNorm: the encoder is left as masked pre-training leaves it.
    """

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, images: Tensor) -> Tensor:
        """Projections of images that are normalised, any sides from the total stride on."""
        pooled = self.encoder.features(images)[-1].mean(dim=(2, 3))  # [n, C_4]
        projected: Tensor = self.projector(pooled)
        return projected


class MomentumContrast(nn.Module):
    """Queries, keys that follow them slowly and get no gradient, and the predictor (algorithm 1).

    Args:
        encoder: of the queries; that of the keys begins as a copy of it.
        hidden_width: of projector and predictor (section 5: 4096).
        projection_width: channels of queries and keys (section 5: 256).
        temperature: what similarities are divided by.
    """

    def __init__(
        self, encoder: Encoder, *, hidden_width: int, projection_width: int, temperature: float
    ) -> None:
        super().__init__()
        hidden = [hidden_width] * 2
        self.query = Branch(encoder, perceptron(encoder.widths[-1], *hidden, projection_width))
        self.predictor = perceptron(projection_width, hidden_width, projection_width)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The symmetric loss, a scalar, of two views of each image, [n, C, H, W] both.

        Under torch.distributed each process has the images of its part of the batch; the other
        processes' keys are negatives too.
        """
        q1, q2 = self.predictor(self.query(first)), self.predictor(self.query(second))  # [n, width]
        with torch.no_grad():
            k1, k2 = self.key(first), self.key(second)
        return contrast(q1, k2, self.temperature) + contrast(q2, k1, self.temperature)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the keys' weights towards the queries', by 1 - momentum of the way."""
        for key, query in zip(self.key.parameters(), self.query.parameters(), strict=True):
            key.lerp_(query, 1 - momentum)


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE: which of the whole batch's keys belongs to each query, times 2 temperature.

    By chance it is 2 temperature ln(images of the batch).

    Args:
        queries: [n, width].
        keys: [n, width], of the same images; they get no gradient.
        temperature: what cosines are divided by.
    """
    with torch.autocast(queries.device.type, enabled=False):  # logits need more than 8 bits
        q = F.normalize(wide(queries), dim=1)
        k = gather_rows(F.normalize(wide(keys.detach()), dim=1))  # [G, width]
        first = rank() * len(q)
        own = torch.arange(first, first + len(q), device=q.device)
        return 2 * temperature * F.cross_entropy(q @ k.T / temperature, own)


def momentum_at(step: int, *, base: float, steps: int) -> float:
    """From `base` to 1 by half a cosine over the run (MoCo v3's code); steps counted from 0."""
    return 1 - (1 - base) * 0.5 * (1 + math.cos(math.pi * step / steps))


def create_contrast(
    model: str = "convnextv2_atto",
    *,
    in_channels: int = 3,
    stem_stride: int = 4,
    hidden_width: int = 4096,
    projection_width: int = 256,
    temperature: float = 0.2,
    frozen_stem: bool = False,
    response: str = USUAL,
) -> MomentumContrast:
    """Build queries, keys and predictor with fresh weights.

    Args:
        model: a name of `fcmae.list_models()`, V1 or V2.
        in_channels: channels of the images.
        stem_stride: 4 as in the paper; 1 or 2 for images of 32 to 96 pixels.
        hidden_width: of projector and predictor.
        projection_width: channels of queries and keys.
        temperature: what similarities are divided by.
        frozen_stem: leave the stem as it is drawn, as the paper does with ViT's patch projection
            (section 4.2).
        response: what the encoder's blocks have in GRN's place, of `fcmae.models.responses`.
    """
    encoder = Encoder(model, in_channels=in_channels, stem_stride=stem_stride, response=response)
    if frozen_stem:
        encoder.downsample_layers[0].requires_grad_(False)
    return MomentumContrast(
        encoder,
        hidden_width=hidden_width,
        projection_width=projection_width,
        temperature=temperature,
    )
