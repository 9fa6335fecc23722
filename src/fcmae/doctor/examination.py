"""The examination: which checks are made, and how they are told."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from fcmae.doctor.checks import Check
    from fcmae.models.encoder import Encoder


def doctor(
    *,
    weights: str | None = None,
    model: str = "convnextv2_atto",
    image_size: int = 160,
    device: str = "auto",
    seed: int = 0,
) -> int:
    """Show what runs here, and check that the encoder's modes agree, leak nothing and mix nothing.

    Args:
        weights: a run's folder or a weights file of any dialect, of any size and any
            number of channels. None: fresh random weights of `model`.
        model: a name of `fcmae.list_models()`, where no weights are given.
        image_size: pixels a side of the random test images, a multiple of the total stride (32
            with the paper's stem); small, since nothing here depends on it.
        device: auto (CUDA, else MPS, else the processor), cpu, cuda, cuda:N or mps.
        seed: draws images, masks and fresh weights.

    Returns:
        Exit code: 0 if every check passed, else 1.

    Raises:
        ValueError: if weights cannot be read or are of no known model, or image_size does not fit.
    """
    # Read by the GPU's linear algebra when it first starts; without it, bits may differ by chance.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    from rich.console import Console

    from fcmae.doctor.encoders import fresh_encoder, load_encoder
    from fcmae.doctor.installation import installation
    from fcmae.training.devices import choose_device

    where = choose_device(device)
    encoder = fresh_encoder(model, seed) if weights is None else load_encoder(weights)
    _check_image_size(image_size, encoder)

    console = Console()
    for name, value in installation(where):
        console.print(f"        {name:<40}{value}", markup=False, soft_wrap=True)
    source = "fresh weights" if weights is None else f"weights of {weights}"
    console.print(f"\n{encoder.model}, {source}", markup=False, highlight=False, soft_wrap=True)

    failed, number = [], 0
    for check in examine(encoder, image_size, where, seed, trained=weights is not None):
        number += 1
        word = "ok    " if check.passed else "FAILED"
        line = f"{word}  {check.name:<40}{check.figure} ({check.tolerance})"
        console.print(
            line, markup=False, style=None if check.passed else "bold red", soft_wrap=True
        )
        if not check.passed:
            failed.append(check.name)
    if failed:
        console.print(
            f"\n{len(failed)} of {number} checks FAILED: {'; '.join(failed)}.", markup=False
        )
        return 1
    console.print(f"\nAll {number} checks passed.", markup=False)
    return 0


def examine(
    encoder: "Encoder",
    image_size: int,
    device: "torch.device",
    seed: int,
    *,
    trained: bool,
    processor: bool = True,
) -> "Iterator[Check]":
    """All checks, each made when it is asked for.

    Args:
        encoder: what is examined; it is left as it is.
        image_size: pixels a side of the images, two or more times the total stride.
        device: where, beside the processor.
        seed: draws images, masks and what training has not yet moved from zero.
        trained: whether the weights must look like trained ones.
        processor: whether float64 is examined there too; a device has none that is fast.
    """
    with _repeatable():
        yield from _checks(encoder, image_size, device, seed, trained, processor)


def _checks(
    encoder: "Encoder",
    image_size: int,
    device: "torch.device",
    seed: int,
    trained: bool,
    processor: bool,
) -> "Iterator[Check]":
    import torch

    from fcmae.doctor import checks
    from fcmae.doctor.encoders import with_live_branches

    exact = [(torch.device("cpu"), torch.float64)] if processor else []
    yield _attempt(checks.precision_runs, "fp32", device)
    yield checks.weights_are_finite(encoder)
    if trained:
        yield checks.response_norm_is_alive(encoder)
    for place, dtype in (*exact, (device, torch.float32), (device, torch.bfloat16)):
        yield _attempt(checks.depthwise_conv_agrees, place, dtype)
        yield _attempt(checks.response_norm_agrees, place, dtype)
    encoder = with_live_branches(encoder, seed).eval()
    for place, dtype in (*exact, (device, torch.float32)):
        sample = checks.Sample.draw(encoder, image_size, place, dtype, seed)
        yield _attempt(checks.modes_agree, sample)
        yield _attempt(checks.nothing_leaks, sample)
        yield _attempt(checks.images_do_not_mix, sample)
        yield _attempt(checks.tiled_is_dense, sample)


def _attempt(check: Callable[..., "Check"], *arguments: object) -> "Check":
    """Make a check; a broken installation may raise anything, and then that is the finding."""
    from fcmae.doctor.checks import Check
    from fcmae.errors import described

    try:
        return check(*arguments)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        return Check(name, False, described(error), "must run")


def _check_image_size(image_size: int, encoder: "Encoder") -> None:
    stride = encoder.stride
    if image_size < 2 * stride or image_size % stride:
        below = max(image_size // stride, 2) * stride
        raise ValueError(
            f"image_size {image_size} is not two or more times the total stride, {stride} pixels: "
            f"try {below} or {below + stride}"
        )


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """The same bits for the same input, and all of float32's digits, on a GPU too."""
    import torch

    usual = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(usual[0], warn_only=warn_only)
        torch.backends.cudnn.allow_tf32 = usual[1]
