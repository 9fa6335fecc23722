"""Triton's kernels, compiled before they are needed: side by side, and with no GPU at hand.

    python -m gpu.precompile --cache DIR

fills a folder that can be carried to a machine with a GPU of the same kind and the same Triton;
where either is another, its kernels are compiled there as usual. Compiled is what the usual
launches ask for: they are made on tensors without memory, and end before the device is needed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fcmae.errors import described
from fcmae.sizes import is_v2, list_models, size_of
from gpu.isolation import Row
from gpu.variants import KERNELS

MADE_BY = "made-by.json"  # in the cache: the compiler that it is from
H100 = 90  # its compute capability, 9.0
SIDES = (8, 4, 2, 1)  # sites of a tile at the four stages
DECODER = 512  # channels (section 3)
GRID = 7  # cells a side of the paper's 224 pixels
MAPS = (56, 28, 14, 7)  # sites a side of its stages
DOCTOR_MAPS = (40, 20, 10, 5)  # the same of its 160 pixels
MODELS = tuple(
    sorted(filter(is_v2, list_models()), key=lambda name: size_of(name).parameters)
)  # of V2, the smallest first
DENSE = ("convnextv2_atto", "convnextv2_tiny")  # the classifiers that are timed
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
VARIED = "convnextv2_tiny"  # of which layouts are compared
IN_FP32 = ("convnextv2_atto", "convnextv2_tiny", "convnextv2_base")


@dataclass(frozen=True, slots=True)
class Block:
    """The kernels of a block's forward and backward pass on one kind of sites."""

    side: int  # sites of a tile or, of a dense map, of the map
    channels: int
    tiled: bool
    dtype: str  # of `DTYPES`

    def launch(self) -> None:
        """Start them all on tensors without memory."""
        from fcmae.ops.depthwise_conv import triton as convolution
        from fcmae.ops.feed_forward import triton as passes
        from fcmae.ops.feed_forward.images import Images
        from fcmae.ops.tiles import Tiles

        side, channels = self.side, self.channels
        dtype = DTYPES[self.dtype]
        sites = None
        shape = (2, side, side, channels)
        if self.tiled:
            index = torch.empty(3, dtype=torch.int64, device="meta")
            sites = Tiles((2, 1, 2), index, index // 2)
            shape = (3, side, side, channels)
        x = torch.empty(shape, dtype=dtype, device="meta", requires_grad=True)
        weight = torch.empty(channels, 1, 7, 7, device="meta", requires_grad=True)
        bias = torch.empty(channels, device="meta", requires_grad=True)
        out = convolution.depthwise_conv(x, weight, bias, sites)
        torch.autograd.grad(out, (x, weight, bias), torch.empty_like(out))

        rows = x.detach().flatten(0, 2)
        normalised, reciprocal = passes.normalise(rows, 1e-6)
        passes.normalise_backward(rows, normalised, reciprocal, bias.detach())
        h = torch.empty(len(rows), 4 * channels, dtype=dtype, device="meta")
        starts = torch.empty(3, dtype=torch.int64, device="meta")
        images = Images(starts, starts[1:], side * side)
        factor = torch.empty(2, 4 * channels, device="meta")
        shift = torch.empty(4 * channels, device="meta")
        passes.squares(h, images)
        passes.activate(h, factor, shift, images)
        passes.products(h, h, factor, shift, images)
        passes.activation_backward(h, h, factor, factor, images)


@dataclass(frozen=True, slots=True)
class Variants:
    """Every layout of one kernel that is tried at one stage."""

    kernel: str  # of `gpu.variants.KERNELS`
    side: int
    channels: int

    def launch(self) -> None:
        """Start them all on tensors without memory."""
        from gpu.variants import launch, variants_of

        for layout in variants_of(self.kernel, self.side, self.channels):
            launch(self.kernel, self.side, self.channels, layout)


def stages_of(model: str, sides: Sequence[int] = SIDES) -> list[tuple[int, int]]:
    """At each stage of a model: sites a side, of tiles or of what is given, and channels."""
    return list(zip(sides, size_of(model).widths, strict=True))


def jobs() -> list[Block | Variants]:
    """What the parts need of Triton, what is needed first at the front."""
    wanted: list[Block | Variants] = [Block(GRID, DECODER, tiled=False, dtype="bf16")]
    for dtype, names in (("bf16", MODELS), ("fp32", IN_FP32)):
        for name in names:
            wanted += [Block(*stage, tiled=True, dtype=dtype) for stage in stages_of(name)]
    wanted.append(Block(GRID, DECODER, tiled=False, dtype="fp32"))
    for name in DENSE:
        wanted += [Block(*stage, tiled=False, dtype="bf16") for stage in stages_of(name, MAPS)]
    # What the doctor looks at: tiles of 5 channels, a small step, dense maps.
    wanted += [Block(side, 5, tiled=True, dtype=dtype) for dtype in DTYPES for side in SIDES]
    wanted.append(Block(2, 8, tiled=False, dtype="fp32"))
    maps = stages_of(DENSE[0], DOCTOR_MAPS)
    wanted += [Block(*stage, tiled=False, dtype="fp32") for stage in maps]
    wanted += [Variants(kernel, *stage) for kernel in KERNELS for stage in stages_of(VARIED)]
    return list(dict.fromkeys(wanted))


def measure(
    device: torch.device, *, workers: int | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Compile what is not in the cache, as many at a time as there are cores; one row for all.

    Args:
        device: for which; a processor stands for an H100.
        workers: how many at a time; None: as many as there are cores.
        limit: only so many of the jobs.

    Yields:
        A row: the number of kernels, how many of them the cache had, and what failed.
    """
    import triton  # type: ignore[import-untyped]  # noqa: F401 (where it is missing, it says so)

    capability = H100
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        capability = 10 * major + minor
    began = time.monotonic()
    outcomes = list(compile_all(jobs()[:limit], capability, workers))
    yield {
        "capability": capability,
        "compiler": compiler(capability),
        "cache_from": _made_by(),
        "kernels": sum(outcome["kernels"] for outcome in outcomes),
        "from_cache": sum(outcome["from_cache"] for outcome in outcomes),
        "seconds": round(time.monotonic() - began, 1),
        "failed": {
            str(outcome["job"]): outcome["error"] for outcome in outcomes if "error" in outcome
        },
    }


def compiler(capability: int) -> dict[str, str]:
    """What must be the same for a carried kernel to be taken: Triton's files, and its assembler."""
    from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]
    from triton.compiler.compiler import make_backend  # type: ignore[import-untyped]
    from triton.runtime.cache import triton_key  # type: ignore[import-untyped]

    key = str(triton_key())
    return {
        "triton": _digest(key),
        "assembler": _digest(str(make_backend(GPUTarget("cuda", capability, 32)).hash())),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _made_by() -> dict[str, str] | None:
    """The compiler that a carried cache is from; None where there is none."""
    cache = os.environ.get("TRITON_CACHE_DIR")
    if cache is None or not (file := Path(cache) / MADE_BY).is_file():
        return None
    try:
        found = json.loads(file.read_text())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def move_in(cache: Path) -> None:
    """Have a carried cache name its files where they are now: Triton writes whole paths into it.

    Raises:
        ValueError: if it cannot be written to.
    """
    for group in cache.glob("*/__grp__*.json"):
        if (moved := _moved(group)) is None:
            continue
        try:
            group.write_text(json.dumps({"child_paths": moved}))
        except OSError as error:
            raise ValueError(
                f"cache: {group} cannot be written ({error.strerror}): copy the folder elsewhere"
            ) from error


def _moved(group: Path) -> dict[str, str] | None:
    """The files of a kernel where they are; None where they are named so, or where none are."""
    try:
        found = json.loads(group.read_text())["child_paths"]
        here = {
            name: str(group.parent.absolute() / Path(path).name) for name, path in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # Triton then compiles anew
    return None if here == found else here


def compile_all(
    wanted: Sequence[Block | Variants], capability: int, workers: int | None
) -> Iterator[Row]:
    """An outcome for each job, in their order."""
    context = multiprocessing.get_context("forkserver")  # no device was touched there
    number = min(workers or len(os.sched_getaffinity(0)), len(wanted))
    with ProcessPoolExecutor(
        number, mp_context=context, initializer=_pretend, initargs=(capability,)
    ) as pool:
        yield from pool.map(compile_job, wanted)


_found: list[bool] = []  # of each kernel of a job, whether the cache had it


def compile_job(job: Block | Variants) -> Row:
    """Compile one job's kernels into Triton's cache, where nothing is launched: see `_pretend`."""
    _found.clear()
    outcome: Row = {"job": job}
    try:
        job.launch()
    except Exception as error:  # Triton has errors of its own
        outcome["error"] = described(error)
    return {**outcome, "kernels": len(_found), "from_cache": sum(_found)}


def _pretend(capability: int) -> None:
    """Make Triton believe in a device, and every launch end once its kernel is compiled."""
    os.environ.pop("TRITON_INTERPRET", None)  # what is interpreted is not compiled

    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.driver import CudaLauncher  # type: ignore[import-untyped]
    from triton.runtime import driver  # type: ignore[import-untyped]
    from triton.runtime.jit import JITFunction  # type: ignore[import-untyped]

    class Pretended:
        """As much of a driver as compiling asks for."""

        def get_current_target(self) -> Any:
            return GPUTarget("cuda", capability, 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    # With a GPU at hand, what hands arguments to a kernel can be compiled too: it needs its driver.
    real = torch.cuda.is_available()

    def launched(function: Any, grid: Any) -> Any:
        def compile_only(*arguments: Any, **options: Any) -> None:
            kernel = function.run(*arguments, grid=grid, warmup=True, **options)
            if real:
                CudaLauncher(kernel.src, kernel.metadata)

        return compile_only

    driver.set_active(Pretended())
    JITFunction.__getitem__ = launched
    torch.is_autocast_enabled = lambda *_: False  # which tensors without memory may not be asked
    knobs.compilation.store_binary_only = True  # a tenth of the size, to be carried
    knobs.compilation.listener = lambda *, cache_hit, **_: _found.append(cache_hit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile everything; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m gpu.precompile", description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="a folder, made if need be")
    parser.add_argument("--capability", type=int, default=H100, help="90 for H100 and H200")
    parser.add_argument("--workers", type=int, help="compile so many at a time; default: the cores")
    options = parser.parse_args(arguments)
    os.environ["TRITON_CACHE_DIR"] = str(options.cache.absolute())  # the workers inherit it
    options.cache.mkdir(parents=True, exist_ok=True)
    (options.cache / MADE_BY).write_text(json.dumps(compiler(options.capability)))
    wanted = jobs()
    failed = 0
    for number, outcome in enumerate(compile_all(wanted, options.capability, options.workers), 1):
        line = f"[{number}/{len(wanted)}] {outcome['job']}: {outcome['kernels']} kernels, "
        line += f"{outcome['from_cache']} of them known"
        if "error" in outcome:
            failed += 1
            line += f"; {outcome['error']}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"Wrote {options.cache}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
