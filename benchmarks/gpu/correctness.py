"""Whether this device is right: kernels at real sizes against float64, the doctor, the tests."""

import copy
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.doctor.examination import examine, fresh_encoder
from fcmae.models.layers import GRN, Block
from fcmae.models.masks import enlarge, random_mask
from fcmae.ops.tiles import Sites, Tiles, hide
from fcmae.training.devices import Runtime
from gpu.isolation import Row

# Relative differences that rounding makes, with a margin; bf16 keeps 8 bits.
TOLERANCES = {"fp32": 1e-4, "bf16": 3e-2}
ABREAST = 4  # test processes: what takes longest is compiling kernels, and that needs no GPU
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$")
MARK = "mark.gpu"  # in the files that are of interest: the others may want what is not installed


def check_block(
    device: torch.device,
    *,
    channels: int,
    side: int,
    precision: str,
    images: int = 8,
    cells: int = 7,
) -> Iterator[Row]:
    """A block on visible tiles, with every kernel that it has, against masked maps in float64.

    Args:
        device: where.
        channels: of the block.
        side: sites of a tile.
        precision: fp32 or bf16.
        images: of the batch.
        cells: a side of an image.

    Yields:
        A row for the result and for each gradient: `difference`, relative, and whether it `agrees`.
    """
    generator = torch.Generator().manual_seed(side)
    block = Block(channels)
    for module in block.modules():
        if isinstance(module, GRN):  # at zero its statistic would not show
            nn.init.normal_(module.gamma, std=0.5, generator=generator)
            nn.init.normal_(module.beta, std=0.5, generator=generator)
    block.to(device)
    mask = random_mask(images, (cells, cells), 0.6, generator, device)
    tiles = Tiles.visible(mask)
    shape = (images, cells * side, cells * side, channels)
    x, outer = (torch.randn(shape, generator=generator).to(device) for _ in range(2))
    masked = enlarge(mask, side).unsqueeze(-1)
    exact = _values(copy.deepcopy(block).double(), x.double(), outer.double(), masked)
    exact = {name: _packed(value, tiles) for name, value in exact.items()}
    with Runtime(device, precision).autocast():
        ours = _values(block, tiles.pack(x), tiles.pack(outer), tiles)
    for name, value in exact.items():
        difference = ((ours[name].double() - value).norm() / value.norm()).item()
        yield {
            "value": name,
            "difference": difference,
            "tolerance": TOLERANCES[precision],
            "agrees": difference <= TOLERANCES[precision],  # NaN does not
        }


def _values(block: Block, x: Tensor, outer: Tensor, sites: Sites) -> dict[str, Tensor]:
    """The result and all gradients, of a dense map or of tiles."""
    x.requires_grad_()
    out = hide(block(x, sites), sites)
    names, parameters = zip(*block.named_parameters(), strict=True)
    gradients = torch.autograd.grad((out * outer).sum(), (x, *parameters))
    return {
        "result": out.detach(),
        "gradient of x": gradients[0],
        **{f"gradient of {name}": one for name, one in zip(names, gradients[1:], strict=True)},
    }


def _packed(value: Tensor, tiles: Tiles) -> Tensor:
    """A dense map at visible sites; weights are left as they are."""
    is_map = value.ndim == 4 and value.shape[0] == tiles.grid[0]
    return tiles.pack(value) if is_map else value


def compiled_kernels(device: torch.device, *, channels: int, side: int) -> Iterator[Row]:
    """Registers and spills of every kernel that a block's two passes launch in bf16.

    Yields:
        A row for each: `registers` of a thread, `spills` to memory in bytes, `shared` bytes, warps.
    """
    from fcmae.ops.depthwise_conv import triton as convolution
    from fcmae.ops.feed_forward import triton as passes

    modules = (convolution, passes)
    before = {id(kernel) for _, kernel in _compiled(modules)}
    for _ in check_block(device, channels=channels, side=side, precision="bf16"):
        pass
    for name, kernel in _compiled(modules):
        if id(kernel) not in before:
            yield {
                "kernel": name.strip("_"),
                "registers": kernel.n_regs,
                "spills": kernel.n_spills,
                "shared": kernel.metadata.shared,
                "warps": kernel.metadata.num_warps,
            }


def _compiled(modules: Sequence[ModuleType]) -> Iterator[tuple[str, Any]]:
    """What Triton has compiled in this process, by name; there is no public way to it."""
    for module in modules:
        for name, function in vars(module).items():
            for caches in getattr(function, "device_caches", {}).values():
                for kernel in caches[0].values():
                    yield name, kernel


def examine_encoder(
    device: torch.device, *, model: str = "convnextv2_atto", image_size: int = 160, seed: int = 0
) -> Iterator[Row]:
    """The checks of `fcmae doctor` on the device, on fresh weights.

    Yields:
        A row for each check: its name, what it found, what that may be at most, whether it passed.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same bits every time
    encoder = fresh_encoder(model, seed)
    for check in examine(encoder, image_size, device, seed, trained=False, processor=False):
        yield {
            "check": check.name,
            "found": check.figure,
            "allowed": check.tolerance,
            "agrees": check.passed,
        }


def run_tests(device: torch.device, *, folder: str) -> Iterator[Row]:
    """Run the tests marked `gpu` in the files of a folder; without a GPU, for rehearsal, the rest.

    Yields:
        A row for each test that failed, with pytest's reason, then one with pytest's last line.
    """
    marked, wanted = "not gpu and not slow", [folder]
    if device.type == "cuda":
        files = sorted(Path(folder).rglob("test_*.py"))
        marked, wanted = "gpu", [str(file) for file in files if MARK in file.read_text()]
    # A plug-in that some machines have warns beside xdist, and warnings are errors here.
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:benchmark", "-m", marked]
    command += wanted
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(ABREAST)]
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    sys.stdout.write(answer.stdout)
    lines = answer.stdout.strip().splitlines()
    for line in lines:
        if found := FAILURE.match(line):
            yield {"test": found[1], "error": found[2] or "failed"}
    yield {"agrees": answer.returncode == 0, "said": lines[-1].strip("= ") if lines else "nothing"}
