"""What must hold of every encoder, checked on random images: the promises of the README."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fcmae import ops
from fcmae.doctor.installation import small_step
from fcmae.models.encoder import Encoder
from fcmae.models.layers import GRN
from fcmae.models.masks import enlarge, random_mask
from fcmae.ops.depthwise_conv import reference as conv_reference
from fcmae.ops.response_norm import reference as norm_reference
from fcmae.ops.tiles import Tiles
from fcmae.sizes import is_v2

# Largest relative difference that rounding may make.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2e-2}
TILE_SIDES = (8, 4, 2, 1)  # sites, at the four stages


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list."""

    name: str
    passed: bool
    figure: str  # what was measured
    tolerance: str  # what it may be at most, or why it must be so


@dataclass(frozen=True, slots=True)
class Sample:
    """An encoder on one device in one precision, with images and a mask to try it on."""

    encoder: Encoder
    images: Tensor  # [2, in_channels, H, W]
    mask: Tensor  # bool [2, h, w], True where masked; the images differ in how many are visible
    other: Tensor  # [2, in_channels, H, W], different pixels

    @staticmethod
    def draw(
        encoder: Encoder, image_size: int, device: torch.device, dtype: torch.dtype, seed: int
    ) -> "Sample":
        """Random images of `image_size` pixels a side, and a copy of the encoder to see them."""
        generator = torch.Generator().manual_seed(seed)
        cells = image_size // encoder.stride
        mask = random_mask(2, (cells, cells), 0.6, generator)
        first_masked = mask[0].flatten().nonzero()[0]
        mask[0].view(-1)[first_masked] = False
        pixels = torch.randn(2, 2, encoder.in_channels, image_size, image_size, generator=generator)
        images, other = pixels.to(device, dtype)
        return Sample(copy.deepcopy(encoder).to(device, dtype), images, mask.to(device), other)

    @property
    def words(self) -> str:
        """Device and precision."""
        return f"{self.images.device.type} {_short(self.images.dtype)}"


def precision_runs(precision: str, device: torch.device) -> Check:
    """One pre-training step of a small model runs, and its loss is a number."""
    small_step(precision, device)
    return Check(f"precision {precision} on {device.type}", True, "a step ran", "must run")


def weights_are_finite(encoder: Encoder) -> Check:
    """No weight is NaN or infinite."""
    broken = [name for name, value in encoder.state_dict().items() if not value.isfinite().all()]
    figure = (
        "none is NaN or infinite" if not broken else f"NaN or infinite: {', '.join(broken[:3])}"
    )
    return Check("weights are finite", not broken, figure, f"{len(encoder.state_dict())} tensors")


def response_norm_is_alive(encoder: Encoder) -> Check:
    """Trained GRN weights are not all zero, as a wrongly renamed checkpoint leaves them."""
    name = "GRN is alive"
    if not is_v2(encoder.model):
        return Check(name, True, "V1 has none", "nothing to check")
    gamma = torch.cat(
        [module.gamma.flatten() for module in encoder.modules() if isinstance(module, GRN)]
    )
    share = (gamma != 0).float().mean().item()
    why = "more than none; all zero means untrained, or a checkpoint wrongly renamed"
    return Check(name, share > 0, f"{share:.0%} of gamma is not zero", why)


def depthwise_conv_agrees(device: torch.device, dtype: torch.dtype) -> Check:
    """The operator on tiles equals its definition on the masked map, forward and gradients."""
    differences = {}
    for side in TILE_SIDES:
        x, masked, tiles = _map_of_tiles(side, device, dtype)
        weight, bias = _normal(5, 1, 7, 7).to(x), _normal(5).to(x)
        sources = [x, weight.requires_grad_(), bias.requires_grad_()]
        expected = tiles.pack(conv_reference.depthwise_conv(x, weight, bias, masked))
        actual = ops.depthwise_conv(tiles.pack(x), weight, bias, tiles)
        differences[side] = _difference_with_gradients(actual, expected, sources)
    return _each_within("depthwise convolution", differences, device, dtype)


def response_norm_agrees(device: torch.device, dtype: torch.dtype) -> Check:
    """As `depthwise_conv_agrees`, for GRN's statistic."""
    differences = {}
    for side in TILE_SIDES:
        x, masked, tiles = _map_of_tiles(side, device, dtype)
        expected = norm_reference.response_norm(x, masked)
        actual = ops.response_norm(tiles.pack(x), tiles)
        differences[side] = _difference_with_gradients(actual, expected, [x])
    return _each_within("response norm", differences, device, dtype)


def modes_agree(sample: Sample) -> Check:
    """Features and all parameters' gradients of tiled are those of masked, the definition."""
    parameters: list[Tensor] = list(sample.encoder.parameters())
    tiled, masked = (
        sample.encoder(sample.images, sample.mask, mode) for mode in ("tiled", "masked")
    )
    difference = _difference_with_gradients(tiled, masked, parameters)
    return _within(f"modes agree, {sample.words}", difference, sample.images.dtype)


@torch.no_grad()
def nothing_leaks(sample: Sample) -> Check:
    """Other pixels under the mask change no bit of any feature, in either mode."""
    side = sample.images.shape[2] // sample.mask.shape[1]
    hidden = enlarge(sample.mask, side).unsqueeze(1)  # [2, 1, H, W]
    changed = _changed_bits(sample, torch.where(hidden, sample.other, sample.images))
    return _none_of(f"nothing leaks, {sample.words}", changed)


@torch.no_grad()
def images_do_not_mix(sample: Sample) -> Check:
    """Another first image changes no bit of the second one's features, in either mode."""
    changed = _changed_bits(sample, torch.stack([sample.other[0], sample.images[1]]))
    return _none_of(f"images do not mix, {sample.words}", changed[:, 1])


@torch.no_grad()
def tiled_is_dense(sample: Sample) -> Check:
    """With nothing masked, tiled features are the dense ones, from which fine-tuning starts."""
    tiled = sample.encoder(sample.images, None, "tiled")
    difference = _difference(tiled, sample.encoder.features(sample.images)[-1])
    return _within(f"no mask: tiled is dense, {sample.words}", difference, sample.images.dtype)


def _map_of_tiles(
    side: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tiles]:
    """A map [2, 4 * side, 5 * side, 5] that wants a gradient, its mask at each site, its tiles."""
    cells = random_mask(2, (4, 5), 0.5, torch.Generator().manual_seed(side), device)
    masked = enlarge(cells, side).unsqueeze(-1)
    x = _normal(2, 4 * side, 5 * side, 5).to(device, dtype).requires_grad_()
    return x, masked, Tiles.visible(cells)


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _difference_with_gradients(actual: Tensor, expected: Tensor, sources: list[Tensor]) -> float:
    """Worst relative difference of two results and of their gradients by each source."""
    outer = _normal(*expected.shape).to(expected)
    gradients = (torch.autograd.grad(result, sources, outer) for result in (actual, expected))
    differences = [_difference(*pair) for pair in zip(*gradients, strict=True)]
    return _worst([_difference(actual, expected), *differences])


def _difference(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.cpu().double(), expected.cpu().double()
    return float((actual - expected).norm() / expected.norm())


def _worst(differences: Iterable[float]) -> float:
    """The largest; NaN if one is NaN, which `max` may overlook."""
    return torch.tensor(list(differences), dtype=torch.float64).max().item()


def _changed_bits(sample: Sample, pixels: Tensor) -> Tensor:
    """Which features are not the same to the bit: bool [tiled and masked, 2, C_4, h, w]."""
    pairs = (
        (sample.encoder(images, sample.mask, mode) for images in (sample.images, pixels))
        for mode in ("tiled", "masked")
    )
    return torch.stack([before != after for before, after in pairs])  # NaN differs from itself


def _none_of(name: str, changed: Tensor) -> Check:
    number = int(changed.sum())
    return Check(name, number == 0, f"{number} features changed", "none may, by a single bit")


def _within(name: str, difference: float, dtype: torch.dtype) -> Check:
    tolerance = TOLERANCES[dtype]
    words = f"relative, at most {tolerance:.0e}"
    return Check(name, difference <= tolerance, f"{difference:.1e}", words)


def _each_within(
    name: str, differences: dict[int, float], device: torch.device, dtype: torch.dtype
) -> Check:
    """One figure for each side of tiles; all count."""
    check = _within(f"{name}, {device.type} {_short(dtype)}", _worst(differences.values()), dtype)
    figures = ", ".join(f"{value:.0e}" for value in differences.values())
    sides = ", ".join(map(str, differences))
    return replace(
        check, figure=figures, tolerance=f"{check.tolerance}, for tiles of {sides} sites"
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
