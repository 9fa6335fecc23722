"""Real runs on the device: a short pre-training with its readers, and the toy study."""

import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

from fcmae.benchmarks.photographs import make_photographs
from gpu.isolation import Row

MEGAPIXELS = 0.2  # of a photograph: as ImageNet's are


def pretrain_shortly(
    device: torch.device,
    *,
    model: str,
    photographs: int = 128,
    copies: int = 32,
    epochs: int = 4,
    batch_size: int = 256,
    image_size: int = 224,
    workers: int | None = None,
) -> Iterator[Row]:
    """`fcmae pretrain` on JPEGs made for this, as a user would call it.

    Args:
        device: where.
        model: a name of `fcmae.list_models()`.
        photographs: how many are made.
        copies: files of each, which are read like any other.
        epochs: passes over all files.
        batch_size: images a step.
        image_size: pixels a side.
        workers: processes that read images; None: as many as `fcmae pretrain` takes by itself.

    Yields:
        One row: images a second after the first epoch, the share of time spent waiting for images,
        the loss at the start and at the end.
    """
    from fcmae.commands.pretrain import pretrain

    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "photographs", Path(folder) / "run"
        data.mkdir()
        for path in make_photographs(data, photographs, MEGAPIXELS):
            for copy in range(1, copies):
                os.link(path, path.with_stem(f"{path.stem}-{copy}"))
        pretrain(
            data=str(data),
            out=str(out),
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            image_size=image_size,
            micro_batch_size=batch_size,
            device=str(device),
            workers=workers,
            set=("warmup_epochs=1", "base_learning_rate=1e-3"),
        )
        lines = (out / "metrics.jsonl").read_text().splitlines()
        timing = (out / "timing.jsonl").read_text().splitlines()
    steps = [line for line in map(json.loads, lines) if "loss" in line]
    late = list(map(json.loads, timing))[1:]
    yield {
        "batch_size": batch_size,
        "images": photographs * copies,
        "images_per_second": statistics.median(line["images_per_second"] for line in late),
        "waiting": statistics.median(line["waiting"] for line in late),
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
    }


def toy_study(
    device: torch.device,
    *,
    data: str,
    out: str,
    encoder: Literal["convnext", "convnext-grn", "transformer"],
    mask_size: int,
    num_images: int,
    epochs: int,
) -> Iterator[Row]:
    """One setting of the study of figures 4 and 5; all of them share a folder and its page."""
    from fcmae.studies.reconstruction import reconstruction

    rows = reconstruction(
        data=data,
        out=out,
        encoders=(encoder,),
        mask_sizes=(mask_size,),
        seeds=(0,),
        num_images=num_images,
        epochs=epochs,
        device=str(device),
    )
    # The folder has those of the other settings too.
    yield from (row for row in rows if (row["encoder"], row["mask_size"]) == (encoder, mask_size))
