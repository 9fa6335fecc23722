"""What is installed, what there is to compute on, and what would run on it."""

import os
import platform
import shutil

import torch

from fcmae import ops
from fcmae.errors import described
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.masks import random_mask
from fcmae.ops.tiles import Tiles
from fcmae.storage.versions import VERSION, version
from fcmae.training.devices import Runtime

LIBRARIES = ("torch", "torchvision", "numba", "triton")


def installation(device: torch.device) -> list[tuple[str, str]]:
    """Names and values to show, in order; nothing here passes or fails."""
    precisions = ("fp32", "bf16")
    return [
        ("fcmae", VERSION),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *((name, version(name) or "not installed") for name in LIBRARIES),
        ("processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in use"),
        ("CUDA", _cuda()),
        ("MPS", "available" if torch.backends.mps.is_available() else "not available"),
        *((f"step in {name} on {device.type}", runs(name, device)) for name in precisions),
        *(
            (f"tiled convolution, {name} on {device.type}", convolution(name, device))
            for name in precisions
        ),
        ("several processes", _torchrun()),
    ]


def small_step(precision: str, device: torch.device) -> None:
    """One pre-training step of the smallest model on one small image."""
    runtime = Runtime(device, precision)
    autoencoder = create_autoencoder("convnextv2_atto", decoder_width=8).to(device)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=1e-4, fused=True)
    mask = random_mask(1, (2, 2), 0.5, device=device)
    with runtime.autocast():
        loss = autoencoder(torch.randn(1, 3, 64, 64, device=device), mask).loss
    loss.backward()
    optimizer.step()
    if not torch.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss.item()}")


def runs(precision: str, device: torch.device) -> str:
    """Whether a step runs in this precision; tried, not looked up."""
    try:
        small_step(precision, device)
    except Exception as error:  # a broken installation may raise anything
        return f"does not run: {described(error)}"
    return "runs"


def convolution(precision: str, device: torch.device) -> str:
    """The module whose convolution computes packed tiles; seen in the graph of a call."""
    tiles = Tiles.visible(torch.zeros(1, 1, 1, dtype=torch.bool, device=device))
    x = torch.zeros(1, 8, 8, 1, device=device, requires_grad=True)
    weight, bias = torch.zeros(1, 1, 7, 7, device=device), torch.zeros(1, device=device)
    try:
        with Runtime(device, precision).autocast():
            node = ops.depthwise_conv(x, weight, bias, tiles).grad_fn
    except Exception as error:  # as above
        return f"does not run: {described(error)}"
    function = getattr(type(node), "_forward_cls", type(node))
    return str(function.__module__)


def _cuda() -> str:
    if not torch.cuda.is_available():
        return "not available"
    found = (
        torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())
    )
    return "; ".join(
        f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, capability {gpu.major}.{gpu.minor}"
        for gpu in found
    )


def _torchrun() -> str:
    if not torch.distributed.is_available():
        return "not available: this PyTorch is built without them"
    return "torchrun" if shutil.which("torchrun") else "python -m torch.distributed.run"
