"""Each kernel for CUDA against the operators that it replaces, at the shapes of pre-training."""

import functools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fcmae.benchmarks.arithmetic import KERNEL, TILE
from fcmae.benchmarks.measuring import take_turns
from fcmae.errors import described
from fcmae.models.masks import random_mask
from fcmae.ops.depthwise_conv import tiled
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.response_norm.reference import sum_of_squares
from fcmae.ops.tiles import Tiles, spread
from fcmae.sizes import size_of
from fcmae.training.devices import Runtime

MASK_RATIO = 0.6
DTYPE = torch.bfloat16
TOLERANCE = 2e-2  # relative: both round to 8 bits, in different places, some more than once
EPSILON = 1e-6
REASON = 400  # characters of an error that a row keeps

Call = Callable[[], Sequence[Tensor]]


class Contest(NamedTuple):
    """Two ways to compute the same."""

    ours: Call
    theirs: Call
    traffic: int  # bytes that must at least pass through memory, by what the kernels do
    # The kernels by themselves, in a `Layout` of their module or, given None, in that of default.
    alone: Callable[[Any], Sequence[Tensor]] | None = None
    # To be called before results are compared again, where kernels write over what they read.
    renew: Callable[[], object] = lambda: None


class Shape(NamedTuple):
    """Of the sites of one stage."""

    tiles: Tiles
    side: int  # of a tile, in sites
    channels: int

    @staticmethod
    def of(
        device: torch.device, model: str, stage: int, batch_size: int, image_size: int
    ) -> "Shape":
        """Of square images of so many pixels, at a stage of 1 to 4."""
        cells = image_size // 32
        generator = torch.Generator().manual_seed(0)
        mask = random_mask(batch_size, (cells, cells), MASK_RATIO, generator)
        tiles = Tiles.visible(mask.to(device))
        return Shape(tiles, TILE >> (stage - 1), size_of(model).widths[stage - 1])

    @property
    def device(self) -> torch.device:
        """Where the tiles are."""
        return self.tiles.index.device

    def sites(self, channels: int) -> Tensor:
        """Random numbers at all sites: [M, t, t, channels]."""
        return self.random(len(self.tiles.index), self.side, self.side, channels)

    def random(self, *shape: int) -> Tensor:
        """Random numbers in half precision."""
        return torch.randn(shape, device=self.device).to(DTYPE)


def time_kernels(
    device: torch.device,
    model: str,
    stage: int,
    *,
    batch_size: int = 64,
    image_size: int = 224,
    kernels: Sequence[str] = (),
    repeats: int = 9,
    calls: int = 10,
) -> Iterator[dict[str, Any]]:
    """A row for each kernel at one stage, in bfloat16, with 0.6 of the patches masked.

    Ours and theirs take turns. A turn is `calls` calls one after another, so that where starting a
    kernel takes longer than running it, that is what is timed.

    Args:
        device: CUDA, or the processor with Triton's interpreter.
        model: a name of `fcmae.list_models()`, which decides the channels.
        stage: 1 to 4.
        batch_size: images.
        image_size: pixels a side, a multiple of 32.
        kernels: names of `CONTESTS`. None given: all.
        repeats: turns, whose median is taken.
        calls: of a turn.

    Yields:
        Rows, each as soon as it is measured: model, stage, channels, side, kernel, the difference
        of the results, seconds of a call, their ratio and the gigabytes a second reached. A kernel
        that fails, or differs from what it replaces, is not timed: its row has `error`.

    Raises:
        ImportError: if there is no Triton.
    """
    runtime = Runtime(device, "bf16")
    shape = Shape.of(device, model, stage, batch_size, image_size)
    name = {"model": model, "stage": stage, "channels": shape.channels, "side": shape.side}
    for kernel in kernels or CONTESTS:
        measure = functools.partial(_measured, CONTESTS[kernel], shape, runtime, repeats, calls)
        yield {**name, "kernel": kernel, **attempt(measure)}


def attempt(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, or why it could not be: Triton's errors are of many kinds.

    Raises:
        ImportError: if there is no Triton, which is no fault of a kernel.
    """
    try:
        return measure()
    except ImportError:
        raise
    except Exception as error:
        return {"error": " ".join(described(error, REASON).split())}


def compared(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> dict[str, Any]:
    """The largest relative `difference`; with an `error` if it is too large.

    Of norms, and of the largest values: one says what all are like, the other sees a few wrong ones
    among millions. It is None if it is not finite, for which JSON has no number.
    """
    differences: list[float] = []
    for one, other in zip(actual, expected, strict=True):
        exact = other.flatten().double()
        difference = one.flatten().double() - exact
        for size in (torch.linalg.vector_norm, lambda values: values.abs().max()):
            differences.append((size(difference) / size(exact)).item())
    if not all(map(math.isfinite, differences)):
        return {"difference": None, "error": "the results differ by what is not a finite number"}
    worst = max(differences)
    row: dict[str, Any] = {"difference": worst}
    if worst > TOLERANCE:
        row["error"] = f"the results differ by {worst:.1e}, more than {TOLERANCE:.0e}; not timed"
    return row


def _measured(
    build: Callable[[Shape], Contest], shape: Shape, runtime: Runtime, repeats: int, calls: int
) -> dict[str, Any]:
    contest = build(shape)
    row = compared(contest.ours(), contest.theirs())
    if "error" in row:
        return row
    ways = {
        "ours": lambda number: [contest.ours() for _ in range(number)],
        "theirs": lambda number: [contest.theirs() for _ in range(number)],
    }
    turns = take_turns(ways, runtime, repeats, lambda: calls, warm_up=0)
    ours, theirs = (statistics.median(turns[who]) / calls for who in ways)
    return row | {
        "seconds": ours,
        "eager_seconds": theirs,
        "ratio": theirs / ours,
        "gigabytes_per_second": contest.traffic / ours / 1e9,
    }


def _convolution(shape: Shape) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """What enters the convolution, and a gradient of what leaves it."""
    channels = shape.channels
    x, outer = (shape.sites(channels) for _ in range(2))
    weight = 0.1 * shape.random(channels, 1, KERNEL, KERNEL)
    inputs = x, weight, shape.random(channels)
    for value in inputs:
        value.requires_grad_()
    return inputs, outer


def _convolution_forward(shape: Shape) -> Contest:
    from fcmae.ops.depthwise_conv import triton

    inputs, _ = _convolution(shape)
    x, weight, bias = (value.detach() for value in inputs)
    taps = triton.taps_of(weight)

    def alone(layout: Any) -> list[Tensor]:
        layout = layout or triton.layouts_of(shape.side, shape.channels).sites
        plan = triton.plan_of(x, shape.tiles, KERNEL, layout)
        return [triton.convolve(x, taps, bias, plan)]

    return Contest(
        torch.no_grad()(lambda: [triton.depthwise_conv(*inputs, shape.tiles)]),
        torch.no_grad()(lambda: [tiled.depthwise_conv(*inputs, shape.tiles)]),
        _bytes(x, 2),
        alone,
    )


def _convolution_backward(shape: Shape) -> Contest:
    from fcmae.ops.depthwise_conv import triton

    inputs, outer = _convolution(shape)
    return Contest(
        _gradient(lambda: [triton.depthwise_conv(*inputs, shape.tiles)], inputs, [outer]),
        _gradient(lambda: [tiled.depthwise_conv(*inputs, shape.tiles)], inputs, [outer]),
        _bytes(outer, 3),
    )


def _weight_gradient(shape: Shape) -> Contest:
    """With the gradient of the bias, which comes along."""
    from fcmae.ops.depthwise_conv import triton

    (x, weight, bias), outer = _convolution(shape)
    x = x.detach()

    def alone(layout: Any) -> list[Tensor]:
        layout = layout or triton.layouts_of(shape.side, shape.channels).taps
        sums = triton.correlate(x, outer, KERNEL, triton.plan_of(x, shape.tiles, KERNEL, layout))
        return [sums[:-1].t(), sums[-1]]

    theirs = _gradient(
        lambda: [tiled.depthwise_conv(x, weight, bias, shape.tiles)], (weight, bias), [outer]
    )
    return Contest(lambda: alone(None), theirs, _bytes(x, 2), alone)


def _normalisation_forward(shape: Shape) -> Contest:
    from fcmae.ops.feed_forward import triton

    x = shape.sites(shape.channels).flatten(0, 2)

    def alone(layout: Any) -> Sequence[Tensor]:
        return triton.normalise(x, EPSILON, layout or triton.NORMALISE)[:1]

    return Contest(
        lambda: alone(None),
        lambda: [F.layer_norm(x, (shape.channels,), eps=EPSILON)],
        _bytes(x, 2),
        alone,
    )


def _normalisation_backward(shape: Shape) -> Contest:
    from fcmae.ops.feed_forward import triton

    x, outer = (shape.sites(shape.channels).flatten(0, 2) for _ in range(2))
    weight, bias = (shape.random(shape.channels).float().requires_grad_() for _ in range(2))
    variance, mean = torch.var_mean(x.float(), dim=1, correction=0, keepdim=True)
    reciprocal = (variance + EPSILON).rsqrt()
    normalised, reciprocal = ((x - mean) * reciprocal).to(DTYPE), reciprocal.squeeze(1)
    x.requires_grad_()

    def alone(layout: Any) -> Sequence[Tensor]:
        given = outer, normalised, reciprocal, weight.detach()
        return triton.normalise_backward(*given, layout or triton.NORMALISE_BACKWARD)

    def forward() -> list[Tensor]:
        normed = F.layer_norm(x.float(), (shape.channels,), weight, bias, EPSILON)
        return [normed.to(DTYPE)]

    theirs = _gradient(forward, (x, weight, bias), [outer])
    return Contest(lambda: alone(None), theirs, _bytes(x, 3), alone)


class _Wide(NamedTuple):
    """Random wide activations, and what belongs to GRN."""

    h: Tensor  # [M, t, t, D]
    outer: Tensor
    factor: Tensor  # [B, D] float32
    slope: Tensor
    images: Images

    @staticmethod
    def of(shape: Shape) -> "_Wide":
        width = 4 * shape.channels
        h, outer = (shape.sites(width) for _ in range(2))
        # Below one, since the backward pass is applied to its own result.
        factor, slope = (shape.random(shape.tiles.grid[0], width).float() / 5 for _ in range(2))
        return _Wide(h, outer, factor, slope, Images.of(h, shape.tiles))


def _eager_activation(h: Tensor, factor: Tensor, tiles: Tiles) -> list[Tensor]:
    """GELU, scaled, and the sums of its squares, as GRN needs them."""
    active = F.gelu(h)
    tile = sum_of_squares(active)
    energy = tile.new_zeros(factor.shape).index_add(0, tiles.image, tile)
    return [(active * spread(factor, tiles)).to(h.dtype), energy]


def _activation_forward(shape: Shape) -> Contest:
    from fcmae.ops.feed_forward import triton

    h, _, factor, _, images = _Wide.of(shape)
    flat = h.flatten(0, 2)

    def alone(layout: Any) -> list[Tensor]:
        layout = layout or triton.WIDE
        active = triton.activate(flat, factor, None, images, layout)
        return [active, triton.squares(flat, images, layout)]

    return Contest(
        lambda: alone(None),
        lambda: _eager_activation(h, factor, shape.tiles),
        _bytes(h, 3),
        alone,
    )


def _activation_backward(shape: Shape) -> Contest:
    from fcmae.ops.feed_forward import triton

    h, outer, factor, slope, images = _Wide.of(shape)
    flat, scratch = h.flatten(0, 2), outer.flatten(0, 2).clone()

    def alone(layout: Any) -> list[Tensor]:
        layout = layout or triton.WIDE
        _, sums, _ = triton.products(flat, scratch, factor, None, images, layout)
        assert sums is not None
        inner, _ = triton.activation_backward(flat, scratch, factor, slope, images, layout)
        return [inner, sums]

    leaves = h.clone().requires_grad_(), factor.clone().requires_grad_()
    theirs = _gradient(lambda: _eager_activation(*leaves, shape.tiles), leaves, (outer, slope / 2))
    renew = functools.partial(scratch.copy_, outer.flatten(0, 2))
    return Contest(lambda: alone(None), theirs, _bytes(h, 6), alone, renew)


CONTESTS: dict[str, Callable[[Shape], Contest]] = {
    "convolution, forward": _convolution_forward,
    "convolution, backward": _convolution_backward,
    "convolution, weight gradient": _weight_gradient,
    "LayerNorm, forward": _normalisation_forward,
    "LayerNorm, backward": _normalisation_backward,
    "GELU and GRN, forward": _activation_forward,
    "GELU and GRN, backward": _activation_backward,
}


def _bytes(x: Tensor, passes: int) -> int:
    return x.numel() * x.element_size() * passes


def _gradient(forward: Call, inputs: Sequence[Tensor], outer: Sequence[Tensor]) -> Call:
    """The gradients alone: the forward pass is computed once, when they are first asked for."""
    once = functools.cache(forward)
    return lambda: torch.autograd.grad(once(), inputs, outer, retain_graph=True)
