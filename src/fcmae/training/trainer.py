"""One process's part in a run, whatever is trained: from its first step or a checkpoint to the end.

A task says what is trained and how; everything here is the same for all of them.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from fcmae.console.screen import progress_bar, say
from fcmae.images import Batch, TooManyUnreadable, Unreadables
from fcmae.optim import adamw
from fcmae.parallel.processes import gather, share_gradients
from fcmae.report import write_report
from fcmae.storage import atomic
from fcmae.training import checkpoint
from fcmae.training.batching import Batching, load_steps
from fcmae.training.devices import Runtime, start_runtime
from fcmae.training.dry_run import rehearse
from fcmae.training.engine import NonFiniteError, Step, Summed, optimise
from fcmae.training.journal import AnyJournal, Journal, Silence
from fcmae.training.non_finite import explain
from fcmae.training.plan import Plan
from fcmae.training.run_folder import RunFolder, describe
from fcmae.training.signals import Interrupt, Interrupted
from fcmae.training.start import Chosen, OpenedRun
from fcmae.training.task import Measured, Task
from fcmae.training.window import Window, remedy


def train(
    opened: OpenedRun[Chosen],
    make_task: Callable[[Runtime], Task],
    plan: Plan,
    batching: Batching,
    device: torch.device,
    *,
    parameters: int,
    own: Mapping[str, Any],
    layers: Mapping[str, int] | None = None,
) -> Path:
    """Lock the folder and train; or say what that would cost, for `--dry-run`.

    Args:
        opened: the run.
        make_task: builds the task on the device of a runtime.
        plan: what it computes.
        batching: how the work is cut up.
        device: where to compute.
        parameters: number of them in the resulting model.
        own: entries of `config.json` that only this task has.
        layers: the layer of each parameter, where layers have rates of their own.

    Returns:
        The run folder.
    """
    out, options, resumed = opened.out, opened.options, opened.resumed is not None
    if options.dry_run:
        rehearse(make_task(Runtime(device, plan.precision)), batching, layers)
        return out
    with start_runtime(device, plan.precision) as runtime, Interrupt() as interrupt:
        trainer = Trainer(out, make_task(runtime), runtime, batching, interrupt, resumed=resumed)
        if not runtime.first:
            trainer.run()
            return out
        with RunFolder(out, resume=options.resume, overwrite=options.overwrite) as folder:
            if not resumed:
                folder.write_config(
                    describe(opened.task, options, plan, device, parameters=parameters, own=own)
                )
            trainer.run()
    return out


def make_optimizer(task: Task, device: torch.device) -> torch.optim.Optimizer:
    """AdamW, as in every table of the paper."""
    return adamw(task.groups, task.plan.recipe.optimizer_momentum, device)


class Trainer:
    """Everything that a run holds while it runs.

    Args:
        out: the run folder.
        task: what is trained.
        runtime: device and processes.
        batching: how the work is cut up.
        interrupt: says when to stop.
        resumed: whether to go on from the last checkpoint, if there is one.
    """

    def __init__(
        self,
        out: Path,
        task: Task,
        runtime: Runtime,
        batching: Batching,
        interrupt: Interrupt,
        *,
        resumed: bool,
    ) -> None:
        self.out, self.task, self.plan, self.runtime = out, task, task.plan, runtime
        self.batching, self.interrupt, self.resumed = batching, interrupt, resumed
        self.optimizer = make_optimizer(task, runtime.device)
        self.step = 0  # steps finished
        self.stopped = False  # early, by the task
        self.window, self.period = Window(), Window()  # since the last line of each
        self.unreadables = Unreadables(len(task.images))
        self.warned = False  # that reading is slow

    def run(self) -> None:
        """Train to the end, or until interrupted."""
        resumed_at = self.restore() if self.resumed else -1
        self.saved = time.monotonic()
        with Journal(self.out, resumed_at) if self.runtime.first else Silence() as journal:
            self.started = self.saved - journal.seconds
            if resumed_at < 0:
                self.task.measure(journal, 0)
            with progress_bar(shown=self.runtime.first) as bar:
                progress = bar.add_task(
                    self.task.doing, total=self.plan.steps, completed=self.step, figures=""
                )
                self.optimise(journal, bar, progress)
        if self.step < self.plan.steps and not self.stopped:  # in every process: they agree
            self.share_unreadables()
            self.save()
            if self.runtime.first:
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

    def optimise(self, journal: AnyJournal, bar: Progress, progress: TaskID) -> None:
        """Train step by step; log, measure and save in between."""
        if self.stopped:
            return
        module = share_gradients(self.task.trained)
        steps = optimise(
            module,
            self.optimizer,
            self.load(self.step, self.plan.steps, self.batching.workers),
            lambda batch: self.loss_of(module, batch),
            local_batch_size=self.batching.local_batch_size,
            learning_rate=self.plan.learning_rate_at,
            start=self.step,
            stop=self.plan.steps,
            runtime=self.runtime,
            interrupted=self.interrupt,
        )
        first = self.step + 1
        try:
            for step in steps:
                if step.number == first and self.batching.compile_blocks and self.runtime.first:
                    say(f"compiled: the first step took {step.seconds - step.waiting:.0f} s")
                self.after_step(step, journal)
                figures = (
                    f"loss {step.loss:.4f}  {self.plan.batch_size / step.seconds:.0f} images/s"
                )
                bar.update(progress, completed=step.number, figures=figures)
                if self.stopped:
                    return
        except NonFiniteError as error:
            self.save()  # the weights are still those before the step
            batches = self.load(error.step, error.step + 1, workers=0)
            message = explain(error, self.task, batches, self.runtime, self.out)
            raise RuntimeError(message) from error
        except TooManyUnreadable as error:
            path = self.out / "unreadable.json"
            atomic.write_text(path, json.dumps(list(error.reasons.items())))
            raise ValueError(f"{error}\nall of them are named in {path}") from error
        except torch.OutOfMemoryError as error:
            lower = "" if self.batching.whole_batches else "lower --micro-batch-size, or "
            raise RuntimeError(
                f"out of memory with {self.batching.micro_batch_size} images at a time: "
                f"{lower}add --checkpoint-blocks (the results stay the same)"
            ) from error

    def load(self, start: int, stop: int, workers: int) -> Iterator[Batch[Any]]:
        """This process's micro-batches of some steps."""
        micro = self.batching.micro_batch_size
        return load_steps(
            self.task, start, stop, micro_batch_size=micro, workers=workers, runtime=self.runtime
        )

    def loss_of(self, module: nn.Module, batch: Batch[Any]) -> Tensor | Summed:
        """The loss of a micro-batch."""
        self.unreadables.add(batch.unreadable)
        images, other = self.task.prepare(batch)
        with self.runtime.autocast():
            return self.task.loss(module, images, other)

    def after_step(self, step: Step, journal: AnyJournal) -> None:
        """Move what follows the weights; then log, measure and save where that is due."""
        self.step = step.number
        for follow in self.task.followers:
            follow(step.number)
        self.window.add(step)
        self.period.add(step)
        is_last = step.number == self.plan.steps
        if step.number % self.plan.log_every == 0 or is_last:
            self.share_unreadables()
            self.write_lines(step, journal)
        measured = Measured()
        if step.number % self.plan.steps_per_period == 0 or is_last:
            measured = self.end_period(journal)
            self.stopped = measured.stop
        if time.monotonic() - self.saved > self.batching.seconds_between_checkpoints:
            self.save()
        if measured.worth_reporting and self.runtime.first:
            write_report(self.out)

    def end_period(self, journal: AnyJournal) -> Measured:
        """Log the period's mean loss, and let the task measure."""
        plan, loss, waited = self.plan, self.period.mean_loss, self.period.waited
        number = -(-self.step // plan.steps_per_period)
        line = {"kind": plan.period, "step": self.step, plan.period: number, "loss": loss}
        journal.metrics(line)
        self.period = Window()
        if self.runtime.first:
            say(
                f"{plan.period} {number} of {plan.periods}: loss {loss:.4f}, "
                f"{waited:.0%} of the time waiting for images"
            )
            advice = remedy(waited, self.batching.workers, plan.decoding)
            if advice and not self.warned:
                self.warned = True
                say(advice)
        return self.task.measure(journal, self.step)

    def write_lines(self, step: Step, journal: AnyJournal) -> None:
        """Log loss, learning rate and speed since the last such lines."""
        journal.metrics(
            {
                "kind": "step",
                "step": step.number,
                "epoch": step.number / self.plan.steps_per_epoch,
                "loss": self.window.mean_loss,
                "learning_rate": step.learning_rate,
                "gradient_norm": step.gradient_norm,
            }
        )
        journal.timing(
            {
                "step": step.number,
                "images_per_second": self.window.images_per_second(self.plan.batch_size),
                "waiting": self.window.waited,
                "seconds": time.monotonic() - self.started,
                "peak_memory": self.runtime.peak_memory(),
            }
        )
        self.window = Window()

    def share_unreadables(self) -> None:
        """Let every process know of every file that one of them could not read."""
        for state in gather(self.unreadables.state()):
            self.unreadables.add((name, reason) for name, reason in state)
        if self.runtime.first:
            atomic.write_text(self.out / "unreadable.json", json.dumps(self.unreadables.state()))

    def restore(self) -> int:
        """Go on from the last checkpoint, if there is one: its step, or -1."""
        found = checkpoint.load(self.out / "checkpoints", self.runtime.device)
        if found is None:
            return -1
        checkpoint.restore(found, self.task.kept, self.optimizer)
        try:
            self.step, self.stopped = found.state["step"], found.state["stopped"]
            self.window, self.period = Window(*found.state["window"]), Window(*found.state["epoch"])
            self.unreadables.restore(found.state["unreadable"])
            for name in self.task.state:
                self.task.state[name] = found.state["task"][name]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"checkpoint {self.out / 'checkpoints'}: its state.json lacks {error}: it was "
                "changed after it was written; restore it, or start again with --overwrite"
            ) from error
        if self.runtime.first:
            say(f"resuming at step {self.step} of {self.plan.steps}")
        return self.step

    def save(self) -> None:
        """Write a checkpoint and the weights."""
        if self.runtime.first:
            state = {
                "step": self.step,
                "stopped": self.stopped,
                "window": self.window.state(),
                "epoch": self.period.state(),
                "unreadable": self.unreadables.state(),
                "task": self.task.state,
            }
            folder = self.out / "checkpoints"
            try:
                checkpoint.save(folder, self.task.kept, self.optimizer, state)
                self.task.save_weights(self.step)
            except OSError as error:
                kept = "There is no checkpoint before it"
                if checkpoint.exists(folder):
                    kept = "The checkpoint before it is whole"
                raise OSError(
                    f"step {self.step} cannot be saved ({error}). {kept}: make room and go on with "
                    f"--resume --out {self.out}"
                ) from error
        self.saved = time.monotonic()

    def finish(self) -> None:
        """Write the last checkpoint, the weights and the report."""
        self.save()
        if self.runtime.first:
            report = write_report(self.out)
            if len(self.unreadables):
                say(
                    f"{len(self.unreadables)} files could not be read; they are named in the report"
                )
            say(f"weights: {self.out / 'weights.safetensors'}")
            say(f"report:  {report}")
