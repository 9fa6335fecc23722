"""The task of fine-tuning: a classifier and its average, mixed images, validation."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcmae.console.screen import say
from fcmae.finetuning.plan import FinetuningPlan
from fcmae.finetuning.validation import validate
from fcmae.images import (
    AugmentedView,
    Batch,
    Classified,
    Labelled,
    Unreadable,
    centre_crop,
    sample_seed,
)
from fcmae.images.augment import erase
from fcmae.images.fixed_images import show
from fcmae.images.mixing import draw_mix, mix
from fcmae.inference.loop import Preprocessing
from fcmae.models.classifier import Classifier
from fcmae.models.layers import DropPath, compile_blocks
from fcmae.optim import Average, layer_scales, parameter_groups
from fcmae.storage import atomic
from fcmae.training.batching import Batching
from fcmae.training.devices import Runtime
from fcmae.training.journal import AnyJournal
from fcmae.training.task import Follower, Measured
from fcmae.training.validation import Best

# Set the seeds of what is drawn a step apart from those of the crops, whose index is an image's.
MIXES, DROPS = 1 << 41, 1 << 42
ERASURES = 1 << 43
PICTURE = 160  # pixels a side of a mistake's picture


class FinetuningTask:
    """A classifier under a plan.

    Args:
        out: the run folder.
        plan: what to compute.
        images: what to train on.
        val: what to validate on.
        model: with its first weights; moved to the runtime's device.
        runtime: device and precision.
        batching: images at a time, and processes that read them; whether blocks are recomputed in
            the backward pass, and whether they are compiled.
    """

    doing = "fine-tuning"

    def __init__(
        self,
        out: Path,
        plan: FinetuningPlan,
        images: Labelled,
        val: Labelled,
        model: Classifier,
        runtime: Runtime,
        batching: Batching,
    ) -> None:
        self.out, self.plan, self.images, self.val, self.runtime = out, plan, images, val, runtime
        self.batching = batching
        recipe = plan.recipe
        magnitude, deviation = recipe.rand_augment
        self.view = AugmentedView(
            plan.image_size,
            recipe.crop_scale,
            recipe.horizontal_flip,
            ("RandAug", int(magnitude), deviation) if magnitude else None,
            plan.mean,
            plan.decoding,
        )
        self.trained = model.to(runtime.device)
        model.checkpoint_blocks = batching.checkpoint_blocks
        if batching.compile_blocks:
            compile_blocks(model)
        self.drops = [layer for layer in model.modules() if isinstance(layer, DropPath)]
        self.drawn: tuple[int, Tensor] | None = None  # of the step being computed, for each of them
        self.kept = nn.ModuleDict({"model": self.trained})
        self.average, self.followers = None, tuple[Follower, ...]()
        if recipe.ema:
            self.average = Average(self.trained, recipe.ema, warmup=recipe.ema_warmup)
            self.followers = (self.move_average,)
            self.kept["average"] = self.average.module
        scales = layer_scales(plan.model, recipe.layer_decay, recipe.layer_decay_kind)
        self.groups = parameter_groups(self.trained, recipe.weight_decay, scales=scales)
        self.mean = torch.tensor(plan.mean, device=runtime.device).view(1, -1, 1, 1)
        self.std = torch.tensor(plan.std, device=runtime.device).view(1, -1, 1, 1)
        self.state: dict[str, Any] = {}
        self.best = Best(self.state, plan.period, plan.patience)

    def prepare(self, batch: Batch[Classified]) -> tuple[Tensor, Tensor]:
        """Normalised, erased and mixed images, and soft targets [n, K], on the device."""
        recipe, device, step = self.plan.recipe, self.runtime.device, batch.step
        images = (batch.examples.image.to(device, non_blocking=True) - self.mean) / self.std
        if recipe.random_erasing:
            positions = range(batch.first, batch.first + len(images))
            seeds = [sample_seed(self.plan.seed, step, ERASURES + number) for number in positions]
            images = erase(images, seeds, recipe.random_erasing)
        seed = sample_seed(self.plan.seed, step, MIXES)
        drawn = draw_mix(self.plan.image_size, mixup=recipe.mixup, cutmix=recipe.cutmix, seed=seed)
        labels = batch.examples.label.to(device, non_blocking=True)
        number = len(self.plan.classes)
        images, targets = mix(images, labels, number, drawn, smoothing=recipe.label_smoothing)
        self.draw_paths(step, slice(batch.first, batch.first + len(images)))
        return images, targets

    def draw_paths(self, step: int, positions: slice) -> None:
        """Give drop path its numbers: a function of the step and the position in the global batch.

        So a run does not depend on how its batches are divided into micro-batches and processes.
        """
        if self.drawn is None or self.drawn[0] != step:
            generator = torch.Generator().manual_seed(sample_seed(self.plan.seed, step, DROPS))
            shape = (len(self.drops), self.plan.batch_size)
            self.drawn = (step, torch.rand(shape, generator=generator))
        for layer, numbers in zip(self.drops, self.drawn[1], strict=True):
            layer.drawn = numbers[positions].to(self.runtime.device)

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """Cross-entropy with soft targets."""
        return F.cross_entropy(module(images).float(), other)

    def move_average(self, step: int) -> None:
        """By the weights after a step."""
        assert self.average is not None
        self.average.update(self.trained, step)

    def measure(self, journal: AnyJournal, step: int) -> Measured:
        """Validate; keep the best."""
        if step == 0:  # a fresh head knows no class
            return Measured()
        epoch = step // self.plan.steps_per_epoch
        models = [self.trained] + ([self.average.module] if self.average else [])
        preprocessing = Preprocessing(
            size=self.plan.image_size,
            channels=self.plan.in_channels,
            mean=self.plan.mean,
            std=self.plan.std,
            batch_size=self.batching.micro_batch_size,
            workers=self.batching.workers,
        )
        validations, unreadable = validate(models, self.val, preprocessing, self.runtime)
        measured = [validation.metrics for validation in validations]
        average = measured[1].values if self.average else None
        line = {"kind": "validation", "step": step, "epoch": epoch, **measured[0].values}
        journal.metrics({**line, "average": average})
        deciding = measured[-1]
        if self.runtime.first:
            say(f"epoch {epoch} of {self.plan.epochs}: validation accuracy {deciding.score:.2%}")
        better = self.best.is_beaten(deciding, epoch)
        if better and self.runtime.first:
            summary = validations[-1].summary()
            self.keep_best(step, epoch, {**summary, "unreadable": list(unreadable.items())})
        stop = self.best.stops(deciding, epoch, step, journal)
        return Measured(worth_reporting=better or epoch == self.plan.epochs, stop=stop)

    def keep_best(self, step: int, epoch: int, summary: dict[str, Any]) -> None:
        """The weights of the best epoch, what it got wrong, and pictures of that."""
        self.write_weights("best.safetensors", step)
        pictures = self.out / "mistakes"
        pictures.mkdir(exist_ok=True)
        for rank, mistake in enumerate(summary["mistakes"]):
            path = pictures / f"{rank}.webp"
            try:
                image = self.val.read(mistake.pop("index"), self.plan.in_channels).pixels
            except Unreadable:  # gone since it was validated on: the report shows a blank
                path.unlink(missing_ok=True)
                continue
            temporary = pictures / f"{rank}.webp.unfinished"
            show(centre_crop(image, (PICTURE, PICTURE))).save(temporary, "WEBP", quality=90)
            atomic.replace(temporary, path)
        for path in pictures.iterdir():  # of an earlier best epoch, which had more of them
            if int(path.name.partition(".")[0]) >= len(summary["mistakes"]):
                path.unlink()
        found = {
            "epoch": epoch,
            "of": "average" if self.average else "model",
            "classes": self.plan.classes,
            "train_images": self.images.counts(),
            **summary,
        }
        atomic.write_text(self.out / "validation.json", json.dumps(found) + "\n")

    def save_weights(self, step: int) -> None:
        """The last weights: the average where there is one."""
        self.write_weights("weights.safetensors", step)

    def write_weights(self, name: str, step: int) -> None:
        """Weights with what is needed to use them, in the authors' names."""
        classes = self.plan.classes
        described = self.plan.describe_weights(
            step, {"num_classes": len(classes), "classes": classes}
        )
        model = self.average.module if self.average else self.trained
        atomic.save_tensors(self.out / name, model.state_dict(), described)
