"""What must hold of every encoder, checked on random images: the promises of the README."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae import ops
from fcmae.doctor.installation import small_step
from fcmae.encoder import Encoder
from fcmae.layers import GRN
from fcmae.masks import enlarge, random_mask
from fcmae.ops.depthwise_conv import reference as conv_reference
from fcmae.ops.response_norm import reference as norm_reference
from fcmae.sizes import is_v2
from fcmae.tiles import Tiles

# Largest relative difference that rounding may make.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}


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
        return f"{self.images.device.type} {str(self.images.dtype).removeprefix('torch.')}"


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
    share = (gamma != 0).double().mean().item()
    why = "more than none; all zero means untrained, or a checkpoint wrongly renamed"
    return Check(name, share > 0, f"{share:.0%} of gamma is not zero", why)


def depthwise_conv_agrees(side: int) -> Check:
    """The operator on tiles equals its definition on the masked map, forward and gradients."""
    x, masked, tiles, generator = _map_of_tiles(side)
    channels = x.shape[3]
    weight = torch.randn(channels, 1, 7, 7, generator=generator, dtype=x.dtype, requires_grad=True)
    bias = torch.randn(channels, generator=generator, dtype=x.dtype, requires_grad=True)
    expected = tiles.pack(conv_reference.depthwise_conv(x, weight, bias, masked))
    actual = ops.depthwise_conv(tiles.pack(x), weight, bias, tiles)
    difference = _difference_with_gradients(actual, expected, [x, weight, bias])
    return _within(f"depthwise convolution, tiles of {side}", difference, x.dtype)


def response_norm_agrees(side: int) -> Check:
    """As `depthwise_conv_agrees`, for GRN's statistic."""
    x, masked, tiles, _ = _map_of_tiles(side)
    expected = norm_reference.response_norm(x, masked)
    actual = ops.response_norm(tiles.pack(x), tiles)
    difference = _difference_with_gradients(actual, expected, [x])
    return _within(f"response norm, tiles of {side}", difference, x.dtype)


def modes_agree(sample: Sample) -> Check:
    """Features and all parameters' gradients of tiled are those of masked, the definition."""
    parameters = list(sample.encoder.parameters())
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
    changed = torch.where(hidden, sample.other, sample.images)
    number = sum(
        _changed_bits(sample.encoder, sample.images, changed, sample.mask, mode, slice(None))
        for mode in ("tiled", "masked")
    )
    return Check(
        f"nothing leaks, {sample.words}", number == 0, f"{number} features changed", "none, bitwise"
    )


@torch.no_grad()
def images_do_not_mix(sample: Sample) -> Check:
    """Another first image changes no bit of the second one's features, in either mode."""
    changed = torch.stack([sample.other[0], sample.images[1]])
    number = sum(
        _changed_bits(sample.encoder, sample.images, changed, sample.mask, mode, slice(1, None))
        for mode in ("tiled", "masked")
    )
    return Check(
        f"images do not mix, {sample.words}",
        number == 0,
        f"{number} features changed",
        "none, bitwise",
    )


@torch.no_grad()
def tiled_is_dense(sample: Sample) -> Check:
    """With nothing masked, tiled features are those of the dense encoder that fine-tuning starts from."""
    tiled = sample.encoder(sample.images, None, "tiled")
    dense = sample.encoder.features(sample.images)[-1]
    difference = _difference(tiled, dense)
    return _within(f"no mask: tiled is dense, {sample.words}", difference, sample.images.dtype)


def _map_of_tiles(side: int) -> tuple[Tensor, Tensor, Tiles, torch.Generator]:
    """A map [2, h, w, 5] of cells of `side` sites, its mask and its tiles; float64."""
    generator = torch.Generator().manual_seed(side)
    cells = random_mask(2, (4, 5), 0.5, generator)
    masked = enlarge(cells, side).unsqueeze(-1)
    x = torch.randn(
        *masked.shape[:3], 5, generator=generator, dtype=torch.float64, requires_grad=True
    )
    return x, masked, Tiles.visible(cells), generator


def _difference_with_gradients(actual: Tensor, expected: Tensor, sources: list[Tensor]) -> float:
    """Worst relative difference of two results and of their gradients by each source."""
    generator = torch.Generator().manual_seed(0)
    outer = torch.randn(expected.shape, generator=generator).to(expected)
    results = [_difference(actual, expected)]
    gradients = (torch.autograd.grad(result, sources, outer) for result in (actual, expected))
    results += [_difference(*pair) for pair in zip(*gradients, strict=True)]
    return max(results, key=lambda value: (value != value, value))  # NaN is the worst


def _difference(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()


def _changed_bits(
    encoder: Encoder, images: Tensor, changed: Tensor, mask: Tensor, mode: str, which: slice
) -> int:
    """How many features of the images `which` are not the same to the bit."""
    before, after = (encoder(pixels, mask, mode)[which] for pixels in (images, changed))
    return int((before != after).sum())  # NaN differs from itself


def _within(name: str, difference: float, dtype: torch.dtype) -> Check:
    tolerance = TOLERANCES[dtype]
    return Check(
        name, difference <= tolerance, f"{difference:.1e}", f"relative, at most {tolerance:.0e}"
    )
