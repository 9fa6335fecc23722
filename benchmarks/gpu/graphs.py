"""The tiled step captured in a CUDA graph, against the same step started kernel by kernel.

A boolean mask gives shapes that the host must wait to know, four times in a step. But every image
of a batch has the same number of visible patches, so that all shapes are known beforehand: then
nothing waits, and the whole step can be captured once and replayed with other masks.
"""

import functools
import gc
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from fcmae.benchmarks.measuring import images_per_second, peak_memory, speedups
from fcmae.benchmarks.pretraining.workload import (
    Case,
    Gradient,
    Workload,
    difference,
    verdict,
)
from fcmae.models.autoencoder import Autoencoder
from fcmae.models.loss import normalise, patchify, reconstruction_loss
from fcmae.models.masks import num_visible
from fcmae.ops.feed_forward.images import Images
from fcmae.ops.tiles import Tiles
from gpu.device_time import Step, all_of, time_steps

# Steps in which libraries choose and set up, kernels are compiled, the optimiser gets its state.
WARM_UP = 3
CHECKS = 2  # masks on which a replay is compared, before it is timed and again after


def time_graph(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    image_size: int = 224,
    mask_ratio: float = 0.6,
    precision: str = "bf16",
    repeats: int = 3,
    calls: int = 4,
) -> Iterator[dict[str, Any]]:
    """Time the captured step, the same one not captured, and the usual tiled one, in turns.

    Args:
        device: a CUDA device.
        model: a name of `fcmae.list_models()`.
        batch_size: images a step.
        image_size: pixels a side.
        mask_ratio: share of patches to mask.
        precision: fp32 or bf16.
        repeats: rounds; medians are taken over them.
        calls: steps of a turn, each with a fresh mask.

    Yields:
        A row for forward and backward pass with AdamW, and one without it (`update`): the case;
        images a second and seconds a step of `eager`, the usual step, of `static`, which need not
        wait, and of `graph`; how many times faster than eager they are; seconds that the device
        takes for a replay, and that warming up and capturing took; bytes at the peak of an eager
        step above what is held, and those that the graph keeps; and how far, at most, loss and
        gradient of a replay are from eager's on masks that it was not captured with.

    Raises:
        ValueError: if the device is not CUDA.
    """
    if device.type != "cuda":
        raise ValueError(f"device {str(device)!r} has no CUDA graphs: use a CUDA device")
    workload = Workload(Case(model, image_size, batch_size, mask_ratio, precision), device)
    for update in (True, False):
        with torch.cuda.device(device):
            yield _row(workload, repeats, calls, update=update)


def _row(workload: Workload, repeats: int, calls: int, *, update: bool) -> dict[str, Any]:
    case = workload.case
    eager = functools.partial(workload.whole_step, mode="tiled", update=update)

    def static(mask: Tensor) -> None:
        static_loss(workload, mask).backward()  # type: ignore[no-untyped-call]
        if update:
            workload.optimizer.step()
        workload.forget_gradients()

    captured = Captured(workload, update=update)
    apart = [_apart(workload, captured) for _ in range(CHECKS)]
    ways: dict[str, Step] = {"eager": eager, "static": static, "graph": captured.step}
    seconds = time_steps(ways, workload, repeats, calls)
    replay = [_device_seconds(workload, captured, calls) for _ in range(repeats)]
    apart += [_apart(workload, captured) for _ in range(CHECKS)]
    peak = peak_memory(functools.partial(eager, workload.fresh_mask()), workload.runtime.device)
    worst = {name: max(found[name] for found in apart) for name in apart[0]}
    return {
        **asdict(case),
        "update": update,
        "images_per_second": images_per_second(seconds, case.batch_size),
        **speedups(seconds, [("static", "eager"), ("graph", "eager")]),
        **verdict(worst, case.precision),
        "replay": statistics.median(replay),
        "capture": captured.seconds,
        "memory": {"eager": peak, "graph": captured.held},
        "calls": calls,
        "seconds": seconds,
    }


def loss_of(model: Autoencoder, images: Tensor, cells: Tensor, visible: int) -> Tensor:
    """The loss of `Autoencoder.forward` in mode "tiled", by operators that wait for nothing.

    Tiles are made anew in here, and with them all tables that are kept by their identity: what is
    captured makes those tables too, so that a replay with another mask never meets old ones.

    Args:
        model: what to train.
        images: [B, in_channels, H, W].
        cells: bool [B, h, w], True where masked.
        visible: how many of the cells are visible, in the whole batch.
    """
    encoder, decoder = model.encoder, model.decoder
    tiles, masked = places(cells, visible)
    pixels = images.permute(0, 2, 3, 1)  # [B, H, W, in_channels]
    features = encoder.run(tiles.pack(pixels), [tiles] * 4)[-1].flatten(0, 2)  # [M, C_4]
    features = decoder.proj(features)
    tokens = decoder.mask_token.to(features.dtype).expand(cells.numel(), -1)  # [B h w, width]
    mixed = tokens.index_copy(0, tiles.index, features)
    decoded = decoder.blocks(mixed.view(*cells.shape, -1)).flatten(0, 2)
    prediction = decoder.predict(decoded.index_select(0, masked))
    target = patchify(images, encoder.stride).flatten(0, 2).index_select(0, masked)
    return reconstruction_loss(prediction, normalise(target) if model.norm_pix else target)


def places(cells: Tensor, visible: int) -> tuple[Tiles, Tensor]:
    """The visible cells as tiles, and the places [N] of masked ones in the flattened grid.

    Args:
        cells: bool [B, h, w], True where masked.
        visible: how many are not.
    """
    batch, rows, columns = cells.shape
    masked = cells.flatten()
    index = torch.nonzero_static(~masked, size=visible).flatten()
    tiles = Tiles((batch, rows, columns), index, index // (rows * columns))
    return tiles, torch.nonzero_static(masked, size=len(masked) - visible).flatten()


def static_loss(workload: Workload, mask: Tensor) -> Tensor:
    """The forward pass of a workload's tiled step, in its precision: see `loss_of`.

    Casts of weights are not kept from one use to the next, as capturing demands.
    """
    case, device = workload.case, workload.runtime.device
    rows, columns = workload.grid
    visible = case.batch_size * num_visible(rows * columns, case.mask_ratio)
    half = case.precision == "bf16"
    with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=False):
        return loss_of(workload.autoencoder, workload.images, mask, visible)


class Captured:
    """A workload's step as a CUDA graph, with weights that it shares with the workload.

    Args:
        workload: on a CUDA device, which is the current one.
        update: whether AdamW's step is part of it; its optimiser is its own.
    """

    def __init__(self, workload: Workload, *, update: bool) -> None:
        began = time.perf_counter()
        # All that the graph reads and writes but does not make must live as long as it does: the
        # weights and images, the mask, the optimiser's moments and the decoder's table below.
        self.workload = workload
        self.mask = workload.fresh_mask()  # what a replay reads: others are copied here
        parameters = list(workload.autoencoder.parameters())
        self.optimizer = optimizer = torch.optim.AdamW(
            parameters, lr=1e-5, fused=True, capturable=True
        )

        def step() -> Tensor:
            loss = static_loss(workload, self.mask)
            loss.backward()  # type: ignore[no-untyped-call]
            if update:
                optimizer.step()
            return loss.detach()

        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable")
            for _ in range(WARM_UP):
                optimizer.zero_grad(set_to_none=True)
                step()
        torch.cuda.current_stream().wait_stream(side)
        # Gradients are made while capturing, in the graph's own memory, and each replay writes them
        # there anew: none must be there before, to which it would add.
        optimizer.zero_grad(set_to_none=True)
        # Which rows of dense maps belong to which image depends on shapes alone: the steps above
        # left it where the graph finds it, and from where other steps might have it thrown out.
        self.table = Images.of(self.mask.unsqueeze(-1), None)
        gc.collect()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = step()
        self.held = torch.cuda.memory_reserved() - before
        self.gradients = [value.grad for value in parameters if value.grad is not None]
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        self.seconds = time.perf_counter() - began

    def step(self, mask: Tensor) -> None:
        """Replay with a mask, bool [B, h, w]; loss and gradients are there after."""
        self.mask.copy_(mask)
        self.graph.replay()

    def gradient(self, mask: Tensor) -> Gradient:
        """The loss and gradient of a replay."""
        self.step(mask)
        return self.loss.clone(), torch.cat([value.flatten() for value in self.gradients])


def _apart(workload: Workload, captured: Captured) -> dict[str, float]:
    """How far a replay is from the usual step, on a fresh mask and with the weights as they are."""
    mask = workload.fresh_mask()
    eager = workload.gradient(mask, "tiled")
    return difference(captured.gradient(mask), eager)


def _device_seconds(workload: Workload, captured: Captured, calls: int) -> float:
    """Of one replay, between two marks on the device around `calls` of them."""
    masks = [workload.fresh_mask() for _ in range(calls)]
    start, end = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    start.record()
    all_of(captured.step, masks)
    end.record()
    end.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / 1e3 / calls
