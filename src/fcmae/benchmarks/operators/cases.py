"""Operators with all their implementations, ready to run on the sites of one stage.

Each implementation of an operator gets the same numbers and must give the same ones back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

from fcmae import ops
from fcmae.benchmarks.arithmetic import KERNEL, TILE
from fcmae.models.layers import GRN, LayerNorm
from fcmae.models.masks import enlarge, random_mask
from fcmae.ops import Weights
from fcmae.ops.depthwise_conv import reference, tiled
from fcmae.ops.tiles import Tiles
from fcmae.sizes import is_v2, size_of
from fcmae.training.devices import Place

# Relative difference of results and gradients: rounding, with a margin of ten.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}
PLAIN = "reference"


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

    def require_agreement(self, place: Place) -> None:
        """Refuse to go on unless all give the same result and the same gradients.

        Raises:
            RuntimeError: if one differs from the plain one by more than rounding.
        """
        expected = self._values(self.implementations[0], place)
        for implementation in self.implementations[1:]:
            for right, value in zip(expected, self._values(implementation, place), strict=True):
                relative = ((value - right).norm() / right.norm()).item()
                if not relative <= TOLERANCES[place.precision]:  # NaN too
                    raise RuntimeError(
                        f"{self.name}, stage {self.stage}: {implementation.name} differs from "
                        f"{PLAIN} by {relative:.1e}; not timed, as one of them is not right"
                    )

    @staticmethod
    def _values(implementation: Implementation, place: Place) -> list[Tensor]:
        """The result, then the gradients, of one loss."""
        with place.autocast():
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
        stage: int, channels: int, images: int, grid: int, ratio: float, place: Place
    ) -> "Sites":
        """Random numbers at the sites of `stage`, 0 to 3, of square images of `grid` cells."""
        generator = torch.Generator().manual_seed(stage)
        cells = random_mask(images, (grid, grid), ratio, generator, place.device)
        side = grid * (TILE >> stage)
        dense = torch.randn(images, side, side, channels, generator=generator).to(place.device)
        masked = enlarge(cells, TILE >> stage).unsqueeze(-1)
        return Sites(masked, Tiles.visible(cells), dense.masked_fill(masked, 0))

    @property
    def values(self) -> int:
        """Numbers at visible sites."""
        return int((~self.masked).sum()) * self.dense.shape[3]


def depthwise_conv(stage: int, sites: Sites, place: Place) -> Operator:
    """The 7x7 convolution: on the dense map, on tiles through one, and compiled."""
    channels = sites.dense.shape[3]
    generator = torch.Generator().manual_seed(stage)
    weight = torch.randn(channels, 1, KERNEL, KERNEL, generator=generator).to(place.device)
    bias = torch.randn(channels, generator=generator).to(place.device)
    weight, bias = weight.requires_grad_(), bias.requires_grad_()
    dense = sites.dense.clone().requires_grad_()
    tiles = sites.tiles
    found = [
        Implementation(
            PLAIN,
            lambda: reference.depthwise_conv(dense, weight, bias, sites.masked),
            (dense, weight, bias),
            tiles.pack,
        )
    ]
    modules = {"tiled": tiled} | _compiled("depthwise_conv", sites, place)
    for name, module in modules.items():
        packed = tiles.pack(sites.dense).requires_grad_()

        def forward(
            packed: Tensor = packed, run: Callable[..., Tensor] = module.depthwise_conv
        ) -> Tensor:
            return run(packed, weight, bias, tiles)

        found.append(Implementation(name, forward, (packed, weight, bias), _same))
    once = 2.0 * KERNEL**2 * sites.values
    size = _bytes(place) * sites.values
    return Operator(
        "depthwise_conv", stage + 1, tuple(found), (once, 2 * once), (2.0 * size, 3.0 * size)
    )


def feed_forward(stage: int, sites: Sites, place: Place, *, v2: bool) -> Operator:
    """LayerNorm, widen, GELU, GRN, narrow: layer by layer, and compiled at once."""
    channels = sites.dense.shape[3]
    norm, widen = LayerNorm(channels), nn.Linear(channels, 4 * channels)
    narrow = nn.Linear(4 * channels, channels)
    layers = nn.ModuleList([norm, widen, narrow])
    grn = GRN(4 * channels) if v2 else None
    if grn is not None:
        nn.init.normal_(grn.gamma, std=0.2, generator=torch.Generator().manual_seed(stage))
        layers.append(grn)
    layers.to(place.device)
    packed = sites.tiles.pack(sites.dense).requires_grad_()
    variables = (packed, *layers.parameters())

    def plain() -> Tensor:
        x = nn.functional.gelu(widen(norm(packed)))
        if grn is not None:
            x = grn(x, sites.tiles)
        out: Tensor = narrow(x)
        return out

    found = [Implementation(PLAIN, plain, variables, _same)]
    for name, module in _compiled("feed_forward", sites, place).items():

        def at_once(module: ModuleType = module) -> Tensor:
            weights = Weights(
                norm.weight,
                norm.bias,
                widen.weight,
                widen.bias,
                narrow.weight,
                narrow.bias,
                gamma=None if grn is None else grn.gamma.flatten(),
                beta=None if grn is None else grn.beta.flatten(),
            )
            return ops.feed_forward(packed, weights, sites.tiles, norm.eps, module)

        found.append(Implementation(name, at_once, variables, _same))
    once = 2.0 * 8 * channels * sites.values
    size = _bytes(place) * sites.values
    return Operator(
        "feed_forward", stage + 1, tuple(found), (once, 2 * once), (2.0 * size, 3.0 * size)
    )


def operators(
    model: str, image_size: int, batch_size: int, mask_ratio: float, place: Place
) -> Iterator[Operator]:
    """Every operator at every stage of a model, one after the other."""
    for stage, width in enumerate(size_of(model).widths):
        sites = Sites.draw(stage, width, batch_size, image_size // 32, mask_ratio, place)
        yield depthwise_conv(stage, sites, place)
        yield feed_forward(stage, sites, place, v2=is_v2(model))


def _compiled(operator: str, sites: Sites, place: Place) -> dict[str, ModuleType]:
    """What is compiled for this device and precision, by the name of its file."""
    with place.autocast():
        module = ops.compiled_for(operator, sites.dense, sites.tiles)
    return {} if module is None else {module.__name__.rpartition(".")[2]: module}


def _bytes(place: Place) -> int:
    return 2 if place.precision == "bf16" else 4


def _same(x: Tensor) -> Tensor:
    return x
