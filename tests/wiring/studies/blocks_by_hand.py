"""Blocks in plain torch, with whatever stands in GRN's place."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcmae.models.layers import Block

# Table 9's and figure 6's formulas: of widened channels x [B, H, W, C], gamma and beta.
Formula = Callable[[Tensor, Any, Any], Tensor]


def norms(x: Tensor) -> Tensor:
    """G: of each channel, over an image's sites."""
    return x.square().sum((1, 2), keepdim=True).sqrt()


def divided(x: Tensor) -> Tensor:
    """N: by the mean over channels."""
    return x / (x.mean(3, keepdim=True) + 1e-6)


def standardised(x: Tensor, dims: tuple[int, ...], epsilon: float) -> Tensor:
    """Less the mean, by the deviation."""
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + epsilon).sqrt()


RESPONSES: dict[str, Formula] = {
    "none": lambda x, _gamma, _beta: x,
    "scale": lambda x, gamma, beta: gamma * x + beta + x,
    "aggregate": lambda x, gamma, beta: gamma * x * norms(x) + beta + x,
    "normalise": lambda x, gamma, beta: gamma * x * divided(x) + beta + x,
    "grn": lambda x, gamma, beta: gamma * x * divided(norms(x)) + beta + x,
    "layer": lambda x, gamma, beta: gamma * standardised(x, (3,), 1e-6) + beta,
    "batch": lambda x, gamma, beta: gamma * standardised(x, (0, 1, 2), 1e-5) + beta,
    "local": lambda x, _gamma, _beta: (
        x / (2 + 1e-4 * F.pad(x.square(), (2, 2)).unfold(3, 5, 1).sum(4)) ** 0.75
    ),
}


def check_blocks(module: nn.Module, response: str) -> None:
    """Every block computes what it should, of V2 with this response; "base" is of V1."""
    blocks = [block for block in module.modules() if isinstance(block, Block)]
    assert blocks
    for block in blocks:
        own = copy.deepcopy(block).double().train()
        own.drop_path.rate = 0.0
        torch.manual_seed(0)
        with torch.no_grad():
            for weight in own.parameters():  # so that no part is without effect
                weight.normal_(std=0.5)
        x = torch.randn(2, 5, 4, block.dwconv.in_channels).double()
        torch.testing.assert_close(own(x), by_hand(own, x, response), rtol=1e-6, atol=1e-6)


def by_hand(block: Block, x: Tensor, response: str) -> Tensor:
    """A block in plain torch."""
    w = dict(block.named_parameters())
    assert ("gamma" in w) is (response == "base")  # LayerScale
    formula = RESPONSES["none" if response == "base" else response]
    y = F.conv2d(x.movedim(3, 1), w["dwconv.weight"], w["dwconv.bias"], 1, 3, 1, x.shape[3])
    y = standardised(y.movedim(1, 3), (3,), 1e-6) * w["norm.weight"] + w["norm.bias"]
    y = F.gelu(y @ w["pwconv1.weight"].T + w["pwconv1.bias"])
    y = formula(y, w.get("grn.gamma"), w.get("grn.beta"))
    y = y @ w["pwconv2.weight"].T + w["pwconv2.bias"]
    return x + w.get("gamma", 1.0) * y
