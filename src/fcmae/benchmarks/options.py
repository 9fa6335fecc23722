"""Options that several benchmarks have: checked before anything heavy is imported, and applied."""

import contextlib
from collections.abc import Iterator, Sequence

from fcmae.errors import unknown
from fcmae.sizes import size_of


def check_run(
    models: Sequence[str], precisions: Sequence[str], *, repeats: int, threads: int | None
) -> None:
    """Refuse what no benchmark of models can be run with."""
    for model in models:
        size_of(model)
    for precision in precisions:
        if precision not in ("fp32", "bf16"):
            raise unknown("precision", precision, ("fp32", "bf16"))
    check_counts("repeats", repeats)
    check_counts("threads", threads)


def check_counts(name: str, *values: int | None) -> None:
    """Refuse numbers below one; None, which stands for a default, is none."""
    for value in values:
        if value is not None and value < 1:
            raise ValueError(f"{name}: {value} is less than 1")


def check_patches(name: str, *values: int) -> None:
    """Refuse sizes of images, in pixels, that do not consist of whole patches."""
    for value in values:
        if value < 32 or value % 32:
            below = max(value // 32, 1) * 32
            raise ValueError(
                f"{name}: {value} is not a multiple of 32 pixels, the patch size: "
                f"try {below} or {below + 32}"
            )


@contextlib.contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """Compute with `number` processor threads meanwhile; None: as many as before."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(number or usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
