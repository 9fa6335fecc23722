"""The passes over memory between the matrix products, compiled for the processor by numba.

Each works through the rows of one image in parts, whose number depends on that of the images alone,
so that the bits of a sum do not depend on the number of threads.
"""

import functools
import math
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from torch import Tensor

from fcmae.ops.feed_forward.images import Images
from fcmae.ops.numba_kernels import FAST, array, threaded, use_torch_threads

PARTS = 16  # at least, over all images together


def normalise(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Rows less their mean over their deviation: x [R, C] -> [R, C], one over deviation [R]."""
    out, reciprocal = torch.empty_like(x), x.new_empty(len(x))
    use_torch_threads()
    _normalise(array(x), x.numpy().dtype.type(epsilon), array(out), array(reciprocal))
    return out, reciprocal


def normalise_backward(
    gradient: Tensor, normalised: Tensor, reciprocal: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients for what was normalised [R, C], and for weight and bias [C]."""
    out, sums = torch.empty_like(gradient), gradient.new_empty(2, PARTS, gradient.shape[1])
    use_torch_threads()
    _normalise_backward(
        array(gradient), array(normalised), array(reciprocal), array(weight), array(out),
        array(sums),
    )  # fmt: skip
    grad_weight, grad_bias = sums.sum(1)
    return out, grad_weight, grad_bias


def squares(h: Tensor, images: Images) -> Tensor:
    """The sum over each image's rows of gelu(h)²: h [R, D] -> [B, D]."""
    parts = _parts(images)
    sums = h.new_empty(len(parts), h.shape[1])
    use_torch_threads()
    _squares(array(h), parts, array(sums))
    return _by_image(sums, images)


def activate(h: Tensor, factor: Tensor | None, shift: Tensor | None, images: Images) -> Tensor:
    """gelu(h) times the factor [B, D] of each row's image, plus shift [D]: [R, D]."""
    out = torch.empty_like(h)
    use_torch_threads()
    _activate(array(h), *_affine(factor, shift, h, images), _parts(images), array(out))
    return out


def products(
    h: Tensor, gradient: Tensor, factor: Tensor | None, shift: Tensor | None, images: Images
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """`activate` again, each image's sum of gradient times gelu(h) [B, D], and gradient's [D]."""
    if factor is None:
        return activate(h, None, None, images), None, None
    parts = _parts(images)
    out, sums = torch.empty_like(h), h.new_empty(2, len(parts), h.shape[1])
    use_torch_threads()
    affine = _affine(factor, shift, h, images)
    _products(array(h), array(gradient), *affine, parts, array(out), array(sums))
    return out, _by_image(sums[0], images), sums[1].sum(0)


def activation_backward(
    h: Tensor, gradient: Tensor, factor: Tensor | None, slope: Tensor | None, images: Images
) -> tuple[Tensor, Tensor]:
    """(gradient · factor + gelu(h) · slope) · gelu'(h) [R, D], and its sum over rows [D].

    The result is written over `gradient`.
    """
    parts = _parts(images)
    sums = h.new_empty(len(parts), h.shape[1])
    ones, _ = _affine(factor, None, h, images)
    slopes = np.zeros_like(ones) if slope is None else array(slope)
    use_torch_threads()
    _activation_backward(array(h), array(gradient), ones, slopes, parts, array(sums))
    return gradient, sums.sum(0)


@functools.lru_cache(maxsize=8)
def _parts(images: Images) -> np.ndarray:
    """Rows from, rows to and image of each part [P, 3]; the parts of an image lie together."""
    starts = images.starts.numpy()
    each = -(-PARTS // max(len(starts) - 1, 1))
    steps = np.arange(each + 1)
    edges = starts[:-1, None] + np.diff(starts)[:, None] * steps // each  # [B, each + 1]
    image = np.broadcast_to(np.arange(len(edges))[:, None], (len(edges), each))
    return np.stack([edges[:, :-1], edges[:, 1:], image], axis=2).reshape(-1, 3)


def _by_image(sums: Tensor, images: Images) -> Tensor:
    number = len(images.starts) - 1
    return sums.view(number, len(sums) // max(number, 1), sums.shape[1]).sum(1)


def _affine(
    factor: Tensor | None, shift: Tensor | None, h: Tensor, images: Images
) -> tuple[np.ndarray, np.ndarray]:
    channels = h.shape[1]
    ones = h.new_ones(len(images.starts) - 1, channels) if factor is None else factor
    return array(ones), array(h.new_zeros(channels) if shift is None else shift)


@intrinsic
def _two_to_the(_context, whole):  # type: ignore[no-untyped-def]
    """2^whole of a whole float32 from -126 to 127, by writing its exponent's bits."""

    def write(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        bits = ir.IntType(32)
        exponent = builder.add(builder.fptosi(arguments[0], bits), bits(127))
        return builder.bitcast(builder.shl(exponent, bits(23)), ir.FloatType())

    return types.float32(whole), write


# The library's erf and exp are calls, one number at a time; these are arithmetic alone, so that
# loops over them become vector instructions. Coefficients: least maximal relative error, 2e-8 for
# erfc(z) exp(z²) on z >= 0 in powers of t = 1 / (1 + 0.37 z), 3e-9 for 2^f on |f| <= 1/2.
f4 = np.float32
ERFC = tuple(map(f4, (
    0.0, 0.2088137561965355, 0.20742963813638632, 0.20625542474809205, 0.10651498740465115,
    0.3108143310258541, -0.2853294418280021, 0.48685696127851336, -0.3032802303646347,
    0.06192455652955609,
)))  # fmt: skip
EXP2 = tuple(map(f4, (
    1.0, 0.6931472067028329, 0.2402265092228955, 0.05550327226669895, 0.00961805667843204,
    0.0013400428177711937, 0.00015461444724808513,
)))  # fmt: skip
HALF, ONE, ZERO, BOUND = f4(0.5), f4(1), f4(0), f4(87)  # e^-87 is the least that is not denormal
T_SLOPE, LOG2_E, DENSITY_0 = (
    f4(0.37 / math.sqrt(2)),
    f4(math.log2(math.e)),
    f4((2 * math.pi) ** -0.5),
)


def _normal(x: Any) -> Any:
    """The standard normal distribution and its density at x."""
    density = math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * math.erfc(-x * math.sqrt(0.5)), density


@overload(_normal, jit_options={"fastmath": FAST})
def _normal_of(x: Any) -> Any:
    return _normal_in_single if x == types.float32 else _normal


def _normal_in_single(x: Any) -> Any:
    u = HALF * x * x
    u = u if u < BOUND else BOUND  # also of NaN, which no integer can be made of
    power = -u * LOG2_E
    whole = np.floor(power + HALF)
    f = power - whole
    e = EXP2[5] + f * EXP2[6]
    e = EXP2[3] + f * (EXP2[4] + f * e)
    e = EXP2[0] + f * (EXP2[1] + f * (EXP2[2] + f * e))
    e *= _two_to_the(whole)  # type: ignore[call-arg]  # exp(-x²/2)
    t = ONE / (ONE + T_SLOPE * abs(x))
    tail = ERFC[8] + t * ERFC[9]
    tail = ERFC[6] + t * (ERFC[7] + t * tail)
    tail = ERFC[4] + t * (ERFC[5] + t * tail)
    tail = ERFC[2] + t * (ERFC[3] + t * tail)
    tail = HALF * e * t * (ERFC[1] + t * tail)
    return (ONE - tail if x > ZERO else tail), e * DENSITY_0


@threaded
def _squares(h, parts, sums):  # type: ignore[no-untyped-def]
    for part in numba.prange(len(parts)):
        total = sums[part]
        total[:] = 0
        for r in range(parts[part, 0], parts[part, 1]):
            for c in range(h.shape[1]):
                below, _ = _normal(h[r, c])
                value = h[r, c] * below
                total[c] += value * value


@threaded
def _activate(h, factor, shift, parts, out):  # type: ignore[no-untyped-def]
    for part in numba.prange(len(parts)):
        scale = factor[parts[part, 2]]
        for r in range(parts[part, 0], parts[part, 1]):
            for c in range(h.shape[1]):
                below, _ = _normal(h[r, c])
                out[r, c] = h[r, c] * below * scale[c] + shift[c]


@threaded
def _products(h, gradient, factor, shift, parts, out, sums):  # type: ignore[no-untyped-def]
    for part in numba.prange(len(parts)):
        scale, product, total = factor[parts[part, 2]], sums[0, part], sums[1, part]
        product[:] = 0
        total[:] = 0
        for r in range(parts[part, 0], parts[part, 1]):
            for c in range(h.shape[1]):
                below, _ = _normal(h[r, c])
                value = h[r, c] * below
                product[c] += gradient[r, c] * value
                total[c] += gradient[r, c]
                out[r, c] = value * scale[c] + shift[c]


@threaded
def _activation_backward(h, gradient, factor, slope, parts, sums):  # type: ignore[no-untyped-def]
    for part in numba.prange(len(parts)):
        image = parts[part, 2]
        scale, inclination, total = factor[image], slope[image], sums[part]
        total[:] = 0
        for r in range(parts[part, 0], parts[part, 1]):
            for c in range(h.shape[1]):
                x = h[r, c]
                below, density = _normal(x)
                outer = gradient[r, c] * scale[c] + x * below * inclination[c]
                inner = outer * (below + x * density)
                gradient[r, c] = inner
                total[c] += inner


@threaded
def _normalise(x, epsilon, out, reciprocal):  # type: ignore[no-untyped-def]
    rows, channels = x.shape
    one, share = x.dtype.type(1), x.dtype.type(1 / channels)
    for part in numba.prange(PARTS):
        for r in range(part * rows // PARTS, (part + 1) * rows // PARTS):
            mean = variance = epsilon * 0  # of the right type
            for c in range(channels):
                mean += x[r, c]
            mean *= share
            for c in range(channels):
                out[r, c] = x[r, c] - mean
                variance += out[r, c] * out[r, c]
            scale = one / np.sqrt(variance * share + epsilon)
            reciprocal[r] = scale
            for c in range(channels):
                out[r, c] *= scale


@threaded
def _normalise_backward(gradient, normalised, reciprocal, weight, out, sums):  # type: ignore[no-untyped-def]
    rows, channels = gradient.shape
    share = reciprocal.dtype.type(1 / channels)
    for part in numba.prange(PARTS):
        to_weight, to_bias = sums[0, part], sums[1, part]
        to_weight[:] = 0
        to_bias[:] = 0
        for r in range(part * rows // PARTS, (part + 1) * rows // PARTS):
            mean = along = share * 0
            for c in range(channels):
                inner = gradient[r, c] * weight[c]
                mean += inner
                along += inner * normalised[r, c]
                to_weight[c] += gradient[r, c] * normalised[r, c]
                to_bias[c] += gradient[r, c]
            mean *= share
            along *= share
            for c in range(channels):
                inner = gradient[r, c] * weight[c] - mean - along * normalised[r, c]
                out[r, c] = inner * reciprocal[r]
