"""Each kernel for CUDA against the operators that it replaces, at the shapes of pre-training."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fcmae.benchmarks.timing import seconds_of
from fcmae.devices import Place
from fcmae.masks import random_mask
from fcmae.ops.depthwise_conv import tiled
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.response_norm.reference import sum_of_squares
from fcmae.sizes import size_of
from fcmae.tiles import Tiles, spread

MODELS = ("convnextv2_atto", "convnextv2_tiny", "convnextv2_base", "convnextv2_huge")
MASK_RATIO = 0.6
DTYPE = torch.bfloat16
TOLERANCE = 2e-2  # relative, of norms: both round to 8 bits, in different places
EPSILON = 1e-6

Call = Callable[[], Sequence[Tensor]]


class Contest(NamedTuple):
    """Two ways to compute the same."""

    kernel: str
    ours: Call
    theirs: Call
    traffic: int  # bytes that must at least pass through memory, by what the kernels do


def time_kernels(
    device: torch.device,
    sizes: Sequence[str] = MODELS,
    *,
    batch_size: int = 64,
    image_size: int = 224,
    repeats: int = 9,
    calls: int = 10,
    seconds: float = 90,
) -> list[dict[str, Any]]:
    """Forward and backward passes of every stage, in bfloat16, with 0.6 of the patches masked.

    Ours and theirs take turns. A turn is `calls` calls one after another, so that where starting a
    kernel takes longer than running it, that is what is timed.

    `device` is CUDA, or the processor with Triton's interpreter. No stage starts after `seconds`.
    Rows have model, stage, kernel, seconds of a call, their ratio and gigabytes a second reached.

    Raises:
        RuntimeError: if a kernel and what it replaces do not agree.
    """
    place = Place(device, "bf16")
    began = time.monotonic()
    cells = image_size // 32
    generator = torch.Generator().manual_seed(0)
    mask = random_mask(batch_size, (cells, cells), MASK_RATIO, generator)
    tiles = Tiles.visible(mask.to(device))
    rows: list[dict[str, Any]] = []
    for model in sizes:
        for stage, width in enumerate(size_of(model).widths):
            if time.monotonic() - began > seconds:
                return rows
            name = {"model": model, "stage": stage + 1, "channels": width}
            contests = _convolution(tiles, 8 >> stage, width)
            contests += _normalisation(tiles, 8 >> stage, width)
            contests += _activation(tiles, 8 >> stage, 4 * width)
            for contest in contests:
                _require_agreement(contest, name)
                rows.append({**name, **_timed(contest, place, repeats, calls)})
    return rows


def _convolution(tiles: Tiles, side: int, channels: int) -> list[Contest]:
    from fcmae.ops.depthwise_conv import triton

    x, outer = (_random(tiles, (len(tiles.index), side, side, channels)) for _ in range(2))
    x.requires_grad_()
    weight = (0.1 * _random(tiles, (channels, 1, 7, 7))).requires_grad_()
    bias = _random(tiles, (channels,)).requires_grad_()
    inputs = (x, weight, bias)

    def forward(module: Any) -> list[Tensor]:
        with torch.no_grad():
            return [module.depthwise_conv(*inputs, tiles)]

    def backward(module: Any) -> Call:
        return _gradient([module.depthwise_conv(*inputs, tiles)], inputs, [outer])

    ours, theirs = (functools.partial(forward, module) for module in (triton, tiled))
    return [
        Contest("convolution, forward", ours, theirs, _bytes(x, 2)),
        Contest("convolution, backward", backward(triton), backward(tiled), _bytes(x, 3)),
    ]


def _normalisation(tiles: Tiles, side: int, channels: int) -> list[Contest]:
    from fcmae.ops.feed_forward import triton

    rows = len(tiles.index) * side * side
    x, outer = (_random(tiles, (rows, channels)) for _ in range(2))
    normalised, reciprocal = triton.normalise(x, EPSILON)
    leaf = x.clone().requires_grad_()
    weight, bias = (_random(tiles, (channels,)).float().requires_grad_() for _ in range(2))
    theirs = F.layer_norm(leaf.float(), (channels,), weight, bias, EPSILON).to(DTYPE)
    return [
        Contest(
            "LayerNorm, forward",
            lambda: triton.normalise(x, EPSILON)[:1],
            lambda: [F.layer_norm(x, (channels,), eps=EPSILON)],
            _bytes(x, 2),
        ),
        Contest(
            "LayerNorm, backward",
            lambda: list(triton.normalise_backward(outer, normalised, reciprocal, weight.detach())),
            _gradient([theirs], [leaf, weight, bias], [outer]),
            _bytes(x, 3),
        ),
    ]


def _activation(tiles: Tiles, side: int, width: int) -> list[Contest]:
    """GELU, the sums of its squares and its scaling, as GRN needs them."""
    from fcmae.ops.feed_forward import triton

    h, outer = (_random(tiles, (len(tiles.index), side, side, width)) for _ in range(2))
    # Below one, since the backward pass below is applied to its own result.
    factor, slope = (_random(tiles, (tiles.grid[0], width)).float() / 5 for _ in range(2))
    images = Images.of(h, tiles)
    flat, scratch = h.flatten(0, 2), outer.flatten(0, 2).clone()
    h, leaf = h.clone().requires_grad_(), factor.clone().requires_grad_()

    def ours_forward() -> list[Tensor]:
        return [triton.activate(flat, factor, None, images), triton.squares(flat, images)]

    def ours_backward() -> list[Tensor]:
        _, sums, _ = triton.products(flat, scratch, factor, None, images)
        assert sums is not None
        inner, _ = triton.activation_backward(flat, scratch, factor, slope, images)
        return [inner, sums]

    def theirs_forward() -> list[Tensor]:
        active = F.gelu(h)
        tile = sum_of_squares(active)
        energy = tile.new_zeros(factor.shape).index_add(0, tiles.image, tile)
        return [(active * spread(leaf, tiles)).to(h.dtype), energy]

    theirs_backward = _gradient(theirs_forward(), (h, leaf), (outer, slope / 2))
    return [
        Contest(
            "GELU and GRN, forward", ours_forward, torch.no_grad()(theirs_forward), _bytes(h, 3)
        ),
        Contest("GELU and GRN, backward", ours_backward, theirs_backward, _bytes(h, 6)),
    ]


def _random(tiles: Tiles, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, device=tiles.index.device).to(DTYPE)


def _bytes(x: Tensor, passes: int) -> int:
    return x.numel() * x.element_size() * passes


def _gradient(outs: Sequence[Tensor], inputs: Sequence[Tensor], outer: Sequence[Tensor]) -> Call:
    return functools.partial(torch.autograd.grad, outs, inputs, outer, retain_graph=True)


def _require_agreement(contest: Contest, name: dict[str, Any]) -> None:
    for one, other in zip(contest.ours(), contest.theirs(), strict=True):
        exact = other.flatten().double()
        difference = (one.flatten().double() - exact).norm() / exact.norm()
        if not difference <= TOLERANCE:  # NaN too
            raise RuntimeError(
                f"{contest.kernel} of {name['model']}, stage {name['stage']}: the kernel differs "
                f"from what it replaces by {difference:.1e}, more than {TOLERANCE:.0e}; not timed"
            )


def _timed(contest: Contest, place: Place, repeats: int, calls: int) -> dict[str, Any]:
    turns: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for who, call in (("ours", contest.ours), ("theirs", contest.theirs)):
            turns[who].append(seconds_of(lambda: [call() for _ in range(calls)], place) / calls)  # noqa: B023
    ours, theirs = (statistics.median(turns[who]) for who in ("ours", "theirs"))
    return {
        "kernel": contest.kernel,
        "seconds": ours,
        "eager_seconds": theirs,
        "ratio": theirs / ours,
        "gigabytes_per_second": contest.traffic / ours / 1e9,
    }
