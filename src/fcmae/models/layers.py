"""Every layer of the encoder and decoder, written once, for dense, masked and packed sites alike.

Activations are channels last, `[B, H, W, C]` or `[M, t, t, C]`, so that normalisation, linear
layers and GELU need not know which. Parameters have the names and shapes of the authors' code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcmae.models.responses import NONE, OTHERS, USUAL
from fcmae.ops import (
    Weights,
    depthwise_conv,
    feed_forward,
    feed_forward_kernels,
    response_norm,
)
from fcmae.ops.tiles import Sites, num_images, spread


class LayerNorm(nn.LayerNorm):
    """Over channels, the last dimension; eps 1e-6; statistics in float32 under autocast."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)


class PatchConv(nn.Conv2d):
    """A convolution whose stride is its kernel size, as one linear layer on squares of sites.

    It never looks across the edge of a square, hence nor across the edge of a tile.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=stride, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """[N, H, W, in] -> [N, H // stride, W // stride, out]; what is left over is cut off."""
        stride = self.stride[0]
        batch, height, width, channels = x.shape
        rows, columns = height // stride, width // stride
        x = x[:, : rows * stride, : columns * stride]
        x = x.reshape(batch, rows, stride, columns, stride, channels).permute(0, 1, 3, 2, 4, 5)
        weight = self.weight.permute(0, 2, 3, 1)  # [out, stride, stride, in]
        return F.linear(x.flatten(3), weight.flatten(1), self.bias)


class Stem(nn.Sequential):
    """Non-overlapping convolution, then LayerNorm (keys 0 and 1, as in the authors' code)."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__(PatchConv(in_channels, width, stride), LayerNorm(width))


class Downsample(nn.Sequential):
    """LayerNorm, then non-overlapping 2x2 convolution (keys 0 and 1)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(LayerNorm(in_channels), PatchConv(in_channels, out_channels, 2))


class GRN(nn.Module):
    """Global response normalisation: gamma * (X * N(G(X))) + beta + X, per image (section 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.register_load_state_dict_pre_hook(_reshape_grn)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        # gamma * (x * n) + beta + x with the factor of x formed first, so that x alone is kept for
        # the backward pass; in float32, since a factor near 1 has too few digits in half precision.
        factor = 1 + self.gamma.flatten() * response_norm(x, sites)  # [B, C]
        return (x * spread(factor, sites) + self.beta).to(x.dtype)


def _reshape_grn(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Accept gamma and beta as (C), (1, C), (1, 1, 1, C) or with still more leading ones."""
    for name, parameter in module.named_parameters(recurse=False):
        given = state.get(prefix + name)
        if given is None or given.ndim == 0:
            continue
        if given.shape[-1] == given.numel() == parameter.numel():
            state[prefix + name] = given.reshape(parameter.shape)


class DropPath(nn.Module):
    """Drop a residual branch for whole images while training, and scale up the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.drawn: Tensor | None = None  # uniform numbers [B] for the next pass, where given

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C]; one number an image, drawn before or from the default generator."""
        if not self.training or self.rate == 0:
            return x
        drawn = self.drawn
        if drawn is None:
            drawn = torch.rand(num_images(x, sites), device=x.device)
        kept = drawn.unsqueeze(1) >= self.rate  # [B, 1]
        return x * spread(kept / (1 - self.rate), sites).to(x.dtype)

    def extra_repr(self) -> str:
        """The rate, for `print(model)`."""
        return f"{self.rate}"


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, widen 4x, GELU, GRN (V2), narrow, LayerScale (V1), residual.

    In V2, `response` may put something else in GRN's place (`models.responses`), under its name.
    """

    def __init__(
        self, channels: int, *, v2: bool = True, drop_path: float = 0.0, response: str = USUAL
    ) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.norm = LayerNorm(channels)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn: nn.Module | None = None
        if v2 and response != NONE:
            self.grn = (GRN if response == USUAL else OTHERS[response])(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = None if v2 else nn.Parameter(torch.full((channels,), 1e-6))
        self.drop_path = DropPath(drop_path)
        self.compiled = False  # by `compile_blocks`

    def forward(self, x: Tensor, sites: Sites = None) -> Tensor:
        """X [B, H, W, C] or [M, t, t, C] -> the same shape."""
        shortcut = x
        assert self.dwconv.bias is not None
        x = depthwise_conv(x, self.dwconv.weight, self.dwconv.bias, sites)
        kernels = feed_forward_kernels(x, sites)
        if kernels is None or not self._is_plain():
            x = self.norm(x)
            x = F.gelu(self.pwconv1(x))
            if self.grn is not None:
                x = self.grn(x, sites)
            x = self.pwconv2(x)
        else:  # the same, computed at once
            x = feed_forward(x, self._weights(), sites, self.norm.eps, kernels)
        if self.gamma is not None:
            x = self.gamma * x
        out: Tensor = shortcut + self.drop_path(x, sites)
        return out

    def _is_plain(self) -> bool:
        """Whether the layers are the usual ones and nobody listens to what passes between them."""
        layers = (self.norm, self.pwconv1, self.pwconv2)
        usual = {LayerNorm, nn.Linear, GRN}
        return all(
            type(layer) in usual and not (layer._forward_hooks or layer._forward_pre_hooks)
            for layer in (*layers, *([self.grn] if self.grn else []))
        )

    def _weights(self) -> Weights:
        grn = self.grn
        assert grn is None or isinstance(grn, GRN)
        return Weights(
            self.norm.weight,
            self.norm.bias,
            self.pwconv1.weight,
            self.pwconv1.bias,
            self.pwconv2.weight,
            self.pwconv2.bias,
            gamma=None if grn is None else grn.gamma.flatten(),
            beta=None if grn is None else grn.beta.flatten(),
        )


GRAPHS = 64


def compile_blocks(model: nn.Module) -> None:
    """Let torch.compile compile each Block when it is first run; names and weights stay.

    The blocks of a stage share what is compiled, for training and for evaluation, and so do
    batches and lists of tiles of any length. Copies of the model (`copy.deepcopy`) run as usual.
    """
    # All blocks run the same code: four stages and a decoder, trained and evaluated, on tiles and
    # dense maps, with one image and with several, are more graphs of it than the usual limit of 8.
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, GRAPHS)
    for module in model.modules():
        if isinstance(module, Block):
            module.compile()
            module.compiled = True


def only_the_first_size_varies(block: Block, x: Tensor) -> None:
    """Say so of x [B, H, W, C] or [M, t, t, C] to PyTorch's compiler, if it compiled the block.

    From stage to stage all sizes differ, and it would take them all for variable: slower, and more
    than the compiler of PyTorch 2.11 is able to.
    """
    if block.compiled:
        torch._dynamo.maybe_mark_dynamic(x, 0)
        torch._dynamo.mark_static(x, [1, 2, 3])


def initialise(module: nn.Module) -> None:
    """Truncated normal of deviation 0.02 for convolutions and linear layers, biases zero.

    For `nn.Module.apply`. Once, on everything: the authors' pre-training code draws most weights a
    second time with deviation 1, which is not what they trained with and is known to give NaN.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
