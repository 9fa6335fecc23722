"""What is the same whichever way an encoder is pre-trained: its rate, its probe, its weights."""

from pathlib import Path

from fcmae.console.screen import say
from fcmae.models.encoder import Encoder
from fcmae.optim import learning_rate
from fcmae.pretraining.contrastive_plan import ContrastivePlan
from fcmae.pretraining.interim_probe import InterimProbe
from fcmae.pretraining.plan import Plan
from fcmae.storage import atomic
from fcmae.training.devices import Place
from fcmae.training.task import Books


def rate(plan: Plan | ContrastivePlan, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    return learning_rate(
        step,
        peak=plan.learning_rate,
        steps=plan.steps,
        warmup_steps=plan.warmup_steps,
        minimum=plan.recipe.minimum_learning_rate,
    )


def measure(
    probe: InterimProbe | None,
    encoder: Encoder,
    place: Place,
    journal: Books,
    *,
    step: int,
    epoch: int,
    epochs: int,
) -> bool:
    """Note how well nearest neighbours of labelled images tell classes; whether that was due."""
    if probe is None or not probe.is_due(epoch, epochs):
        return False
    found = probe.measure(encoder, place)
    say(f"kNN accuracy after epoch {epoch}: {found['top_1']:.1%}")
    journal.metrics({"kind": "probe", "step": step, "epoch": epoch, **found})
    return True


def save_encoder(out: Path, encoder: Encoder, plan: Plan | ContrastivePlan, step: int) -> None:
    """Write an encoder, in the authors' names, with what is needed to build it again."""
    described = {
        "model": plan.model,
        "in_channels": plan.in_channels,
        "stem_stride": plan.stem_stride,
        "response": plan.recipe.response,
        "image_size": plan.image_size,
        "mean": plan.mean,
        "std": plan.std,
        "step": step,
    }
    atomic.save_tensors(out / "weights.safetensors", encoder.state_dict(), described)
