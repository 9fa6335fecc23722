"""The forward and backward pass written out, so that little is kept and memory is crossed seldom.

The README has the maths. Of the wide activations only what enters GELU is kept: GELU and GRN are
cheap to compute again, in the passes over memory that are needed anyway.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fcmae.ops.feed_forward.images import Images
from fcmae.ops.feed_forward.reference import Weights
from fcmae.ops.kernels import FeedForwardKernels
from fcmae.ops.matrix import inner_product, linear
from fcmae.ops.response_norm.reference import divide


def feed_forward(
    x: Tensor, weights: Weights, images: Images, epsilon: float, kernels: FeedForwardKernels
) -> Tensor:
    """x [.., C], sites of `images` in order -> the same shape.

    `kernels` does the passes over memory: `cpu` or `triton` beside this file.
    """
    if torch.is_autocast_enabled(x.device.type):  # a custom Function is not cast by itself
        x = x.to(torch.get_autocast_dtype(x.device.type))
    out: Tensor = _FeedForward.apply(x.flatten(0, -2), images, epsilon, kernels, *weights)
    return out.view(x.shape)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        images: Images,
        epsilon: float,
        kernels: FeedForwardKernels,
        *given: Tensor | None,
    ) -> Tensor:
        weights = Weights(*given)  # type: ignore[arg-type]
        normalised, reciprocal = kernels.normalise(x.contiguous(), epsilon)  # [R, C], [R]
        widen = weights.widen_weight.to(x.dtype), weights.widen_bias.to(x.dtype)
        h = linear(_scaled(normalised, weights), *widen)  # [R, D]
        energy = factor = None
        if weights.gamma is not None:
            energy = kernels.squares(h, images)  # [B, D]
            factor = 1 + weights.gamma * divide(energy)
        active = kernels.activate(h, factor, weights.beta, images)  # [R, D]
        ctx.save_for_backward(normalised, reciprocal, h, energy, *weights)
        ctx.images, ctx.kernels = images, kernels
        return linear(active, weights.narrow_weight.to(x.dtype), weights.narrow_bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        normalised, reciprocal, h, energy, *given = ctx.saved_tensors
        weights = Weights(*given)
        kernels: FeedForwardKernels = ctx.kernels
        outer = outer.contiguous()  # [R, C]
        dtype = weights.widen_weight.dtype

        inner = linear(outer, weights.narrow_weight.to(h.dtype).t())  # [R, D]
        factor = slope = None
        if weights.gamma is not None:
            with torch.enable_grad():
                energy = energy.detach().requires_grad_()
                norm = divide(energy)  # [B, D]
            factor = 1 + weights.gamma * norm.detach()
        active, products, grad_beta = kernels.products(h, inner, factor, weights.beta, ctx.images)
        grad_narrow = inner_product(outer, active).to(dtype)  # [C, D]
        del active
        grad_gamma = None
        if weights.gamma is not None:
            assert products is not None
            grad_gamma = (products * norm.detach()).sum(0)
            # Of a sum: to check a gradient that it is given, torch imports sympy for half a second.
            outer_norm = products * weights.gamma
            with torch.enable_grad():
                (grad_energy,) = torch.autograd.grad((norm * outer_norm).sum(), energy)
            slope = 2 * grad_energy
        inner, grad_widen_bias = kernels.activation_backward(h, inner, factor, slope, ctx.images)
        # Not `inner_product`: D is the larger here, and the other way round, transposed, the result
        # would not have the weight's layout in memory.
        grad_widen = (inner.t() @ _scaled(normalised, weights)).to(dtype)  # [D, C]
        scaled = linear(inner, weights.widen_weight.to(h.dtype).t())  # [R, C]
        grad_x, grad_norm_weight, grad_norm_bias = kernels.normalise_backward(
            scaled, normalised, reciprocal, weights.norm_weight
        )
        gradients = Weights(
            norm_weight=grad_norm_weight,
            norm_bias=grad_norm_bias,
            widen_weight=grad_widen,
            widen_bias=grad_widen_bias,
            narrow_weight=grad_narrow,
            narrow_bias=outer.sum(0, dtype=dtype),
            gamma=grad_gamma,
            beta=grad_beta,
        )
        return grad_x, None, None, None, *gradients


def _scaled(normalised: Tensor, weights: Weights) -> Tensor:
    """What LayerNorm gives: cheap to compute again, so that it need not be kept."""
    weight, bias = weights.norm_weight.to(normalised.dtype), weights.norm_bias.to(normalised.dtype)
    return torch.addcmul(bias, normalised, weight)  # [R, C]
