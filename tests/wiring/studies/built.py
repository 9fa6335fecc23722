"""Studies whose runs end before their first step, and what is compared in them."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from wiring.small import NotTrained, begun

import fcmae
from fcmae.images import Batch
from fcmae.models.autoencoder import Autoencoder
from fcmae.models.classifier import Classifier
from fcmae.models.contrastive import MomentumContrast
from fcmae.models.layers import DropPath
from fcmae.pretraining import contrastive as moco_v3
from fcmae.sizes import SIZES
from fcmae.studies import page, setting
from fcmae.studies.contrastive import contrastive
from fcmae.studies.grn import grn
from fcmae.studies.mask_ratio import mask_ratio
from fcmae.studies.normalization import normalization
from fcmae.studies.scaling import scaling
from fcmae.training.trainer import Trainer

PRETRAINING, CONTRASTIVE, FINETUNING, SUPERVISED = (
    "pretraining",
    "contrastive",
    "finetuning",
    "supervised",
)
Parts = tuple[str, ...]  # of the scale, that a setting is trained by, one after the other
MASKED: Parts = (PRETRAINING, FINETUNING)
# Each study, and the parts by which its settings are trained; all of the settings there are.
STUDIES: dict[str, tuple[Callable[..., list[dict[str, Any]]], dict[str, Parts]]] = {
    "grn": (grn, dict.fromkeys(("base", "scale", "aggregate", "normalise", "grn"), MASKED)),
    "contrastive": (
        contrastive,
        {"supervised": (SUPERVISED,), "moco-v3": (CONTRASTIVE, FINETUNING), "fcmae": MASKED},
    ),
    "scaling": (
        scaling,
        {
            "convnext_tiny-supervised": (SUPERVISED,),
            "convnextv2_tiny-supervised": (SUPERVISED,),
            "convnext_tiny-fcmae": MASKED,
            "convnextv2_tiny-fcmae": MASKED,
        },
    ),
    "normalization": (
        functools.partial(normalization, finetuned=True),
        dict.fromkeys(("none", "layer", "batch", "local", "grn"), MASKED),
    ),
    "mask-ratio": (mask_ratio, {f"0.{tenth}": MASKED for tenth in range(1, 10)}),
}
# No value is the small scale's, and no two parts have the same.
VALUES: dict[str, str | int | float] = {
    "size": "tiny",
    "image_size": 64,
    "stem_stride": 2,
    "num_images": 28,
    "num_val_images": 14,
    "pretraining_epochs": 11,
    "pretraining_batch_size": 8,
    "pretraining_base_learning_rate": 3.125e-3,
    "contrastive_epochs": 7,
    "contrastive_batch_size": 10,
    "contrastive_base_learning_rate": 5.25e-3,
    "finetuning_epochs": 9,
    "finetuning_batch_size": 4,
    "finetuning_base_learning_rate": 7.5e-3,
    "label_share": 0.5,
    "patience": 3,
    "supervised_epochs": 13,
    "supervised_batch_size": 6,
    "supervised_base_learning_rate": 2.375e-3,
    "supervised_warmup_epochs": 5,
    "supervised_drop_path": "true",
    "seeds": 1,
}
WIDE = 16  # channels of the first stage, of Tiny alone
ALIKE, HALF = [4] * 7, [2] * 7  # images of each class: 28 of 7 classes, and half of their labels
# What these values come to: steps are epochs times whole batches of 28 images, or of 14 with
# labels. Rates are base x batch / 256, or, for few images with labels, base x the roots of the
# batch and of Table 3's batch of 1024 / 256. Table 3 has a drop path of 0.2.
EVERYWHERE = {"size": WIDE, "image_size": (64, 64), "stem_stride": (2, 2), "seeds": 1}
LABELLED = {"num_images": 14, "label_share": HALF, "num_val_images": HALF, "patience": 3}
FOUND: dict[str, dict[str, Any]] = {
    PRETRAINING: {
        "num_images": ALIKE,
        "pretraining_epochs": 11 * (28 // 8),
        "pretraining_batch_size": 8,
        "pretraining_base_learning_rate": 3.125e-3 * 8 / 256,
    },
    CONTRASTIVE: {
        "num_images": ALIKE,
        "contrastive_epochs": 7 * (28 // 10),
        "contrastive_batch_size": 10,
        "contrastive_base_learning_rate": 5.25e-3 * 10 / 256,
    },
    FINETUNING: LABELLED
    | {
        "finetuning_epochs": 9 * (14 // 4),
        "finetuning_batch_size": 4,
        "finetuning_base_learning_rate": 7.5e-3 * math.sqrt(4 * 1024) / 256,
        "drop_path": 0.2,
    },
    SUPERVISED: LABELLED
    | {
        "supervised_epochs": 13 * (14 // 6),
        "supervised_batch_size": 6,
        "supervised_base_learning_rate": 2.375e-3 * math.sqrt(6 * 1024) / 256,
        "supervised_warmup_epochs": 5 * (14 // 6),
        "supervised_drop_path": 0.1,
    },
}


@dataclass(frozen=True)
class Built:
    """A run that was not begun.

    Attributes:
        run: task, place and batching.
        first: the weights that it would begin with.
    """

    run: NotTrained
    first: dict[str, Tensor]

    @property
    def task(self) -> Any:
        """What would be trained."""
        return self.run.task

    @functools.cached_property
    def batches(self) -> list[Batch[Any]]:
        """Of the first two steps, read as they would be."""
        task, run = self.task, self.run
        trainer = Trainer(task.out, task, run.runtime, run.batching, lambda: False, resumed=False)
        return list(trainer.load(0, 2, run.batching.workers))

    @functools.cached_property
    def rates(self) -> list[float]:
        """The learning rate of each step."""
        return [self.task.plan.learning_rate_at(step) for step in range(self.task.plan.steps)]


Key = tuple[str, int, str]  # a setting's name, its seed, and "pretrain" or "finetune"


@dataclass(frozen=True)
class Study:
    """What a study built, and its rows."""

    built: dict[Key, Built]
    rows: list[dict[str, Any]]

    def all(self, command: str) -> dict[str, Built]:
        """The runs of a command, of seed 0, by setting."""
        return {
            name: run for (name, seed, of), run in self.built.items() if (seed, of) == (0, command)
        }


def encoder_of(task: Any) -> Any:
    """The backbone that is trained."""
    trained = task.trained
    if isinstance(trained, MomentumContrast):
        return trained.query.encoder
    return trained.encoder if isinstance(trained, Autoencoder) else trained


def build(
    study: Callable[..., list[dict[str, Any]]], data: Path, out: Path, **options: Any
) -> Study:
    """Call a study whose runs end before their first step.

    What pre-training leaves behind are weights that no other leaves, so that it shows which of them
    fine-tuning takes.
    """
    built: dict[Key, Built] = {}

    def beginning(command: Callable[..., Path]) -> Callable[..., Path]:
        def begin(*, out: str, resume: bool, **options: Any) -> Path:
            assert not resume
            folder = Path(out)
            run = begun(command, folder, **options)
            state = {name: value.clone() for name, value in run.task.trained.state_dict().items()}
            seed = int(folder.parent.name.removeprefix("seed-"))
            built[folder.parent.parent.name, seed, folder.name] = Built(run, state)
            torch.manual_seed(len(built))
            for value in encoder_of(run.task).state_dict().values():
                value.add_(0.1 * torch.rand(value.shape))
            run.task.save_weights(0)
            result = {"accuracy": 0.5, "epoch": 1} if folder.name == "finetune" else {}
            name = "validation.json" if result else "metrics.jsonl"
            (folder / name).write_text(json.dumps(result or {"kind": "epoch", "loss": 0.25}))
            return folder

        return begin

    recipe = dataclasses.replace(moco_v3.METHOD.recipe, hidden_width=16)  # 4096 take a second
    narrow = dataclasses.replace(moco_v3.METHOD, recipe=recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setting, "pretrain", beginning(fcmae.pretrain))
        patch.setattr(setting, "finetune", beginning(fcmae.finetune))
        patch.setattr(page, "write", lambda *_: None)
        patch.setattr(moco_v3, "METHOD", narrow)
        rows = study(data=data, out=out, device="cpu", workers=0, **options)
    return Study(built, rows)


def widen(patch: pytest.MonkeyPatch) -> None:
    """Give Tiny, of V1 and V2, twice the channels of all others: so it shows which is built."""
    for name in ("convnext_tiny", "convnextv2_tiny"):
        patch.setitem(SIZES, name, dataclasses.replace(SIZES[name], width=WIDE))


def drop_paths(task: Any) -> list[float]:
    """Rates of all blocks, first to last."""
    return [layer.rate for layer in task.trained.modules() if isinstance(layer, DropPath)]


def check_pretrained(before: Built, after: Built) -> None:
    """Fine-tuning begins with all that pre-training has left, and a fresh head."""
    left = encoder_of(before.task).state_dict()
    assert after.first.keys() - left.keys() == {
        f"{layer}.{part}" for layer in ("norm", "head") for part in ("weight", "bias")
    }
    for name, value in left.items():
        assert torch.equal(after.first[name], value), name
    assert isinstance(after.task.trained, Classifier)
