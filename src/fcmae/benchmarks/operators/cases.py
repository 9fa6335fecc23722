"""Operators with all their implementations, ready to run on the sites of one stage.

Each implementation of an operator gets the same numbers and must give the same ones back.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae import ops
from fcmae.benchmarks.arithmetic import KERNEL, TILE
from fcmae.benchmarks.measuring import TOLERANCES, relative_difference
from fcmae.models.masks import enlarge, random_mask
from fcmae.ops import Weights
from fcmae.ops.depthwise_conv import reference as convolution
from fcmae.ops.depthwise_conv import tiled
from fcmae.ops.feed_forward import reference
from fcmae.ops.kernels import convolution_kernels, feed_forward_kernels
from fcmae.ops.tiles import Tiles
from fcmae.sizes import is_v2, size_of
from fcmae.training.devices import Runtime

PLAIN = "reference"
EPSILON = 1e-6  # LayerNorm's


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to compute an operator: what it is called on, and what takes part."""

    name: str
    forward: Callable[[], Tensor]
    variables: tuple[Tensor, ...]  # that get gradients, in the same order everywhere
    packed: Callable[[Tensor], Tensor]  # its result or an input's gradient, at visible sites


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator at one stage, and what it cannot avoid: of the forward pass, then backward."""

    name: str
    stage: int  # 1 to 4
    implementations: tuple[Implementation, ...]  # the plain one first
    operations: tuple[float, float]  # a multiply-add is two
    bytes: tuple[float, float]  # read and written once

    def require_agreement(self, runtime: Runtime) -> None:
        """Refuse to go on unless all give the same result and the same gradients.

        Raises:
            RuntimeError: if one differs from the plain one by more than rounding.
        """
        expected = self._values(self.implementations[0], runtime)
        for implementation in self.implementations[1:]:
            for right, value in zip(expected, self._values(implementation, runtime), strict=True):
                relative = relative_difference(value, right)
                if not relative <= TOLERANCES[runtime.precision]:  # NaN too
                    raise RuntimeError(
                        f"{self.name}, stage {self.stage}: {implementation.name} differs from "
                        f"{PLAIN} by {relative:.1e}; not timed, as one of them is not right"
                    )

    @staticmethod
    def _values(implementation: Implementation, runtime: Runtime) -> list[Tensor]:
        """The result, then the gradients, of one loss."""
        with runtime.autocast():
            out = implementation.forward()
        visible = implementation.packed(out).float()
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(visible.shape, generator=generator).to(visible.device)
        gradients = torch.autograd.grad((visible * weights).sum(), implementation.variables)
        values = [implementation.packed(gradients[0]), *gradients[1:]]
        return [visible.detach(), *(value.detach().float() for value in values)]


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of one stage, as a dense map and as tiles."""

    masked: Tensor  # bool [B, H, W, 1]
    tiles: Tiles
    dense: Tensor  # [B, H, W, C]

    @staticmethod
    def draw(
        stage: int, channels: int, images: int, grid: int, ratio: float, runtime: Runtime
    ) -> "Sites":
        """Random numbers at the sites of `stage`, 0 to 3, of square images of `grid` cells."""
        generator = torch.Generator().manual_seed(stage)
        cells = random_mask(images, (grid, grid), ratio, generator, runtime.device)
        side = grid * (TILE >> stage)
        dense = torch.randn(images, side, side, channels, generator=generator).to(runtime.device)
        masked = enlarge(cells, TILE >> stage).unsqueeze(-1)
        return Sites(masked, Tiles.visible(cells), dense.masked_fill(masked, 0))

    @property
    def values(self) -> int:
        """Numbers at visible sites."""
        return int((~self.masked).sum()) * self.dense.shape[3]


def depthwise_conv(stage: int, sites: Sites, runtime: Runtime) -> Operator:
    """The 7x7 convolution: on the dense map, on tiles through one, and by kernels."""
    channels, tiles = sites.dense.shape[3], sites.tiles
    random = _Random(stage, runtime)
    weight, bias = random(channels, 1, KERNEL, KERNEL), random(channels)
    dense = sites.dense.clone().requires_grad_()
    found = [
        Implementation(
            PLAIN,
            lambda: convolution.depthwise_conv(dense, weight, bias, sites.masked),
            (dense, weight, bias),
            tiles.pack,
        )
    ]
    ways: dict[str, Callable[[Tensor, Tensor, Tensor, Tiles], Tensor]] = {
        "tiled": tiled.depthwise_conv
    }
    with runtime.autocast():
        if kernels := convolution_kernels(sites.dense, tiles):
            ways[_compiled_by(runtime)] = kernels.depthwise_conv
    for name, way in ways.items():
        packed = tiles.pack(sites.dense).requires_grad_()
        forward = functools.partial(way, packed, weight, bias, tiles)
        found.append(Implementation(name, forward, (packed, weight, bias), _same))
    return _operator("depthwise_conv", stage, found, KERNEL**2, sites, runtime)


def feed_forward(stage: int, sites: Sites, runtime: Runtime, *, v2: bool) -> Operator:
    """LayerNorm, widen, GELU, GRN, narrow: layer by layer, and by kernels at once."""
    channels, tiles = sites.dense.shape[3], sites.tiles
    wide, random = 4 * channels, _Random(stage, runtime)
    weights = Weights(
        norm_weight=random(channels),
        norm_bias=random(channels),
        widen_weight=random(wide, channels, scale=channels**-0.5),
        widen_bias=random(wide),
        narrow_weight=random(channels, wide, scale=wide**-0.5),
        narrow_bias=random(channels),
        gamma=random(wide, scale=0.2) if v2 else None,
        beta=random(wide, scale=0.2) if v2 else None,
    )
    packed = tiles.pack(sites.dense).requires_grad_()
    variables = (packed, *(weight for weight in weights if weight is not None))
    given = (packed, weights, tiles, EPSILON)
    plain = functools.partial(reference.feed_forward, *given)
    found = [Implementation(PLAIN, plain, variables, _same)]
    with runtime.autocast():
        if kernels := feed_forward_kernels(packed, tiles):
            at_once = functools.partial(ops.feed_forward, *given, kernels)
            found.append(Implementation(_compiled_by(runtime), at_once, variables, _same))
    return _operator("feed_forward", stage, found, 8 * channels, sites, runtime)


def operators(
    model: str, image_size: int, batch_size: int, mask_ratio: float, runtime: Runtime
) -> Iterator[Operator]:
    """Every operator at every stage of a model, one after the other."""
    for stage, width in enumerate(size_of(model).widths):
        sites = Sites.draw(stage, width, batch_size, image_size // 32, mask_ratio, runtime)
        yield depthwise_conv(stage, sites, runtime)
        yield feed_forward(stage, sites, runtime, v2=is_v2(model))


def _operator(
    name: str,
    stage: int,
    implementations: Sequence[Implementation],
    multiply_adds: int,
    sites: Sites,
    runtime: Runtime,
) -> Operator:
    """With what it cannot avoid: so many multiply-adds for each number at a visible site."""
    once = 2.0 * multiply_adds * sites.values
    size = (2.0 if runtime.precision == "bf16" else 4.0) * sites.values
    return Operator(name, stage + 1, tuple(implementations), (once, 2 * once), (2 * size, 3 * size))


class _Random:
    """Weights that want gradients, the same for the same stage."""

    def __init__(self, stage: int, runtime: Runtime) -> None:
        self.generator, self.device = torch.Generator().manual_seed(stage), runtime.device

    def __call__(self, *shape: int, scale: float = 1.0) -> Tensor:
        drawn = scale * torch.randn(shape, generator=self.generator)
        return drawn.to(self.device).requires_grad_()


def _compiled_by(runtime: Runtime) -> str:
    """The name of the file that has the kernels."""
    return "cpu" if runtime.device.type == "cpu" else "triton"


def _same(x: Tensor) -> Tensor:
    return x
