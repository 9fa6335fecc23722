"""The encoder to examine: fresh, or read from a run or a file and recognised by its shapes."""

import copy

import torch
from torch import nn

from fcmae.models.encoder import Encoder
from fcmae.models.layers import GRN, Block
from fcmae.models.responses import Affine
from fcmae.weights import read_weights
from fcmae.weights.recognition import FINAL


def fresh_encoder(model: str, seed: int) -> Encoder:
    """An encoder with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(model)


def load_encoder(path: str) -> Encoder:
    """Read a run's folder, or a file of any dialect; a norm and a head are left out.

    Raises:
        ValueError: if the file cannot be read, or is not of a known model.
    """
    state, description = read_weights(path)
    encoder = Encoder(
        description["model"],
        in_channels=description["in_channels"],
        stem_stride=description["stem_stride"],
        response=description["response"],
    )
    encoder.load_state_dict(
        {name: value for name, value in state.items() if not name.startswith(FINAL)}
    )
    return encoder


def with_live_branches(encoder: Encoder, seed: int) -> Encoder:
    """A copy in which no branch is off, as with fresh weights: checks would not see errors in it.

    GRN's gamma and beta start at zero, and V1's LayerScale at 1e-6; these are drawn anew.
    """
    encoder = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    for module in encoder.modules():
        if isinstance(module, GRN | Affine) and not module.gamma.any():
            nn.init.normal_(module.gamma, generator=generator)
            nn.init.normal_(module.beta, generator=generator)
        if (
            isinstance(module, Block)
            and module.gamma is not None
            and module.gamma.abs().max() <= 1e-6
        ):
            nn.init.normal_(module.gamma, generator=generator)
    return encoder
