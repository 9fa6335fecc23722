"""One process's part in a pre-training run, from the first step or from a checkpoint to the end."""

import json
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.progress import Progress, TaskID
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fcmae import checkpoint
from fcmae.autoencoder import Output, create_autoencoder
from fcmae.devices import Place
from fcmae.engine import NonFiniteError, Step, optimise
from fcmae.images import (
    Batch,
    ImageSet,
    Order,
    RandomView,
    TooManyUnreadable,
    Unreadables,
    load,
    sample_seed,
)
from fcmae.journal import Journal, Silence
from fcmae.masks import random_mask
from fcmae.optim import learning_rate, parameter_groups
from fcmae.report import write_report
from fcmae.tasks.interrupt import Interrupt, Interrupted
from fcmae.tasks.looks import Looker, Pictures, epochs_to_look
from fcmae.tasks.nonfinite import diagnose, gather, in_words
from fcmae.tasks.plan import Plan
from fcmae.tasks.screen import progress_bar, say
from fcmae.tasks.timing import Timing


@dataclass(frozen=True, slots=True)
class Pace:
    """How the work is cut up in one process."""

    local_batch_size: int  # images of a step in this process
    micro_batch_size: int  # images at a time
    checkpoint_blocks: bool  # recompute them in the backward pass
    workers: int
    seconds_between_checkpoints: float


class PretrainingRun:
    """Everything that a run holds while it runs.

    Args:
        out: the run folder.
        plan: what to compute.
        images: the data.
        pictures: those to look at as the run goes on; None in processes that write nothing.
        place: device and processes.
        pace: how the work is cut up.
        interrupt: says when to stop.
        resumed: whether to go on from the last checkpoint, if there is one.
    """

    def __init__(
        self,
        out: Path,
        plan: Plan,
        images: ImageSet,
        pictures: Pictures | None,
        place: Place,
        pace: Pace,
        interrupt: Interrupt,
        *,
        resumed: bool,
    ) -> None:
        self.out, self.plan, self.images = out, plan, images
        self.place, self.pace, self.interrupt = place, pace, interrupt
        torch.manual_seed(plan.seed)
        self.model = create_autoencoder(
            plan.model,
            in_channels=plan.in_channels,
            patch_size=plan.patch_size,
            stem_stride=plan.stem_stride,
            decoder_width=plan.recipe.decoder_width,
            decoder_depth=plan.recipe.decoder_depth,
            norm_pix=plan.recipe.norm_pix,
        ).to(place.device)
        self.model.encoder.checkpoint_blocks = pace.checkpoint_blocks
        groups = parameter_groups(
            self.model, plan.recipe.weight_decay, exempt=plan.recipe.decay_exempt
        )
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=plan.learning_rate,
            betas=plan.recipe.optimizer_momentum,
            fused=place.device.type in ("cpu", "cuda"),
        )
        self.mean = torch.tensor(plan.mean, device=place.device).view(1, -1, 1, 1)
        self.std = torch.tensor(plan.std, device=place.device).view(1, -1, 1, 1)
        self.step = 0  # steps finished
        self.window = self.epoch = (0.0, 0)  # summed loss and steps since the last line of each
        self.unreadables = Unreadables(len(images))
        self.masks: tuple[int, Tensor] | None = None  # of the step being computed
        self.resumed = resumed
        self.looker = None
        if pictures is not None:
            self.looker = Looker(
                out,
                pictures,
                mean=plan.mean,
                std=plan.std,
                mask_ratio=plan.mask_ratio,
                patch_size=plan.patch_size,
                device=place.device,
            )

    def run(self) -> None:
        """To the end of the plan, or to an interruption."""
        resumed_at = self.restore() if self.resumed else -1
        self.saved = time.monotonic()
        with Journal(self.out, resumed_at) if self.place.first else Silence() as journal:
            self.started = self.saved - journal.seconds
            if resumed_at < 0:
                self.look(journal, epoch=0)
            with progress_bar(shown=self.place.first) as bar:
                task = bar.add_task(
                    "pre-training", total=self.plan.steps, completed=self.step, figures=""
                )
                self.optimise(journal, bar, task)
        if self.step < self.plan.steps:  # in every process: they agree on when to stop
            self.share_unreadables()
            self.save()
            if self.place.first:
                report = write_report(self.out)
                say(
                    f"interrupted at step {self.step} of {self.plan.steps}; "
                    f"go on with --resume --out {self.out}"
                )
                say(f"report so far: {report}")
            # Without a signal of its own, another of the processes had one.
            raise Interrupted(self.interrupt.received or signal.SIGTERM)
        self.finish()
        if self.interrupt.received:  # too late to stop anything
            raise Interrupted(self.interrupt.received)

    def optimise(self, journal: Journal | Silence, bar: Progress, task: TaskID) -> None:
        """Step by step, keeping the books in between."""
        module: nn.Module = self.model
        if self.place.processes > 1:
            # Convolutions give channels-last gradients; copying them into buckets is cheap.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            module = DistributedDataParallel(self.model)
        steps = optimise(
            module,
            self.optimizer,
            self.batches(),
            lambda batch: self.loss_of(module, batch),
            local_batch_size=self.pace.local_batch_size,
            learning_rate=self.learning_rate,
            start=self.step,
            stop=self.plan.steps,
            place=self.place,
            interrupted=self.interrupt,
        )
        timing = Timing()
        try:
            for step in steps:
                self.keep_books(step, journal, timing)
                figures = (
                    f"loss {step.loss:.4f}  {self.plan.batch_size / step.seconds:.0f} images/s"
                )
                bar.update(task, completed=step.number, figures=figures)
        except NonFiniteError as error:
            self.save()  # the weights are still those before the step
            raise RuntimeError(self.explain(error)) from error
        except TooManyUnreadable as error:
            path = self.out / "unreadable.json"
            checkpoint.write_text(path, json.dumps(list(error.reasons.items())))
            raise ValueError(f"{error}\nall of them are named in {path}") from error
        except torch.OutOfMemoryError as error:
            raise RuntimeError(
                f"out of memory with {self.pace.micro_batch_size} images at a time: lower "
                "--micro-batch-size, or add --checkpoint-blocks (the results stay the same)"
            ) from error

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""
        return learning_rate(
            step,
            peak=self.plan.learning_rate,
            steps=self.plan.steps,
            warmup_steps=self.plan.warmup_steps,
            minimum=self.plan.recipe.minimum_learning_rate,
        )

    def batches(self) -> Iterator[Batch]:
        """This process's micro-batches from the present step on."""
        return self.load(self.step, self.plan.steps, self.pace.workers)

    def load(self, start: int, stop: int, workers: int) -> Iterator[Batch]:
        """This process's micro-batches of some steps."""
        return load(
            self.images,
            Order(len(self.images), self.plan.batch_size, self.plan.seed),
            view=RandomView(
                self.plan.image_size, self.plan.recipe.crop_scale, self.plan.recipe.horizontal_flip
            ),
            channels=self.plan.in_channels,
            seed=self.plan.seed,
            start_step=start,
            stop_step=stop,
            rank=self.place.rank,
            world_size=self.place.processes,
            micro_batch_size=self.pace.micro_batch_size,
            workers=workers,
            pin_memory=self.place.device.type == "cuda",
        )

    def loss_of(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of a micro-batch under its masks."""
        self.unreadables.add(batch.unreadable)
        images, mask = self.prepare(batch)
        with self.place.autocast():
            output: Output = module(images, mask)
        return output.loss

    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised images and their masks, on the device."""
        images = batch.images.to(self.place.device, non_blocking=True)
        mask = self.step_masks(batch.step)[batch.first : batch.first + len(images)]
        return (images - self.mean) / self.std, mask.to(self.place.device, non_blocking=True)

    def step_masks(self, step: int) -> Tensor:
        """Masks of a step's whole global batch, a function of seed and step: bool [G, h, w]."""
        if self.masks is None or self.masks[0] != step:
            height, width = self.plan.image_size
            grid = (height // self.plan.patch_size, width // self.plan.patch_size)
            generator = torch.Generator().manual_seed(sample_seed(self.plan.seed, step, MASKS))
            mask = random_mask(self.plan.batch_size, grid, self.plan.mask_ratio, generator)
            self.masks = (step, mask)
        return self.masks[1]

    def keep_books(self, step: Step, journal: Journal | Silence, timing: Timing) -> None:
        """After a step: metrics, a look at the end of some epochs, a checkpoint when it is time."""
        self.step = step.number
        self.window = (self.window[0] + step.loss, self.window[1] + 1)
        self.epoch = (self.epoch[0] + step.loss, self.epoch[1] + 1)
        timing.add(step)
        if step.number % self.plan.log_every == 0 or step.number == self.plan.steps:
            self.share_unreadables()
            journal.metrics(self.step_line(step))
            journal.timing(timing.line(step, self.plan.batch_size, self.started, self.place))
            self.window = (0.0, 0)
        epoch, within = divmod(step.number, self.plan.steps_per_epoch)
        looked = False
        if within == 0:
            loss = self.epoch[0] / self.epoch[1]
            journal.metrics({"kind": "epoch", "step": step.number, "epoch": epoch, "loss": loss})
            self.epoch = (0.0, 0)
            if self.place.first:
                say(f"epoch {epoch} of {self.plan.epochs}: loss {loss:.4f}")
            looked = epoch in epochs_to_look(self.plan.epochs)
            if looked:
                self.look(journal, epoch)
        if time.monotonic() - self.saved > self.pace.seconds_between_checkpoints:
            self.save()
        if looked and self.place.first:
            write_report(self.out)

    def step_line(self, step: Step) -> dict[str, Any]:
        """A line of the metrics: the mean loss since the line before."""
        return {
            "kind": "step",
            "step": step.number,
            "epoch": step.number / self.plan.steps_per_epoch,
            "loss": self.window[0] / self.window[1],
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
        }

    def look(self, journal: Journal | Silence, epoch: int) -> None:
        """Reconstruct the fixed images and measure the features' diversity."""
        if self.looker is not None:
            seen = self.looker.look(self.model, epoch)
            journal.metrics({"kind": "look", "step": self.step, "epoch": epoch, **seen})

    def share_unreadables(self) -> None:
        """Let every process know of every file that one of them could not read."""
        if self.place.processes > 1:
            gathered: list[list[list[str]]] = [[] for _ in range(self.place.processes)]
            dist.all_gather_object(gathered, self.unreadables.state())
            for state in gathered:
                self.unreadables.add((name, reason) for name, reason in state)
        if self.place.first:
            checkpoint.write_text(
                self.out / "unreadable.json", json.dumps(self.unreadables.state())
            )

    def restore(self) -> int:
        """Go on from the last checkpoint, if there is one: its step, or -1."""
        found = checkpoint.load(self.out / "checkpoints", self.place.device)
        if found is None:
            return -1
        checkpoint.restore(found, self.model, self.optimizer)
        self.step = found.state["step"]
        self.window, self.epoch = tuple(found.state["window"]), tuple(found.state["epoch"])
        self.unreadables.restore(found.state["unreadable"])
        if self.place.first:
            say(f"resuming at step {self.step} of {self.plan.steps}")
        return self.step

    def save(self) -> None:
        """Write a checkpoint and the encoder's weights."""
        if self.place.first:
            state = {
                "step": self.step,
                "window": self.window,
                "epoch": self.epoch,
                "unreadable": self.unreadables.state(),
            }
            folder = self.out / "checkpoints"
            try:
                checkpoint.save(folder, self.model, self.optimizer, state)
                self.save_weights()
            except OSError as error:
                kept = (
                    "The checkpoint before it is whole"
                    if checkpoint.exists(folder)
                    else ("There is no checkpoint before it")
                )
                raise OSError(
                    f"step {self.step} cannot be saved ({error}). {kept}: make room and go on with "
                    f"--resume --out {self.out}"
                ) from error
        self.saved = time.monotonic()

    def save_weights(self) -> None:
        """The encoder, in the authors' names, with what is needed to build it again."""
        described = {
            "model": self.plan.model,
            "in_channels": self.plan.in_channels,
            "stem_stride": self.plan.stem_stride,
            "step": self.step,
        }
        weights = self.model.encoder.state_dict()
        checkpoint.save_tensors(self.out / "weights.safetensors", weights, described)

    def finish(self) -> None:
        """The last checkpoint, the weights, the report."""
        self.save()
        if self.place.first:
            report = write_report(self.out)
            if len(self.unreadables):
                say(
                    f"{len(self.unreadables)} files could not be read; they are named in the report"
                )
            say(f"weights: {self.out / 'weights.safetensors'}")
            say(f"report:  {report}")

    def explain(self, error: NonFiniteError) -> str:
        """Find the images and the layer behind a loss that is not a number, and write them down."""
        batches = self.load(error.step, error.step + 1, workers=0)
        parts = (
            (*self.prepare(batch), [self.images.name(i) for i in batch.indices])
            for batch in batches
        )

        def loss(images: Tensor, mask: Tensor) -> Tensor:
            with torch.no_grad(), self.place.autocast():
                output: Output = self.model(images, mask)
                return output.loss

        causes = gather(diagnose(self.model, parts, loss), self.place.processes)
        found = {"step": error.step, "what": str(error), **causes}
        path = self.out / "non_finite.json"
        if self.place.first:
            checkpoint.write_text(path, json.dumps(found, indent=2) + "\n")
        or_precision = "" if self.place.precision == "fp32" else " or --precision fp32"
        return (
            f"{in_words(found)} (all in {path}). The weights before this step are kept in "
            f"{self.out / 'checkpoints'}. Look at these images, or start again with a lower "
            f"learning rate (--set base_learning_rate=...){or_precision}."
        )


MASKS = 1 << 40  # sets the masks' seeds apart from the crops', whose index is that of an image
