"""The options that several commands have, said once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcmae.commands.command import Options

Precision = Literal["auto", "fp32", "bf16"]
Statistics = Literal["auto", "imagenet", "data"]
Decoding = Literal["fast", "exact"]
Split = Literal["train", "val"]


@dataclass(frozen=True, kw_only=True)
class Reading(Options):
    """How trained weights are run over images.

    Args:
        key: which of the states of a .pth file, such as model_ema. Default: its only or usual one.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: the weights' own, or
            224 where they do not say.
        batch_size: images at a time on one device.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        workers: processes that read images, for each device. Default: 1 on the CPU; else the
            cores, at most 8.
    """

    key: str | None = None
    image_size: int | str | None = None
    batch_size: int = 64
    device: str = "auto"
    precision: Precision = "auto"
    workers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Training(Options):
    """Where and how it trains.

    Args:
        out: run folder; it gets weights.safetensors, report.html, metrics.jsonl, checkpoints.
        statistics: mean and deviation that pixels are normalised with: imagenet, data (measured on
            up to 1000 images), or auto: those of the weights where these say them, imagenet for 3
            channels, data otherwise.
        set: fields of the recipe without an option of their own, as field=value, such as
            base_learning_rate=3e-4 warmup_epochs=10 weight_decay=0.1.
        seed: decides the weights' start, the order of images, and whatever is drawn for them.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16; auto is bf16 where the hardware has it.
        decoding: fast or exact. Fast decodes a JPEG that is much larger than its crop at a half, a
            quarter or an eighth of its size: the same crops, less than a grey level off on
            average. What is measured and looked at is decoded exactly in either case.
        micro_batch_size: images at a time on one device; lower it when memory runs out. The
            gradient is accumulated up to the batch size. Default: 64. Not of a loss that compares
            all images of a batch, as moco-v3's does.
        checkpoint_blocks: recompute blocks in the backward pass: less memory, a third more time.
        compile: let torch.compile compile each block, which makes the first step a minute longer
            or more. On a processor the later steps are slower than without it.
        checkpoint_minutes: minutes between checkpoints.
        workers: processes that read images, for each device. Default: 1 on the CPU, which trains
            with the others; else the cores, at most 8.
        dry_run: say what would be done, and do nothing.
        resume: go on with the run in `out`, with its options. Those that say where and how it
            computes may be given again (device, micro_batch_size, checkpoint_blocks, compile,
            checkpoint_minutes, workers, how often it is probed; data, if the folder moved); all
            others must be as they were.
        overwrite: delete the run in `out` first.
    """

    out: str | Path
    data: str | Path | None = None  # these three are said by each command, of its own
    init: str | Path | None = None
    key: str | None = None
    statistics: Statistics = "auto"
    set: tuple[str, ...] = ()
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    decoding: Decoding = "fast"
    micro_batch_size: int | None = None
    checkpoint_blocks: bool = False
    compile: bool = False
    checkpoint_minutes: float = 5.0
    workers: int | None = None
    dry_run: bool = False
    resume: bool = False
    overwrite: bool = False


def parse_image_size(image_size: int | str) -> tuple[int, int]:
    """224 -> (224, 224); "160x96" -> height 160, width 96."""
    numbers = str(image_size).lower().split("x")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(
            f"image size {image_size!r} is not a number or HEIGHTxWIDTH, like 224 or 160x96"
        )
    height, width = (int(number) for number in (numbers * 2)[:2])
    return height, width
