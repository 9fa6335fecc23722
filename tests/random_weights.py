"""Weights under which no branch is off: fresh GRN and LayerScale would hide what they do wrong."""

from typing import TypeVar

import torch
from torch import nn

from fcmae.models.encoder import Encoder

M = TypeVar("M", bound=nn.Module)


def randomise(module: M, seed: int = 0) -> M:
    """Draw every parameter anew, at a size that keeps activations near one."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        fan = parameter[0].numel() if parameter.ndim in (2, 4) and "grn" not in name else 4
        nn.init.normal_(parameter, std=fan**-0.5, generator=generator)
        if name.split(".")[-2:] == ["norm", "weight"] or name.endswith(".1.weight"):
            parameter.data += 1
    return module


def shallow_encoder(model: str, *, in_channels: int = 3, stem_stride: int = 4) -> Encoder:
    """An encoder of few blocks, in double precision: two in the third stage, else one."""
    encoder = Encoder(model, in_channels=in_channels, stem_stride=stem_stride)
    for stage, depth in zip(encoder.stages, (1, 1, 2, 1), strict=True):
        del stage[depth:]
    return randomise(encoder).double()
