"""A V1 beside a V2, as in the paper's figures; and what its statements come to here."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from fcmae.findings.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from fcmae.sizes import is_v2

T = TypeVar("T")


def v1_first(models: Sequence[T], name: Callable[[T], str]) -> list[T]:
    """V1 before V2, in each kind as they were given."""
    return sorted(models, key=lambda model: is_v2(name(model)))


def pair_of(models: Sequence[T], name: Callable[[T], str]) -> tuple[T, T] | None:
    """The first V1 and the first V2; None without one of each."""
    kinds = {is_v2(name(model)): model for model in reversed(models)}
    return (kinds[False], kinds[True]) if len(kinds) == 2 else None


def thirds(blocks: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The first third of the blocks, and the last; one block at least."""
    third = max(len(blocks) // 3, 1)
    return blocks[:third], blocks[-third:]


def greater(larger: float, smaller: float, error: float) -> str:
    """Whether the one is found to be greater than the other: by more than two standard errors."""
    if abs(larger - smaller) <= 2 * error:
        return UNDECIDED
    return REPRODUCED if larger > smaller else NOT_REPRODUCED
