"""The examination: of which encoder, which checks are made, and how they are told."""

import contextlib
import copy
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from fcmae.commands.doctor import Doctor
from fcmae.doctor import checks
from fcmae.doctor.checks import Check
from fcmae.doctor.installation import installation
from fcmae.errors import described
from fcmae.models.encoder import Encoder
from fcmae.models.layers import GRN, Block
from fcmae.models.responses import Affine
from fcmae.training.devices import choose_device
from fcmae.weights import read_weights
from fcmae.weights.recognition import FINAL

# Read by the GPU's linear algebra when it first starts; without it, bits may differ by chance.
REPEATABLE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def run_doctor(options: Doctor) -> int:
    """Show the installation and every check; 0 if all passed, else 1."""
    from rich.console import Console

    os.environ.setdefault(*REPEATABLE)
    device, seed, weights = choose_device(options.device), options.seed, options.weights
    encoder = fresh_encoder(options.model, seed) if weights is None else load_encoder(weights)
    _check_image_size(options.image_size, encoder)

    console = Console(markup=False, soft_wrap=True)
    for name, value in installation(device):
        console.print(f"        {name:<40}{value}")
    source = "fresh weights" if weights is None else f"weights of {weights}"
    console.print(f"\n{encoder.model}, {source}", highlight=False)

    failed, number = [], 0
    for check in examine(encoder, options.image_size, device, seed, trained=weights is not None):
        number += 1
        word, style = ("ok    ", None) if check.passed else ("FAILED", "bold red")
        console.print(f"{word}  {check.name:<40}{check.figure} ({check.tolerance})", style=style)
        if not check.passed:
            failed.append(check.name)
    if failed:
        console.print(f"\n{len(failed)} of {number} checks FAILED: {'; '.join(failed)}.")
        return 1
    console.print(f"\nAll {number} checks passed.")
    return 0


def _check_image_size(image_size: int, encoder: Encoder) -> None:
    stride = encoder.stride
    if image_size < 2 * stride or image_size % stride:
        below = max(image_size // stride, 2) * stride
        raise ValueError(
            f"image_size {image_size} is not two or more times the total stride, {stride} pixels: "
            f"try {below} or {below + stride}"
        )


def examine(
    encoder: Encoder,
    image_size: int,
    device: torch.device,
    seed: int,
    *,
    trained: bool,
    processor: bool = True,
) -> Iterator[Check]:
    """All checks, each made when it is asked for.

    Args:
        encoder: what is examined; it is left as it is.
        image_size: pixels a side of the images, two or more times the total stride.
        device: where, beside the processor.
        seed: draws images, masks and what training has not yet moved from zero.
        trained: whether the weights must look like trained ones.
        processor: whether float64 is examined there too; a device has none that is fast.
    """
    exact = [(torch.device("cpu"), torch.float64)] if processor else []
    with _repeatable():
        yield _attempt(checks.precision_runs, "fp32", device)
        yield checks.weights_are_finite(encoder)
        if trained:
            yield checks.response_norm_is_alive(encoder)
        for on, dtype in (*exact, (device, torch.float32), (device, torch.bfloat16)):
            yield _attempt(checks.depthwise_conv_agrees, on, dtype)
            yield _attempt(checks.response_norm_agrees, on, dtype)
        encoder = with_live_branches(encoder, seed).eval()
        for on, dtype in (*exact, (device, torch.float32)):
            sample = checks.Sample.draw(encoder, image_size, on, dtype, seed)
            yield _attempt(checks.modes_agree, sample)
            yield _attempt(checks.nothing_leaks, sample)
            yield _attempt(checks.images_do_not_mix, sample)
            yield _attempt(checks.tiled_is_dense, sample)


def _attempt(check: Callable[..., Check], *arguments: object) -> Check:
    """Make a check; a broken installation may raise anything, and then that is the finding."""
    try:
        return check(*arguments)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        return Check(name, False, described(error), "must run")


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """The same bits for the same input, and all of float32's digits, on a GPU too."""
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


# The encoder to examine: fresh, or read from a run or a file


def fresh_encoder(model: str, seed: int) -> Encoder:
    """An encoder with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(model)


def load_encoder(path: str | Path) -> Encoder:
    """Read a run's folder, or a file of any dialect; a norm and a head are left out.

    Raises:
        ValueError: if the file cannot be read, or is not of a known model.
    """
    weights = read_weights(path)
    encoder = Encoder(**weights.architecture.backbone)
    encoder.load_state_dict(
        {name: value for name, value in weights.state.items() if not name.startswith(FINAL)}
    )
    return encoder


def with_live_branches(encoder: Encoder, seed: int) -> Encoder:
    """A copy in which no branch is off, as with fresh weights: checks would not see errors in it.

    GRN's gamma and beta start at zero, and V1's LayerScale at 1e-6; these are drawn anew.
    """
    encoder = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    for module in encoder.modules():
        if isinstance(module, GRN | Affine) and not module.gamma.any():
            nn.init.normal_(module.gamma, generator=generator)
            nn.init.normal_(module.beta, generator=generator)
        scale = module.gamma if isinstance(module, Block) else None
        if scale is not None and scale.abs().max() <= 1e-6:
            nn.init.normal_(scale, generator=generator)
    return encoder
