"""Fine-tuning, from weights and a folder of classes to a classifier and a report (Tables 2-6)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcmae.commands.command import command
from fcmae.commands.shared import Training


@dataclass(frozen=True, kw_only=True)
class Finetune(Training):
    """Train a classifier on labelled images, from pre-trained weights or from scratch.

    Up to 50,000 images, it departs from the tables in what they need: shorter, learning rate by
    the batch size's square root, a short warm-up, and an average of weights that starts quickly.
    `--dry-run` and the report name each departure. Beside weights.safetensors, of the last epoch,
    the run folder gets best.safetensors, of the epoch with the best validation accuracy.

    Ctrl-C and SIGTERM save the run and leave with exit code 130 or 143; `--resume` then goes on
    as if nothing had happened, also after a crash. Under torchrun the processes share each batch.

    Args:
        data: folder with train/CLASS and val/CLASS; or "sample", the photographs that come with
            scikit-image. Needed unless a run is resumed.
        init: run folder of a pre-training or fine-tuning, or a weights file of any dialect. Its
            head is never taken over. Default: from scratch.
        key: which of several states of a .pth file to take, such as model_ema.
        model: see `fcmae models`. Default: that of the weights, from scratch convnextv2_atto.
        stage: which of the paper's tables to follow: 1k (Tables 2-4), 22k (5) or 22k-to-1k (6).
        epochs: passes over the images. Default: the table's; at most 100 for up to 50,000 images.
        batch_size: images a step, over all processes and micro-batches. Default: the largest power
            of two that leaves 32 steps an epoch, at most the table's.
        image_size: pixels, one number for squares or HEIGHTxWIDTH. Default: that of the weights,
            or 224.
        stem_stride: 4; or 1 or 2 for images of 32 to 96 pixels. Default: that of the weights, or 4.
        in_channels: channels of the images. Default: those of the weights, or 3.
        label_share: share of the training labels to use, the same of each class, drawn by the seed.
        patience: epochs without a better validation accuracy after which to stop. Default: never.

    Returns:
        The run folder.

    Raises:
        ValueError: for bad input, naming the field, the value and the remedy.
        Interrupted: after a signal, once the state is saved.
        RuntimeError: if the loss stops being a number, naming step, images and layer.
    """

    model: str | None = None
    stage: Literal["1k", "22k", "22k-to-1k"] = "1k"
    epochs: int | None = None
    batch_size: int | None = None
    image_size: int | str | None = None
    stem_stride: int | None = None
    in_channels: int | None = None
    label_share: float = 1.0
    patience: int | None = None


finetune = command(Finetune, "fcmae.finetuning.run:run_finetune", Path)
