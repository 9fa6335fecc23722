"""One process's part in a run, whatever is trained: from its first step or a checkpoint to the end.

A task says what is trained and how; everything here is the same for all of them.
"""

import json
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.progress import Progress, TaskID
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fcmae.console.screen import progress_bar, say
from fcmae.images import Batch, Order, TooManyUnreadable, Unreadables, load
from fcmae.report import write_report
from fcmae.storage import atomic
from fcmae.training import checkpoint
from fcmae.training.batching import Pace
from fcmae.training.devices import Place
from fcmae.training.engine import NonFiniteError, Step, optimise
from fcmae.training.journal import Journal, Silence
from fcmae.training.non_finite import diagnose, gather, in_words
from fcmae.training.signals import Interrupt, Interrupted
from fcmae.training.task import Books, Task
from fcmae.training.timing import Timing, Waits


class Training:
    """Everything that a run holds while it runs.

    Args:
        out: the run folder.
        task: what is trained.
        place: device and processes.
        pace: how the work is cut up.
        interrupt: says when to stop.
        resumed: whether to go on from the last checkpoint, if there is one.
    """

    def __init__(
        self,
        out: Path,
        task: Task,
        place: Place,
        pace: Pace,
        interrupt: Interrupt,
        *,
        resumed: bool,
    ) -> None:
        self.out, self.task, self.schedule = out, task, task.schedule
        self.place, self.pace, self.interrupt, self.resumed = place, pace, interrupt, resumed
        self.step = 0  # steps finished
        self.stopped = False  # early, by the task
        self.window = self.epoch = (0.0, 0)  # summed loss and steps since the last line of each
        self.unreadables = Unreadables(len(task.images))
        self.waits = Waits()

    def run(self) -> None:
        """To the end, or to an interruption."""
        resumed_at = self.restore() if self.resumed else -1
        self.saved = time.monotonic()
        with Journal(self.out, resumed_at) if self.place.first else Silence() as journal:
            self.started = self.saved - journal.seconds
            if resumed_at < 0:
                self.task.begin(journal)
            with progress_bar(shown=self.place.first) as bar:
                progress = bar.add_task(
                    self.task.doing, total=self.schedule.steps, completed=self.step, figures=""
                )
                self.optimise(journal, bar, progress)
        if self.step < self.schedule.steps and not self.stopped:  # in every process: they agree
            self.share_unreadables()
            self.save()
            if self.place.first:
                report = write_report(self.out)
                say(
                    f"interrupted at step {self.step} of {self.schedule.steps}; "
                    f"go on with --resume --out {self.out}"
                )
                say(f"report so far: {report}")
            # Without a signal of its own, another of the processes had one.
            raise Interrupted(self.interrupt.received or signal.SIGTERM)
        self.finish()
        if self.interrupt.received:  # too late to stop anything
            raise Interrupted(self.interrupt.received)

    def optimise(self, journal: Books, bar: Progress, progress: TaskID) -> None:
        """Step by step, keeping the books in between."""
        if self.stopped:
            return
        module = self.task.trained
        if self.place.processes > 1:
            # Convolutions give channels-last gradients; copying them into buckets is cheap.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            module = DistributedDataParallel(module)
        steps = optimise(
            module,
            self.task.optimizer,
            self.load(self.step, self.schedule.steps, self.pace.workers),
            lambda batch: self.loss_of(module, batch),
            local_batch_size=self.pace.local_batch_size,
            learning_rate=self.task.learning_rate,
            start=self.step,
            stop=self.schedule.steps,
            place=self.place,
            interrupted=self.interrupt,
        )
        timing, first = Timing(), self.step + 1
        try:
            for step in steps:
                if step.number == first and self.pace.compile_blocks and self.place.first:
                    say(f"compiled: the first step took {step.seconds - step.waiting:.0f} s")
                self.keep_books(step, journal, timing)
                figures = (
                    f"loss {step.loss:.4f}  {self.schedule.batch_size / step.seconds:.0f} images/s"
                )
                bar.update(progress, completed=step.number, figures=figures)
                if self.stopped:
                    return
        except NonFiniteError as error:
            self.save()  # the weights are still those before the step
            raise RuntimeError(self.explain(error)) from error
        except TooManyUnreadable as error:
            path = self.out / "unreadable.json"
            atomic.write_text(path, json.dumps(list(error.reasons.items())))
            raise ValueError(f"{error}\nall of them are named in {path}") from error
        except torch.OutOfMemoryError as error:
            lower = "lower --micro-batch-size, or "
            raise RuntimeError(
                f"out of memory with {self.pace.micro_batch_size} images at a time: "
                f"{'' if self.pace.whole_batches else lower}add --checkpoint-blocks (the results "
                "stay the same)"
            ) from error

    def load(self, start: int, stop: int, workers: int) -> Iterator[Batch[Any]]:
        """This process's micro-batches of some steps."""
        return load(
            self.task.images,
            Order(len(self.task.images), self.schedule.batch_size, self.task.seed),
            view=self.task.view,
            channels=self.task.in_channels,
            seed=self.task.seed,
            start_step=start,
            stop_step=stop,
            rank=self.place.rank,
            world_size=self.place.processes,
            micro_batch_size=self.pace.micro_batch_size,
            workers=workers,
            pin_memory=self.place.device.type == "cuda",
        )

    def loss_of(self, module: nn.Module, batch: Batch[Any]) -> Tensor:
        """The loss of a micro-batch."""
        self.unreadables.add(batch.unreadable)
        images, other = self.task.prepare(batch)
        with self.place.autocast():
            return self.task.loss(module, images, other)

    def keep_books(self, step: Step, journal: Books, timing: Timing) -> None:
        """After a step: metrics, what the task does at the end of an epoch, a checkpoint."""
        self.step = step.number
        self.task.after_step(step.number)
        self.window = (self.window[0] + step.loss, self.window[1] + 1)
        self.epoch = (self.epoch[0] + step.loss, self.epoch[1] + 1)
        timing.add(step)
        self.waits.add(step)
        if step.number % self.schedule.log_every == 0 or step.number == self.schedule.steps:
            self.share_unreadables()
            journal.metrics(self.step_line(step))
            journal.timing(timing.line(step, self.schedule.batch_size, self.started, self.place))
            self.window = (0.0, 0)
        epoch, within = divmod(step.number, self.schedule.steps_per_epoch)
        worth_reporting = within == 0 and self.end_epoch(journal, epoch)
        if time.monotonic() - self.saved > self.pace.seconds_between_checkpoints:
            self.save()
        if worth_reporting and self.place.first:
            write_report(self.out)

    def end_epoch(self, journal: Books, epoch: int) -> bool:
        """Its mean loss, and whatever the task does then; whether that is worth a report."""
        loss = self.epoch[0] / self.epoch[1]
        journal.metrics({"kind": "epoch", "step": self.step, "epoch": epoch, "loss": loss})
        self.epoch = (0.0, 0)
        waited = self.waits.share()
        if self.place.first:
            say(
                f"epoch {epoch} of {self.schedule.epochs}: loss {loss:.4f}, "
                f"{waited:.0%} of the time waiting for images"
            )
            remedy = self.waits.remedy(waited, self.pace.workers, self.task.decoding)
            if remedy:
                say(remedy)
        worth_reporting = self.task.after_epoch(journal, self.step, epoch)
        self.stopped = self.task.stops_early()
        return worth_reporting

    def step_line(self, step: Step) -> dict[str, Any]:
        """A line of the metrics: the mean loss since the line before."""
        return {
            "kind": "step",
            "step": step.number,
            "epoch": step.number / self.schedule.steps_per_epoch,
            "loss": self.window[0] / self.window[1],
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
        }

    def share_unreadables(self) -> None:
        """Let every process know of every file that one of them could not read."""
        if self.place.processes > 1:
            gathered: list[list[list[str]]] = [[] for _ in range(self.place.processes)]
            dist.all_gather_object(gathered, self.unreadables.state())
            for state in gathered:
                self.unreadables.add((name, reason) for name, reason in state)
        if self.place.first:
            atomic.write_text(self.out / "unreadable.json", json.dumps(self.unreadables.state()))

    def restore(self) -> int:
        """Go on from the last checkpoint, if there is one: its step, or -1."""
        found = checkpoint.load(self.out / "checkpoints", self.place.device)
        if found is None:
            return -1
        checkpoint.restore(found, self.task.kept, self.task.optimizer)
        try:
            self.step, self.stopped = found.state["step"], found.state["stopped"]
            self.window, self.epoch = tuple(found.state["window"]), tuple(found.state["epoch"])
            self.unreadables.restore(found.state["unreadable"])
            self.task.restore(found.state["task"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint {self.out / 'checkpoints'}: its state.json lacks {error}: it was "
                "changed after it was written; restore it, or start again with --overwrite"
            ) from error
        if self.place.first:
            say(f"resuming at step {self.step} of {self.schedule.steps}")
        return self.step

    def save(self) -> None:
        """Write a checkpoint and the weights."""
        if self.place.first:
            state = {
                "step": self.step,
                "stopped": self.stopped,
                "window": self.window,
                "epoch": self.epoch,
                "unreadable": self.unreadables.state(),
                "task": self.task.state(),
            }
            folder = self.out / "checkpoints"
            try:
                checkpoint.save(folder, self.task.kept, self.task.optimizer, state)
                self.task.save_weights(self.step)
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
            (*self.task.prepare(batch), [self.task.images.name(i) for i in batch.indices])
            for batch in batches
        )

        self.task.trained.eval()  # one by one, images would have no share in what drop path drew

        def loss(images: Tensor, other: Tensor) -> Tensor:
            with torch.no_grad(), self.place.autocast():
                return self.task.loss(self.task.trained, images, other)

        with torch.compiler.set_stance("force_eager"):  # compiled blocks hide their layers
            causes = gather(diagnose(self.task.trained, parts, loss), self.place.processes)
        found = {"step": error.step, "what": str(error), **causes}
        path = self.out / "non_finite.json"
        if self.place.first:
            atomic.write_text(path, json.dumps(found, indent=2) + "\n")
        or_precision = "" if self.place.precision == "fp32" else " or --precision fp32"
        return (
            f"{in_words(found)} (all in {path}). The weights before this step are kept in "
            f"{self.out / 'checkpoints'}. Look at these images, or start again with a lower "
            f"learning rate (--set base_learning_rate=...){or_precision}."
        )
