"""The task of pre-training an encoder, by any method."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.console.screen import say
from fcmae.images import Batch, ImageSet, Pair, Unlabelled
from fcmae.models.layers import compile_blocks
from fcmae.optim import parameter_groups
from fcmae.pretraining.interim_probe import InterimProbe
from fcmae.pretraining.plan import Learner, Plan
from fcmae.pretraining.reconstructions import epochs_to_observe
from fcmae.storage import atomic
from fcmae.training.batching import Batching
from fcmae.training.devices import Runtime
from fcmae.training.journal import AnyJournal
from fcmae.training.task import Measured


class PretrainingTask:
    """A learner under a plan.

    Args:
        out: the run folder.
        plan: what to compute.
        learner: what is trained; moved to the runtime's device.
        images: the data.
        runtime: device and precision.
        batching: whether blocks are recomputed in the backward pass, and whether they are compiled.
        probe: what accuracies are measured with; None where none are.
    """

    doing = "pre-training"

    def __init__(
        self,
        out: Path,
        plan: Plan,
        learner: Learner,
        images: ImageSet[object],
        runtime: Runtime,
        batching: Batching,
        *,
        probe: InterimProbe | None = None,
    ) -> None:
        self.out, self.plan, self.images, self.runtime, self.probe = (
            out,
            plan,
            images,
            runtime,
            probe,
        )
        self.learner, self.view, self.followers = learner, learner.view, learner.followers
        self.trained = self.kept = learner.module.to(runtime.device)
        learner.encoder.checkpoint_blocks = batching.checkpoint_blocks
        if batching.compile_blocks:
            compile_blocks(self.trained)
        recipe = plan.recipe
        self.groups = parameter_groups(
            self.trained, recipe.weight_decay, exempt=recipe.decay_exempt
        )
        self.mean = torch.tensor(plan.mean, device=runtime.device).view(-1, 1, 1)
        self.std = torch.tensor(plan.std, device=runtime.device).view(-1, 1, 1)
        self.state: dict[str, Any] = {}

    def prepare(self, batch: Batch[Unlabelled | Pair]) -> tuple[Tensor, Tensor]:
        """Normalised images, and what else the loss needs, on the device."""
        views = (view.to(self.runtime.device, non_blocking=True) for view in batch.examples)
        return self.learner.prepare(batch, *((view - self.mean) / self.std for view in views))

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        """The learner's."""
        return self.learner.loss(module, images, other)

    def measure(self, journal: AnyJournal, step: int) -> Measured:
        """Observe the fixed images, ever less often, and measure accuracies where that is due."""
        plan, epoch = self.plan, step // self.plan.steps_per_epoch
        observes = epoch in epochs_to_observe(plan.epochs)
        if observes and (seen := self.learner.observe(epoch)):
            journal.metrics({"kind": "look", "step": step, "epoch": epoch, **seen})
        probes = self.probe is not None and self.probe.is_due(epoch, plan.epochs)
        if self.probe is not None and probes:
            found = self.probe.measure(self.learner.encoder, self.runtime)
            say(f"kNN accuracy after epoch {epoch}: {found['top_1']:.1%}")
            journal.metrics({"kind": "probe", "step": step, "epoch": epoch, **found})
        return Measured(worth_reporting=observes or probes)

    def save_weights(self, step: int) -> None:
        """The encoder, in the authors' names, with what is needed to build it again."""
        state, path = self.learner.encoder.state_dict(), self.out / "weights.safetensors"
        atomic.save_tensors(path, state, self.plan.describe_weights(step, {}))
