"""What the tests of the wiring share: tiny models, a few pictures, and tasks that were not trained.

Commands are called as users call them, so that these tests know the plan and what is computed, and
little of what lies between.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fcmae
from fcmae.sizes import SIZES, Size
from fcmae.training import trainer

BATCH, STEPS_PER_EPOCH = 4, 3
TRAIN_IMAGES = 14  # three batches of four, and two images that wait for another epoch
CLASSES = tuple("abcdefg")  # more than five, so that top-5 is not everything


@contextmanager
def tiny_sizes() -> Iterator[None]:
    """Every model has one block a stage, and 8 channels in the first.

    Only the sizes that layer decay by groups is made for keep their 27 blocks in the third.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, size in SIZES.items():
            third = size.depths[2] if size.depths[2] == 27 else 1
            patch.setitem(SIZES, name, Size((1, 1, third, 1), 8, size.parameters, size.flops))
        yield


class NotTrained:
    """Stands for a run that ends before its first step."""

    def __init__(
        self, out: Path, task: Any, runtime: Any, batching: Any, *_: Any, **__: Any
    ) -> None:
        self.task, self.runtime, self.batching = task, runtime, batching

    def run(self) -> None:
        """Do nothing."""


def built(command: Callable[..., Path], out: Path, **options: Any) -> Any:
    """The task that a command builds, with its data, before the first step.

    Args:
        command: `fcmae.pretrain` or `fcmae.finetune`.
        out: a run folder; what is there is deleted.
        options: of the command.
    """
    return begun(command, out, **options).task


def begun(command: Callable[..., Path], out: Path, **options: Any) -> NotTrained:
    """As `built`, with the runtime and the batching beside the task."""
    runs: list[NotTrained] = []

    def begin(*arguments: Any, **more: Any) -> NotTrained:
        runs.append(NotTrained(*arguments, **more))
        return runs[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "Trainer", begin)
        command(out=str(out), overwrite=True, **options)
    assert len(runs) == 1
    return runs[0]


def save_weights(path: Path, *, stem_stride: int = 2) -> Path:
    """An encoder's, in which no part is without effect, as GRN's are that are fresh."""
    torch.manual_seed(11)
    encoder = fcmae.create_autoencoder(stem_stride=stem_stride).encoder
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    fcmae.save_weights(encoder, path)
    return path


def save_picture(path: Path, number: int) -> None:
    """Coloured waves and a little noise; sides and look depend on the number; some are grey."""
    height, width = 40 + number % 7, 58 - number % 5
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (2 + c + number % 4) + y / (3 + number % 6) + c) for c in range(3)]
    noise = np.random.default_rng(number).normal(0, 6, (height, width, 3))
    pixels = (127 + 110 * np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture.convert("L") if number % 7 == 3 else picture).save(path)


def save_unlabelled(root: Path) -> Path:
    """Pictures in two folders."""
    for number in range(TRAIN_IMAGES):
        save_picture(root / f"group{number % 2}" / f"{number:02d}.png", number)
    return root


def save_labelled(root: Path) -> Path:
    """Seven classes: two of each to train on, three of each to validate on."""
    for number in range(TRAIN_IMAGES):
        save_picture(root / "train" / CLASSES[number % 7] / f"{number:02d}.png", number)
    for number in range(21):
        save_picture(root / "val" / CLASSES[number % 7] / f"{number:02d}.png", number + 100)
    return root
