"""A task that the package does not have: a few pictures segmented, its length in iterations.

It is all that a task brings: examples with targets, a loss, a validation with a metric that
decides, weights to take away and a page.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from fcmae.commands.command import command
from fcmae.commands.shared import Training
from fcmae.images import (
    Batch,
    Decoded,
    EncodedSet,
    EvaluationView,
    FileSource,
    centre_crop,
    list_images,
)
from fcmae.images.pixels import Shrinkage, whole
from fcmae.images.segmentation import IGNORED, SegmentationView, Segmented
from fcmae.inference.loop import Preprocessing, evaluating, forward_in_order
from fcmae.optim import parameter_groups
from fcmae.report import summary
from fcmae.report.page import run_page
from fcmae.report.run import Run
from fcmae.storage import atomic
from fcmae.training.batching import Batching, make_batching
from fcmae.training.devices import Runtime, choose_device
from fcmae.training.engine import Summed
from fcmae.training.journal import AnyJournal
from fcmae.training.plan import Plan
from fcmae.training.start import check_resumed, open_run
from fcmae.training.task import Follower, Measured
from fcmae.training.trainer import train
from fcmae.training.validation import Best, Metrics

CLASSES, SIDE, VALIDATED = 2, 16, 24


@dataclass(frozen=True, kw_only=True)
class Segment(Training):
    """Segment toys.

    Args:
        iterations: steps of the run.
        iterations_per_measurement: from one validation to the next.
        batch_size: images a step.
    """

    iterations: int = 23
    iterations_per_measurement: int = 7
    batch_size: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a table of toys would say."""

    base_learning_rate: float = 3.0
    weight_decay: float = 0.05
    optimizer_momentum: tuple[float, float] = (0.9, 0.95)
    warmup_epochs: float = 1.0
    minimum_learning_rate: float = 0.0
    crop_scale: tuple[float, float] = (0.5, 1.5)
    horizontal_flip: float = 0.5
    response: str = "response"


class LabelMaps:
    """DIR/images/NAME.png and, for each, DIR/labels/NAME.png."""

    def __init__(self, folder: Path) -> None:
        source = FileSource(list_images(folder / "images"), folder / "images")
        self.images, self.labels = EncodedSet(source), folder / "labels"

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """As the folder calls it."""
        return self.images.name(index)

    def read(self, index: int, channels: int, shrinkage: Shrinkage = whole) -> Decoded:
        """The image."""
        return self.images.read(index, channels, shrinkage)

    def target(self, index: int) -> Tensor:
        """Its label map, uint8 [H, W]."""
        return torch.from_numpy(np.array(Image.open(self.labels / self.name(index))))


class SegmentationTask:
    """Two layers, and the cross-entropy of each labelled pixel."""

    doing = "segmentation"
    followers: tuple[Follower, ...] = ()

    def __init__(
        self,
        runtime: Runtime,
        *,
        out: Path,
        plan: Plan,
        images: LabelMaps,
        val: LabelMaps,
        batching: Batching,
    ) -> None:
        self.out, self.plan, self.images, self.val = out, plan, images, val
        self.runtime, self.batching = runtime, batching
        torch.manual_seed(plan.seed)
        self.trained = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, CLASSES, 1)
        ).to(runtime.device)
        self.kept: nn.Module = self.trained
        self.groups = parameter_groups(self.trained, plan.recipe.weight_decay)
        recipe = plan.recipe
        self.view = SegmentationView(
            plan.image_size, recipe.crop_scale, recipe.horizontal_flip, plan.mean
        )
        self.mean = torch.tensor(plan.mean).view(-1, 1, 1)
        self.std = torch.tensor(plan.std).view(-1, 1, 1)
        self.state: dict[str, Any] = {}
        self.best = Best(self.state, plan.period)

    def prepare(self, batch: Batch[Segmented]) -> tuple[Tensor, Tensor]:
        """Normalised images and label maps."""
        return (batch.examples.image - self.mean) / self.std, batch.examples.label_map

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Summed:
        """Over the labelled pixels, of which each crop has another number."""
        total = F.cross_entropy(module(images), other, ignore_index=IGNORED, reduction="sum")
        return Summed(total, (other != IGNORED).sum())

    def measure(self, journal: AnyJournal, step: int) -> Measured:
        """Mean IoU decides."""
        number = -(-step // self.plan.steps_per_period)
        metrics = self.validate()
        line = {"kind": "validation", "step": step, self.plan.period: number}
        journal.metrics(line | dict(metrics.values))
        better = self.best.is_beaten(metrics, number)
        if better:
            atomic.save_tensors(self.out / "best.safetensors", self.trained.state_dict())
        return Measured(worth_reporting=better)

    def validate(self) -> Metrics:
        """Over all pixels of the other images, whole."""
        plan, pairs = self.plan, torch.zeros(CLASSES, CLASSES, dtype=torch.long)
        size = (VALIDATED, VALIDATED)
        preprocessing = Preprocessing(size, 3, plan.mean, plan.std, batch_size=3, workers=0)
        with evaluating(self.trained):
            for output in forward_in_order(
                self.trained,
                self.val,
                preprocessing,
                self.runtime,
                view=EvaluationView(size, centre_crop),
            ):
                (scores,) = output.tensors
                labels = torch.stack([self.val.target(i).long() for i in output.indices])
                counted = labels != IGNORED
                found = CLASSES * labels[counted] + scores.argmax(1)[counted]
                pairs += found.bincount(minlength=CLASSES**2).view(CLASSES, CLASSES)
        right = pairs.diag().double()
        unions = pairs.sum(0) + pairs.sum(1) - right
        values = {
            "mean_iou": (right / unions).mean().item(),
            "pixel_accuracy": (right.sum() / pairs.sum()).item(),
        }
        return Metrics(values, deciding="mean_iou")

    def save_weights(self, step: int) -> None:
        """All of them."""
        path = self.out / "weights.safetensors"
        atomic.save_tensors(path, self.trained.state_dict(), {"step": step})


def start(options: Segment) -> Path:
    """Run `segment` with these options."""
    opened = open_run(options, "segment")
    options, device = opened.options, choose_device(opened.options.device)
    images, val = (LabelMaps(Path(opened.data) / split) for split in ("train", "val"))
    plan = Plan(
        **opened.facts([images, val], 3, device)._asdict(),
        batch_size=options.batch_size,
        epochs=-(-options.iterations // (len(images) // options.batch_size)),
        iterations=options.iterations,
        iterations_per_measurement=options.iterations_per_measurement,
        model="toy",
        in_channels=3,
        stem_stride=4,
        image_size=(SIDE, SIDE),
        seed=options.seed,
        decoding="exact",
        recipe=Recipe(),
    )
    check_resumed(opened.resumed, plan, options)
    batching = make_batching(options, plan.batch_size, device)
    make = partial(
        SegmentationTask, out=opened.out, plan=plan, images=images, val=val, batching=batching
    )
    return train(opened, make, plan, batching, device, parameters=242, own={"classes": CLASSES})


def page(run: Run) -> str:
    """The report."""
    return run_page("report/run.html", run, [summary.steps_done(run), "Segmented."], [], {})


segment = command(Segment, f"{__name__}:start", Path)


def draw_data(folder: Path) -> Path:
    """Discs on stripes; a ring around each disc, and a corner, have no label."""
    noise = np.random.default_rng(0)
    for split, number in (("train", 11), ("val", 4)):
        for part in ("images", "labels"):
            (folder / split / part).mkdir(parents=True)
        for index in range(number):
            height, width = (VALIDATED, VALIDATED) if split == "val" else (20 + index, 33 - index)
            y, x = np.mgrid[:height, :width]
            distance = np.hypot(y - height * noise.uniform(0.3, 0.7), x - width / 2)
            labels = np.where(distance < 6, 1, 0)
            labels[(distance >= 6) & (distance < 7)] = IGNORED
            labels[: index % 5, : index % 7] = IGNORED
            colours = np.where(distance[..., None] < 6, (200, 60, 40), (60, 90, 180))
            pixels = colours + 20 * np.sin(x)[..., None] + noise.normal(0, 9, (height, width, 3))
            for part, values in (("images", pixels.clip(0, 255)), ("labels", labels)):
                picture = Image.fromarray(values.astype(np.uint8))
                picture.save(folder / split / part / f"{index:02d}.png")
    return folder
