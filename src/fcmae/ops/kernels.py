"""Kernels: what compiled implementations offer, and which of them suit an activation.

numba compiles for the processor, Triton for CUDA. Neither knows masks on dense maps, nor can
PyTorch's compiler look into them: it makes its own from the plain ones.
"""

import functools
from typing import Protocol

import torch
from torch import Tensor

from fcmae.ops.feed_forward.images import Images
from fcmae.ops.tiles import Sites, Tiles

SUITED = {
    "cpu": (torch.float32, torch.float64),
    "cuda": (torch.float32, torch.bfloat16, torch.float16),
}


class ConvolutionKernels(Protocol):
    """A `cpu.py` or `triton.py` of `depthwise_conv`."""

    def depthwise_conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, sites: Tiles | None, /
    ) -> Tensor:
        """The operator, with its backward pass."""


class FeedForwardKernels(Protocol):
    """A `cpu.py` or `triton.py` of `feed_forward`: the passes over memory, R rows of sites."""

    def normalise(self, x: Tensor, epsilon: float, /) -> tuple[Tensor, Tensor]:
        """Rows less their mean over their deviation [R, C], one over deviation [R]."""

    def normalise_backward(
        self, gradient: Tensor, normalised: Tensor, reciprocal: Tensor, weight: Tensor, /
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients for what was normalised [R, C], and for weight and bias [C]."""

    def squares(self, h: Tensor, images: Images, /) -> Tensor:
        """The sum over each image's rows of gelu(h)²: [B, D]."""

    def activate(
        self, h: Tensor, factor: Tensor | None, shift: Tensor | None, images: Images, /
    ) -> Tensor:
        """gelu(h) times the factor [B, D] of each row's image, plus shift [D]: [R, D]."""

    def products(
        self,
        h: Tensor,
        gradient: Tensor,
        factor: Tensor | None,
        shift: Tensor | None,
        images: Images,
        /,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """`activate`, each image's sum of gradient times gelu(h) [B, D], and gradient's [D]."""

    def activation_backward(
        self,
        h: Tensor,
        gradient: Tensor,
        factor: Tensor | None,
        slope: Tensor | None,
        images: Images,
        /,
    ) -> tuple[Tensor, Tensor]:
        """The gradient of h [R, D], written over `gradient`, and its sum over rows [D]."""


def convolution_kernels(x: Tensor, sites: Sites) -> ConvolutionKernels | None:
    """The compiled convolution that suits x, or None."""
    return _convolution(x.device.type) if _suited(x, sites) else None


def feed_forward_kernels(x: Tensor, sites: Sites) -> FeedForwardKernels | None:
    """The compiled passes of `feed_forward` that suit x, or None."""
    return _feed_forward(x.device.type) if _suited(x, sites) else None


def _suited(x: Tensor, sites: Sites) -> bool:
    if isinstance(sites, Tensor) or torch.compiler.is_compiling():
        return False
    device, dtype = x.device.type, x.dtype
    if device in SUITED and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    return dtype in SUITED.get(device, ())


# Where what compiles the kernels is not installed, there are none.


@functools.cache
def _convolution(device: str) -> ConvolutionKernels | None:
    try:
        if device == "cpu":
            from fcmae.ops.depthwise_conv import cpu

            return cpu
        from fcmae.ops.depthwise_conv import triton

        return triton
    except ImportError:
        return None


@functools.cache
def _feed_forward(device: str) -> FeedForwardKernels | None:
    try:
        if device == "cpu":
            from fcmae.ops.feed_forward import cpu

            return cpu
        from fcmae.ops.feed_forward import triton

        return triton
    except ImportError:
        return None
