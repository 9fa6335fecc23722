"""What projects features before they are compared: linear layers with BatchNorm between them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from fcmae.parallel.processes import mean_over_processes

EPSILON = 1e-5  # added to BatchNorm's variance: PyTorch's default


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers, each with BatchNorm, and ReLU between them (MoCo v3, section 5).

    As in MoCo v3's code, linear layers have no bias and the last BatchNorm no scale either.
    """
    layers: list[nn.Module] = []
    for before, width in pairwise(widths[:-1]):
        layers += [nn.Linear(before, width, bias=False), BatchNorm(width), nn.ReLU(inplace=True)]
    last = [nn.Linear(widths[-2], widths[-1], bias=False), BatchNorm(widths[-1], affine=False)]
    return nn.Sequential(*layers, *last)


class BatchNorm(nn.Module):
    """BatchNorm over the batch of all processes, which have equal parts of it.

    It has the values of PyTorch's SyncBatchNorm, which refuses to run on a processor. It keeps no
    running statistics, which nothing here would use: a step that is cut short leaves no trace.
    """

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """X [n, C] -> the same shape."""
        precise = wide(x)
        centred = precise - mean_over_processes(precise.mean(0))
        variance = mean_over_processes(centred.square().mean(0))
        normalised = centred * (variance + EPSILON).rsqrt()
        if self.weight is not None and self.bias is not None:
            normalised = normalised * self.weight + self.bias
        return normalised.to(x.dtype)


def wide(x: Tensor) -> Tensor:
    """At least in single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
