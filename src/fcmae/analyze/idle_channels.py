"""Channels that say nothing: dead ones, and saturated ones."""

from typing import NamedTuple

from torch import Tensor

DEAD, SATURATED = 0.01, 0.1
RULE = (
    f"A channel counts as dead where its root mean square, over all sites of all images shown, is "
    f"below {DEAD:.0%} of that of all the block’s channels together; and as saturated where it is "
    f"not dead, but its deviation over them is below {SATURATED:.0%} of its root mean square: the "
    "same value everywhere, whatever the image."
)


class Idle(NamedTuple):
    """Which channels are: bool [C] each, never both."""

    dead: Tensor
    saturated: Tensor


def idle_channels(x: Tensor) -> Idle:
    """Channels that are close to zero everywhere, or to another value.

    Dead: root mean square over images and sites below 1 % of that of all channels together.
    Saturated: not dead, and standard deviation below 10 % of the channel's root mean square.

    Args:
        x: maps [B, H, W, C].
    """
    values = x.double().flatten(0, 2)  # [B * H * W, C]
    squares = values.square().mean(0)
    dead = squares <= DEAD**2 * squares.mean()
    return Idle(dead, ~dead & (values.var(0, correction=0) < SATURATED**2 * squares))
